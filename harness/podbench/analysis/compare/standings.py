"""One run's value in one line of a comparison, with its blocks.

If the samples are missing, the value comes from the run's summary.json. `side_by_side` assembles
the lines.
"""

import math

import msgspec
import numpy as np
import numpy.typing as npt

from podbench.analysis.compare.bundle import Card, Standing
from podbench.analysis.compare.campaigns import Counts
from podbench.analysis.compare.comparable import Side
from podbench.analysis.compare.match import ArmRow
from podbench.analysis.figures.group_points import ALL, GroupPoints
from podbench.analysis.samples.metrics import LOSS, Metric
from podbench.analysis.stats import intervals

FloatArray = npt.NDArray[np.float64]


class Campaign(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """One run in a comparison: its card, and the block statistics of its groups."""

    card: Card
    points: GroupPoints
    sides: tuple[Side, ...] = ()
    """Of every run in it, where it is several campaigns."""

    @property
    def side(self) -> Side:
        """Input of `comparable`."""
        return Side(label=self.card.label, summary=self.card.summary, seen=self.points.seen)


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """Position of a line: one metric, one row of arms, one group of pairs."""

    metric: Metric
    row: ArmRow
    group: str


def standing(run: Campaign, number: int, place: Place, *, union: bool) -> Standing:
    """Returns the value of run `number`, or a standing without a value."""
    arm = place.row.arms[number]
    if arm is None:
        return Standing(run=number, value=None, ci95=None)
    if place.metric is LOSS:
        return _loss_standing(run, number, arm, place.group)
    found = run.points.logs(arm, place.metric.name, place.group, union=union)
    if len(found):
        spread = intervals.mean_interval(found)
        return Standing(
            run=number,
            value=math.exp(float(found.mean())),
            ci95=None if spread is None else intervals.scaled(1.0, spread),
            points=tuple(float(value) for value in np.exp(found)),
            blocks=len(found),
        )
    return _stated(run, number, (arm, place.metric.name, place.group))


def _stated(run: Campaign, number: int, what: tuple[str, str, str]) -> Standing:
    """Returns the value of (arm, metric, group) in summary.json, if samples are missing."""
    arm, metric, group = what
    if group == ALL:
        for estimate in run.card.summary.estimates:
            if (estimate.arm, estimate.metric) == (arm, metric):
                return Standing(
                    run=number,
                    value=estimate.value,
                    ci95=estimate.ci95,
                    blocks=estimate.blocks if estimate.value is not None else 0,
                )
    return Standing(run=number, value=None, ci95=None)


def _loss_standing(run: Campaign, number: int, arm: str, group: str) -> Standing:
    held = run.points.losses.get((arm, group), [])
    stated = _stated(run, number, (arm, LOSS.name, group))
    if not held:
        return stated
    sent, lost = sum(one.sent for one in held), sum(one.lost for one in held)
    return Standing(
        run=number,
        value=lost / sent if sent else None,
        ci95=stated.ci95,
        points=tuple(one.lost / one.sent for one in held if one.sent),
        blocks=len(held),
    )


def logs(run: Campaign, place: Place, number: int, *, union: bool) -> FloatArray:
    """Returns (blocks,) log block statistics; empty if it has none."""
    arm = place.row.arms[number] or ""
    return run.points.logs(arm, place.metric.name, place.group, union=union)


def counts(run: Campaign, place: Place, number: int) -> Counts:
    """Returns the losses by block."""
    held = run.points.losses.get((place.row.arms[number] or "", place.group), [])
    return Counts(
        np.array([one.sent for one in held], dtype=np.int64),
        np.array([one.lost for one in held], dtype=np.int64),
        episodes=sum(one.episodes for one in held),
        sessions=tuple(session for one in held for session in one.sessions),
    )
