"""A pair's interval at any confidence, from its sessions: what summary.json has at 95%.

Definitions are those of `pairs` and `loss_table`: `stats.pooled` for quantiles, `stats.bursts` for
loss. Both need enough sessions to show how they differ; with fewer there is no interval, and the
reason says how many more it takes.
"""

from collections.abc import Sequence

import msgspec

from podbench.analysis.figures import group_points, pairs
from podbench.analysis.figures.dotted import Figure
from podbench.analysis.figures.group_points import BlockLoss, GroupPoints
from podbench.analysis.samples.metrics import BY_NAME, LOSS
from podbench.analysis.stats import bursts, pooled
from podbench.model.summary import Interval, Pair


class Found(msgspec.Struct, frozen=True):
    """An interval, or the reason why there is none."""

    interval: Interval | None
    reason: str = ""


_EITHER_WAY = ("rtt_", "pdv_", "ipdv_")
"""Round trips, which cross both directions whoever starts them."""


def interval(points: GroupPoints, pair: Pair, figure: Figure, value: float, level: float) -> Found:
    """The interval of one figure of one pair.

    Args:
        points: with the pair's group of its own (`group_points.pair_group`), and its samples.
        pair: names the arm and the pair.
        figure: what is asked for.
        value: its figure in summary.json.
        level: the confidence, 0 to 1.
    """
    if figure.name == LOSS.name:
        group = group_points.pair_group(pair.src, pair.dst)
        return of_loss(points.losses.get((pair.arm, group), []), level)
    if figure.name not in BY_NAME:
        return Found(None, f"no interval is made for {figure.name}")
    metric = BY_NAME[figure.name]
    own, reverse = (
        points.samples.get((pair.arm, metric.series, group_points.pair_group(*ends)), [])
        for ends in ((pair.src, pair.dst), (pair.dst, pair.src))
    )
    if not metric.series.startswith(_EITHER_WAY):
        reverse = []
    found = pairs.session_interval(own, reverse, value, metric.q, level)
    if found is not None:
        return Found(found)
    return Found(None, too_few(len(own), len(reverse), metric.q))


def too_few(own: int, reverse: int, q: float) -> str:
    """Why a pair's quantile has no interval."""
    needed = pooled.sessions_needed(q)
    if own + reverse >= needed:
        return (
            f"no interval: the two directions of this pair differ, and {own} sessions of this one "
            f"are too few; it takes {needed}"
        )
    counted = f"{own + reverse} session{'' if own + reverse == 1 else 's'}"
    return f"no interval: {counted} of this pair, and this quantile takes {needed}"


def of_loss(held: Sequence[BlockLoss], level: float) -> Found:
    """The interval of a pair's loss ratio."""
    sessions = [session for one in held for session in one.sessions if session.sent]
    if not sessions:
        return Found(None, "no interval: no valid probe was sent")
    if len(sessions) < bursts.MIN_SESSIONS:
        return Found(
            None,
            f"no interval: {len(sessions)} sessions do not show how losses cluster; "
            f"it takes {bursts.MIN_SESSIONS}",
        )
    return Found(bursts.interval(sessions, level))
