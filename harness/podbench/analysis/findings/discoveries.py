"""On which nodes and pairs do two arms differ? Many tests, a known share of false discoveries.

For every pair of nodes, d_b = log(other) - log(base) in block b, both directions that a block has
taken together (initiators alternate by block); for every node the mean over its pairs. Paired t
over blocks, p values adjusted by Benjamini-Hochberg inside a set (`multiple`), nodes first, since
they are few, then pairs. Found is what has an adjusted p of at most 5%, an effect beyond the
metric's margin, or the run's A/A noise floor where that is larger, and a difference the instrument
can resolve; `confirmed` what Benjamini-Yekutieli finds too. The A/A pair has no floor but the
margin: it is what the floor comes from.

Two questions: `differs`, whether the arms differ there at all; and `stands out`, whether they
differ there by more or less than elsewhere, each block's median over its pairs taken off first
(blocks of at least six pairs). Loss is not tested by pair: its counts are
too few for a t test, and each pair's interval is in `pairs`.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Literal

import msgspec
import numpy as np
import numpy.typing as npt
from scipy import special

from podbench.analysis.samples.blocks import Cells, Reduced, blocks_of, log_statistic
from podbench.analysis.samples.metrics import METRICS, Metric
from podbench.analysis.stats import intervals, multiple
from podbench.model.arms import parse_arm
from podbench.model.summary import Discoveries, Discovery

FloatArray = npt.NDArray[np.float64]
Question = Literal["differs", "stands out"]
Level = Literal["node", "pair"]

Q = 0.05
MIN_BLOCKS = 3
"""Two differences have a spread nobody should believe, and with them every set would be tested."""
MIN_PAIRS = 6
"""Four nodes' mesh. Of fewer pairs, one in two makes the median it is held against."""
MOST_SHOWN = 50
TESTED: tuple[Metric, ...] = tuple(
    metric for metric in METRICS if metric.headline and metric.series != "rtt_loaded_ns"
)
"""Beside transfers only a few pairs are measured."""


class Table(msgspec.Struct, frozen=True, eq=False):
    """(subjects, blocks) log ratios and base logs, NaN where a block lacks one of the arms."""

    subjects: tuple[tuple[str, ...], ...]
    ratios: FloatArray
    base: FloatArray


def pair_table(metric: Metric, arms: tuple[str, str], cells: Cells | Reduced) -> Table:
    """Pairs of nodes by blocks; a pair that no block has in both arms is left out."""
    blocks = blocks_of(cells)
    held: dict[tuple[str, str], dict[int, list[tuple[float, float]]]] = {}
    for number, block in enumerate(blocks):
        base, other = (cells.get((arm, block), {}) for arm in arms)
        for pair in base.keys() & other.keys():
            logs = log_statistic(base[pair], metric), log_statistic(other[pair], metric)
            if all(np.isfinite(logs)):
                key = (min(pair), max(pair))
                held.setdefault(key, {}).setdefault(number, []).append(logs)
    pairs = tuple(sorted(held))
    ratios = np.full((len(pairs), len(blocks)), np.nan)
    levels = np.full_like(ratios, np.nan)
    for i, pair in enumerate(pairs):
        for number, logs_of in held[pair].items():
            low, high = np.mean(np.array(logs_of), axis=0)
            ratios[i, number], levels[i, number] = high - low, low
    return Table(pairs, ratios, levels)


def node_table(pairs: Table) -> Table:
    """Nodes by blocks: the mean over a node's pairs, over those that the block has."""
    nodes = sorted({node for pair in pairs.subjects for node in pair})
    shape = (len(nodes), pairs.ratios.shape[1])
    ratios, levels = np.full(shape, np.nan), np.full(shape, np.nan)
    for i, node in enumerate(nodes):
        own = np.array([node in pair for pair in pairs.subjects], dtype=np.bool_)
        ratios[i], levels[i] = _means(pairs.ratios[own]), _means(pairs.base[own])
    return Table(tuple((node,) for node in nodes), ratios, levels)


def _means(values: FloatArray) -> FloatArray:
    """(columns,) means of what is known; NaN where nothing is."""
    known = ~np.isnan(values)
    count = known.sum(axis=0)
    total = np.where(known, values, 0.0).sum(axis=0)
    found: FloatArray = np.where(count > 0, total / np.maximum(count, 1), np.nan)
    return found


def apart(pairs: Table) -> Table:
    """Each block's median over its pairs taken off: what a pair has beyond the others."""
    found = pairs.ratios.copy()
    enough = (~np.isnan(found)).sum(axis=0) >= MIN_PAIRS
    found[:, enough] -= np.nanmedian(found[:, enough], axis=0)
    found[:, ~enough] = np.nan
    return Table(pairs.subjects, found, pairs.base)


class Tests(msgspec.Struct, frozen=True, eq=False):
    """(subjects,) paired t tests over blocks; NaN where there are fewer than three."""

    blocks: npt.NDArray[np.int64]
    mean: FloatArray
    half: FloatArray
    """Half-width of the 95% interval."""
    p: FloatArray


def paired_t(ratios: FloatArray) -> Tests:
    """One test a row.

    Args:
        ratios: (subjects, blocks), NaN where missing.
    """
    known = ~np.isnan(ratios)
    n = known.sum(axis=1)
    enough = n >= MIN_BLOCKS
    mean = np.where(enough, _means(ratios.T), np.nan)
    squares = np.where(known, (np.where(known, ratios, 0.0) - mean[:, None]) ** 2, 0.0).sum(axis=1)
    df = np.maximum(n - 1, 1)
    error = np.sqrt(squares / df / np.maximum(n, 1))
    with np.errstate(divide="ignore", invalid="ignore"):
        t = np.where(mean == 0.0, 0.0, np.abs(mean) / error)
    p = np.where(enough, 2.0 * special.stdtr(df, -t), np.nan)
    return Tests(n, mean, special.stdtrit(df, 0.975) * error, p)


def _set(
    metric: Metric,
    arms: tuple[str, str],
    table: Table,
    question: Question,
    level: Level,
    least: float,
) -> Discoveries | None:
    tests = paired_t(table.ratios)
    known = np.flatnonzero(np.isfinite(tests.p))
    if not len(known):
        return None
    adjusted = multiple.benjamini_hochberg(tests.p[known])
    strict = multiple.benjamini_yekutieli(tests.p[known])
    levels = np.exp(_means(table.base.T))[known]
    mean = tests.mean[known]
    large = (np.abs(mean) > least) & (np.abs(np.expm1(mean)) * levels >= metric.resolution)
    hits = np.flatnonzero((adjusted <= Q) & large)
    strongest = sorted(hits.tolist(), key=lambda i: -abs(float(mean[i])))[:MOST_SHOWN]
    return Discoveries(
        metric=metric.name,
        base=arms[0],
        other=arms[1],
        path=str(parse_arm(arms[0]).path),
        question=question,
        level=level,
        margin=float(np.expm1(least)),
        tested=len(known),
        untested=len(table.subjects) - len(known),
        significant=int((adjusted <= Q).sum()),
        found=len(hits),
        confirmed=int((strict[hits] <= Q).sum()),
        strongest=tuple(
            Discovery(
                nodes=table.subjects[known[i]],
                ratio=float(np.exp(mean[i])),
                ci95=_interval(float(mean[i]), float(tests.half[known[i]])),
                p_value=float(tests.p[known[i]]),
                p_adjusted=float(adjusted[i]),
                confirmed=bool(strict[i] <= Q),
                blocks=int(tests.blocks[known[i]]),
            )
            for i in strongest
        ),
    )


def _interval(mean: float, half: float) -> tuple[float, float]:
    return intervals.scaled(1.0, (mean - half, mean + half))


def of_contrast(
    metric: Metric,
    arms: tuple[str, str],
    cells: Cells | Reduced,
    floor_log: float | None = None,
) -> Iterator[Discoveries]:
    """The sets of one metric of (base, other): nodes, then pairs, for each question.

    Args:
        metric: which figure.
        arms: base and other.
        cells: of its series.
        floor_log: the run's A/A noise floor of the metric as |log ratio|; None: there is none.
    """
    margin = float(np.log1p(metric.margin))
    pairs = pair_table(metric, arms, cells)
    # The floor is of what all pairs share, which is taken off before one can stand out.
    asked: tuple[tuple[Question, Table, float], ...] = (
        ("differs", pairs, max(margin, floor_log or 0.0)),
        ("stands out", apart(pairs), margin),
    )
    for question, table, least in asked:
        levels: tuple[tuple[Level, Table], ...] = (("node", node_table(table)), ("pair", table))
        for level, subjects in levels:
            found = _set(metric, arms, subjects, question, level, least)
            if found is not None:
                yield found


def table(
    cells: Mapping[str, Cells | Reduced],
    contrasts: Sequence[tuple[str, str]],
    floors: Mapping[str, float],
) -> tuple[Discoveries, ...]:
    """Every set of every headline metric and (base, other) that has three blocks.

    Args:
        cells: by series.
        contrasts: (base, other), A/A pairs among them.
        floors: A/A noise floor of each metric, |log ratio|.
    """
    return tuple(
        found
        for metric in TESTED
        for arms in contrasts
        for found in of_contrast(
            metric,
            arms,
            cells[metric.series],
            None if parse_arm(arms[1]).repeat > 1 else floors.get(metric.name),
        )
    )
