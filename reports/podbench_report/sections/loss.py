"""Loss: lost probes by direction, with intervals, and bursts of consecutive losses."""

import msgspec

from podbench.analysis.bundle import LossEpisode
from podbench_report import losses, names, numbers, tables
from podbench_report.plots import episodes as plot
from podbench_report.view import RunView

_LONGEST = 20


class Loss(msgspec.Struct, frozen=True, kw_only=True):
    """Loss by arm, a plot of the bursts, and the longest bursts."""

    arms: tables.Table
    figure: tables.Figure | None
    longest: tables.Table


def build(view: RunView) -> Loss:
    """Builds the losses of one run."""
    rows = []
    for arm in view.arms_in_order():
        found = losses.arm_loss(view, arm.arm)
        if found is not None:
            rows.append(
                tables.row(
                    names.arm_label(arm.arm),
                    tables.count_cell(found.sent),
                    tables.count_cell(found.lost_forward),
                    tables.count_cell(found.lost_backward),
                    tables.count_cell(found.lost_unknown),
                    tables.quantity_cell(found.ratio, "ratio"),
                    tables.Cell(
                        "no interval"
                        if found.ci95 is None
                        else numbers.interval(found.ci95, "ratio"),
                        css="" if found.ci95 is not None else "null",
                    ),
                    tables.count_cell(found.episodes),
                )
            )
    return Loss(
        arms=tables.Table(
            caption="Lost probes by direction: request, reply or unknown. A reply after 2 s counts "
            "as lost.",
            columns=(
                tables.Column("Arm"),
                *tables.number_columns(
                    [
                        ("Sent", ""),
                        ("Lost requests", ""),
                        ("Lost replies", ""),
                        ("Lost, direction unknown", ""),
                        ("Loss", ""),
                        ("95% CI", ""),
                        ("Bursts", ""),
                    ]
                ),
            ),
            rows=tuple(rows),
        ),
        figure=_figure(view),
        longest=_longest(view),
    )


def _figure(view: RunView) -> tables.Figure | None:
    found = view.bundle.episodes
    if not found:
        return None
    arms = [a.arm for a in view.arms_in_order() if any(e.arm == a.arm for e in found)]
    span = max((visit.end_s for visit in view.bundle.visits), default=1.0)
    spoken = "; ".join(
        f"{names.arm_label(arm)}: {numbers.plural(sum(e.arm == arm for e in found), 'burst')}"
        for arm in arms
    )
    return tables.Figure(
        title="Loss bursts over the run",
        svg=plot.episode_plot(arms, found, span, f"Bursts of consecutive lost probes. {spoken}."),
        caption="Each ring is a burst of consecutive lost probes in one session; a larger ring is "
        "a longer burst (one step for each factor of ten).",
    )


def _longest(view: RunView) -> tables.Table:
    found: list[LossEpisode] = sorted(view.bundle.episodes, key=lambda e: -e.length)[:_LONGEST]
    total = len(view.bundle.episodes)
    which = f"The {len(found)} longest of {total} bursts." if total > len(found) else "All bursts."
    return tables.Table(
        caption=which,
        columns=(
            tables.Column("Arm"),
            tables.Column("From"),
            tables.Column("To"),
            tables.Column("Direction"),
            *tables.number_columns([("Block", ""), ("At", "s"), ("Consecutive probes", "")]),
        ),
        rows=tuple(
            tables.row(
                names.arm_label(e.arm),
                tables.Cell(view.labels.get(e.src, e.src), title=e.src),
                tables.Cell(view.labels.get(e.dst, e.dst), title=e.dst),
                e.direction,
                tables.count_cell(e.block),
                tables.Cell(f"{e.time_s:.1f}", sort=e.time_s),
                tables.count_cell(e.length),
            )
            for e in found
        ),
    )
