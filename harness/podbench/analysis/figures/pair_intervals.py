"""A pair's interval at any confidence, from its block statistics: what summary.json has at 95 %.

Definitions are those of `pairs` and `loss_table`: a t interval of the blocks' log quantiles round
the pair's own figure; for loss, binomial where losses are isolated, between blocks otherwise.
"""

from collections.abc import Sequence

import msgspec
import numpy as np

from podbench.analysis.figures import group_points
from podbench.analysis.figures.dotted import Figure
from podbench.analysis.figures.group_points import BlockLoss, GroupPoints
from podbench.analysis.samples import loss
from podbench.analysis.samples.metrics import BY_NAME, LOSS
from podbench.analysis.stats import intervals
from podbench.model.summary import Interval, Pair


class Found(msgspec.Struct, frozen=True):
    """An interval, or the reason why there is none."""

    interval: Interval | None
    reason: str = ""


def interval(points: GroupPoints, pair: Pair, figure: Figure, value: float, level: float) -> Found:
    """The interval of one figure of one pair.

    Args:
        points: with the pair's group of its own (`group_points.pair_group`).
        pair: names the arm and the pair.
        figure: what is asked for.
        value: its figure in summary.json.
        level: the confidence, 0 to 1.
    """
    group = group_points.pair_group(pair.src, pair.dst)
    if figure.name == LOSS.name:
        return _of_loss(points.losses.get((pair.arm, group), []), level)
    if figure.name not in BY_NAME:
        return Found(None, f"no interval is made for {figure.name}")
    logs = points.logs(pair.arm, figure.name, group, union=False)
    if len(logs) < 2:
        return Found(None, _too_few(points, pair, figure, len(logs)))
    spread = intervals.t_interval(logs - logs.mean(), level)
    return Found(None if spread is None else intervals.scaled(value, spread))


def _too_few(points: GroupPoints, pair: Pair, figure: Figure, usable: int) -> str:
    group = group_points.pair_group(pair.src, pair.dst)
    held = points.stats.get((pair.arm, figure.name, group), [])
    if len(held) > usable and held:
        most = max(stat.n for stat in held)
        metric = BY_NAME[figure.name]
        beyond = min(metric.q, 1.0 - metric.q)
        return (
            f"no interval: a block holds at most {most} samples of this pair, and this quantile "
            f"takes {round(10 / beyond)} in each of two blocks"
        )
    what = "one block only" if usable == 1 else "no block"
    return f"no interval: {what} of this pair, and it takes two"


def _of_loss(held: Sequence[BlockLoss], level: float) -> Found:
    sent = np.array([one.sent for one in held], dtype=np.int64)
    lost = np.array([one.lost for one in held], dtype=np.int64)
    if not len(sent) or int(sent.sum()) == 0:
        return Found(None, "no interval: no valid probe was sent")
    exact = loss.binomial_interval(int(lost.sum()), int(sent.sum()), level)
    after, again = sum(one.after for one in held), sum(one.again for one in held)
    if loss.isolated(lost, sent, after, again):
        return Found(exact)
    between = loss.block_interval(lost, sent, level)
    if between is None:
        return Found(
            None, "no interval: losses come in runs, and one block cannot show how they vary"
        )
    return Found((min(exact[0], between[0]), max(exact[1], between[1])))
