"""Whole runs of equal and unequal arms, with the stopping rule: the family of the first screen.

Block statistics of three modes and an A/A repeat, four figures that move together, at the spread
that quiet labs show (5% for medians, 15% for tails). Verdicts by the code that judges a run.
"""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from bench.statistics.tables import Row, Table

from podbench.analysis.stats import family, scale, verdicts
from podbench.analysis.stats.verdicts import Word

FloatArray = npt.NDArray[np.float64]

KINDS = ("bgp", "vxlan", "ipip", "bgp")
OTHERS = (1, 2)
MARGINS = (0.05, 0.10, 0.05, 0.10)
SPREADS = np.array([0.05, 0.15, 0.05, 0.15])
LOOKS = (5, 10)


def _plain(rng: np.random.Generator, shape: tuple[int, ...]) -> FloatArray:
    shared = rng.normal(size=(*shape[:-1], 1))
    mixed = (shared + rng.normal(size=shape)) / np.sqrt(2.0)
    return np.asarray(mixed * SPREADS / np.sqrt(2.0), dtype=np.float64)


def _drift(rng: np.random.Generator, shape: tuple[int, ...]) -> FloatArray:
    blocks, arms, _ = shape
    walk = np.cumsum(rng.normal(0.0, 0.03, blocks * arms)).reshape(blocks, arms)
    order = rng.permuted(np.tile(np.arange(arms), (blocks, 1)), axis=1)
    return np.asarray(_plain(rng, shape) + np.take_along_axis(walk, order, axis=1)[..., None])


def _correlated(rng: np.random.Generator, shape: tuple[int, ...]) -> FloatArray:
    """AR(1) 0.9 inside sessions of 600 samples: medians of what `campaigns` draws."""
    blocks, arms, figures = shape
    error = 0.1 * np.sqrt(np.pi / 2 / 600 * 19.0)
    found = rng.normal(0.0, 0.05 / np.sqrt(2.0), (blocks, arms, 1))
    return np.asarray(found + rng.normal(0.0, error, (blocks, arms, figures)), dtype=np.float64)


def _heavy(rng: np.random.Generator, shape: tuple[int, ...]) -> FloatArray:
    return np.asarray(rng.standard_t(3, shape) / np.sqrt(6.0) * SPREADS, dtype=np.float64)


def _unequal(times: float) -> Callable[[np.random.Generator, tuple[int, ...]], FloatArray]:
    def made(rng: np.random.Generator, shape: tuple[int, ...]) -> FloatArray:
        found = _plain(rng, shape)
        found[:, 1] *= times
        return found

    return made


def _wild(rng: np.random.Generator, shape: tuple[int, ...]) -> FloatArray:
    found = _plain(rng, shape)
    found[rng.integers(shape[0]), rng.integers(shape[1])] += np.log(3.0)
    return found


def _bistable(rng: np.random.Generator, shape: tuple[int, ...]) -> FloatArray:
    slow = rng.random((*shape[:-1], 1)) < 0.3
    return np.asarray(_plain(rng, shape) + np.log(1.3) * slow, dtype=np.float64)


PLACES: dict[str, Callable[[np.random.Generator, tuple[int, ...]], FloatArray]] = {
    "independent blocks": _plain,
    "AR(1) 0.9 in sessions": _correlated,
    "drift 3% a visit": _drift,
    "heavy tails": _heavy,
    "one mode scatters 3 times as much": _unequal(3.0),
    "one mode scatters 5 times as much": _unequal(5.0),
    "one wild block": _wild,
    "bistable path": _bistable,
}


def _words(logs: FloatArray, levels: tuple[float, float], alpha: float) -> tuple[list[Word], bool]:
    """Family verdicts of (arms, blocks, figures), and whether each alone would say `different`."""
    decisions, p = [], []
    for figure, margin in enumerate(MARGINS):
        held = scale.of_arms(logs[:, :, figure], KINDS)
        for other in OTHERS:
            d = logs[other, :, figure] - logs[0, :, figure]
            spread = scale.contrast(d, held, (KINDS[0], KINDS[other]))
            decisions.append(verdicts.classify(d, margin, levels, spread))
            p.append(spread.p_value(float(d.mean()), len(d)))
    words = [
        Word.INCONCLUSIVE
        if word in {Word.DIFFERENT, Word.SMALL} and not place.rejected(alpha)
        else word
        for word, place in zip(decisions, family.holm(p, alpha), strict=True)
    ]
    return words, any(word is Word.DIFFERENT for word in decisions)


def _run(logs: FloatArray) -> list[Word]:
    """What a run's first screen says: it may end at a look, else at its last block."""
    blocks = logs.shape[1]
    for look in LOOKS:
        if look >= blocks:
            break
        alpha = verdicts.alpha_of(look)
        words, _ = _words(logs[:, :look], (1.0 - alpha, 1.0 - alpha), alpha)
        if all(word in {Word.DIFFERENT, Word.EQUIVALENT} for word in words):
            return words
    return _words(logs, (0.95, 0.90), family.ALPHA)[0]


def _alone(logs: FloatArray) -> list[bool]:
    """The single-comparison rule on the same run: `different` by its own differences alone."""
    return [
        verdicts.classify(logs[o, :, f] - logs[0, :, f], margin) is Word.DIFFERENT
        for f, margin in enumerate(MARGINS)
        for o in OTHERS
    ]


def table(into: Table, runs: int, seed: int) -> None:
    """Adds the rows."""
    for blocks in (5, 8, 15):
        for name, place in PLACES.items():
            rng = np.random.default_rng((seed, blocks))
            alarms = strong = alone = 0
            for _ in range(runs):
                logs = place(rng, (blocks, len(KINDS), len(MARGINS))).transpose(1, 0, 2)
                alarms += Word.DIFFERENT in _run(logs)
                alone += any(_alone(logs)) if blocks < 15 else 0
                logs = logs.copy()
                logs[1] += np.log1p(2.0 * np.array(MARGINS))
                strong += Word.DIFFERENT in _run(logs)[1::2]
            before = f"{100 * alone / runs:.1f}% by the single-comparison rule" if alone else ""
            for what, count in (("equal arms", alarms), ("other arm differs", strong)):
                into.add(
                    Row(
                        claim="family, " + what,
                        setting=f"{name}, {blocks} blocks",
                        nominal=0.05,
                        side="at most",
                        reached=count / runs,
                        runs=runs,
                        before=(before or "31-36% (2 modes, 9 figures)")
                        if what == "equal arms"
                        else "",
                    )
                )
    _power(into, runs, seed)


def _power(into: Table, runs: int, seed: int) -> None:
    for blocks in (5, 8, 15):
        rng = np.random.default_rng((seed, blocks, 1))
        found, alone = np.zeros(4), np.zeros(4)
        for _ in range(runs):
            logs = _plain(rng, (blocks, len(KINDS), len(MARGINS))).transpose(1, 0, 2).copy()
            logs[1] += np.log1p(2.0 * np.array(MARGINS))
            found += [word is Word.DIFFERENT for word in _run(logs)[0::2]]
            alone += _alone(logs)[0::2]
        for figure, name in ((0, "p50, blocks scatter 5%"), (1, "p99, blocks scatter 15%")):
            into.add(
                Row(
                    claim="family, power",
                    setting=f"2 x margin, {name}, {blocks} blocks",
                    nominal=0.80 if blocks == 15 else None,
                    side="at least" if blocks == 15 else "shown",
                    reached=float(found[figure]) / runs,
                    runs=runs,
                    before=f"{100 * alone[figure] / runs:.0f}% by the single-comparison rule",
                )
            )
