"""Many pairs, loss and bad nodes: what is found falsely and what is found, beside libraries."""

from itertools import combinations

import numpy as np
import numpy.typing as npt
from scipy import stats
from statsmodels.stats.multitest import multipletests

from podbench.analysis.compare import campaigns
from podbench.analysis.findings import discoveries
from podbench.analysis.findings.blame import NODE_Z
from podbench.analysis.findings.comparisons import compare_loss
from podbench.analysis.samples.loss_table import LossTable, Tally
from podbench.analysis.stats import multiple, polish
from podbench.analysis.stats.verdicts import Word

FloatArray = npt.NDArray[np.float64]

NODES, BLOCKS, SD = 10, 10, 0.05
PAIRS = tuple(combinations(range(NODES), 2))
TRUE_PAIRS = 5
LARGE = float(np.log1p(0.05))


def _ratios(rng: np.random.Generator, effect: float) -> FloatArray:
    """(pairs, blocks) log ratios; pairs of a node move together; the first five have an effect."""
    found = rng.normal(0.0, SD, (len(PAIRS), BLOCKS))
    shared = rng.normal(0.0, SD / 2, (NODES, BLOCKS))
    found += np.array([shared[i] + shared[j] for i, j in PAIRS])
    found[:TRUE_PAIRS] += np.log(effect)
    return found


_RULES = {
    "none": np.asarray,
    "Benjamini-Hochberg": multiple.benjamini_hochberg,
    "Benjamini-Yekutieli": multiple.benjamini_yekutieli,
    "scipy BH": stats.false_discovery_control,
    "statsmodels BH": lambda p: multipletests(p, method="fdr_bh")[1],
}


def pairs_table(n: int, seed: int) -> None:
    """Prints false discoveries over a mesh of 45 pairs that share nodes."""
    print(f"\n{len(PAIRS)} pairs of {NODES} nodes, {BLOCKS} blocks; {n} campaigns")
    print(
        f"{'adjusted by':<22}{'equal arms: any, %':>20}{'5 pairs +20 %: found, %':>25}"
        f"{'false among found, %':>22}"
    )
    for name, adjust in _RULES.items():
        rng = np.random.default_rng(seed)
        alarms, power, false = 0, 0.0, 0.0
        for _ in range(n):
            alarms += bool(np.any(_found(_ratios(rng, 1.0), adjust)))
            hits = _found(_ratios(rng, 1.2), adjust)
            power += hits[:TRUE_PAIRS].mean()
            false += hits[TRUE_PAIRS:].sum() / max(1, hits.sum())
        cells = (100 * alarms / n, 100 * power / n, 100 * false / n)
        print(f"{name:<22}{cells[0]:>20.1f}{cells[1]:>25.1f}{cells[2]:>22.1f}")


def _found(ratios: FloatArray, adjust: object) -> npt.NDArray[np.bool_]:
    tests = discoveries.paired_t(ratios)
    adjusted = np.asarray(adjust(tests.p))  # type: ignore[operator] # every rule takes p values
    return (adjusted <= discoveries.Q) & (np.abs(tests.mean) > LARGE)


def _losses(rng: np.random.Generator, ratio: float, blocks: int) -> LossTable:
    """1 % of 2,000 probes a block, uneven from run to run; the other arm loses `ratio` times it."""
    table: LossTable = {}
    for block in range(1, blocks + 1):
        for arm, factor in (("bgp/pod", 1.0), ("vxlan/pod", ratio)):
            chance = min(0.5, 0.01 * factor * float(np.exp(rng.normal(0.0, 0.5))))
            lost = int(rng.binomial(2_000, chance))
            table[arm, block] = {
                ("n1", "n2"): Tally(
                    sent=2_000, lost_forward=lost, lost_backward=0, lost_unknown=0, after=0, again=0
                )
            }
    return table


def loss_table(n: int, seed: int) -> None:
    """Prints alarms on loss: by run, beside a pooled test of the same counts."""
    print(f"\nLoss of 1 % that varies from run to run by half; margin 10 %; % of {n} campaigns")
    print(f"{'true ratio':<12}{'blocks':>7}{'different':>12}{'chi2 pooled':>13}")
    for ratio, blocks in ((1.0, 5), (1.0, 15), (3.0, 5), (3.0, 15)):
        rng = np.random.default_rng(seed)
        ours = pooled = 0
        for _ in range(n):
            table = _losses(rng, ratio, blocks)
            arms = ("bgp/pod", "vxlan/pod")
            ours += compare_loss(arms, table, None).decision.verdict is Word.DIFFERENT
            lost = [
                sum(table[arm, b]["n1", "n2"].lost for b in range(1, blocks + 1)) for arm in arms
            ]
            counts = np.array([[one, 2_000 * blocks - one] for one in lost])
            pooled += bool(stats.chi2_contingency(counts).pvalue < 0.05)
        print(f"{ratio:<12}{blocks:>7}{100 * ours / n:>12.1f}{100 * pooled / n:>13.1f}")


def nodes_table(n: int, seed: int) -> None:
    """Prints how often median polish names a slow node, and a sound one."""
    print(f"\nOne node of {NODES} slower, pairs scatter by 3 %; median polish; % of {n} meshes")
    print(f"{'slower by':<12}{'named':>8}{'a sound node named':>20}")
    for slower in (0.0, 0.05, 0.15):
        rng = np.random.default_rng(seed)
        named = falsely = 0
        for _ in range(n):
            table = np.log(1e4) + rng.normal(0.0, 0.03, (NODES, NODES))
            table[0, :] += np.log1p(slower)
            table[:, 0] += np.log1p(slower)
            np.fill_diagonal(table, np.nan)
            effects = polish.median_polish(table)
            both = effects.out + effects.into
            flagged = (polish.robust_z(both) > NODE_Z) & (both > LARGE)
            named += bool(flagged[0])
            falsely += bool(flagged[1:].any())
        print(f"{slower:<12.0%}{100 * named / n:>8.1f}{100 * falsely / n:>20.1f}")


def between_table(n: int, seed: int) -> None:
    """Prints alarms between two campaigns: `bench compare`, beside scipy's Welch test."""
    print(f"\nTwo campaigns of 10 blocks, run effect 5 %; % of {n}")
    heads = ("different", "CI excl. 1", "Welch scipy", "equivalent")
    print(f"{'true ratio':<12}" + "".join(f"{head:>13}" for head in heads))
    for ratio in (1.0, 1.1):
        rng = np.random.default_rng(seed)
        ours = excluded = theirs = same = 0
        for _ in range(n):
            base, other = rng.normal(0.0, SD, (2, 10))
            other = other + np.log(ratio)
            found = campaigns.decide(base, other, 0.05)
            ours += found.verdict is Word.DIFFERENT
            same += found.verdict is Word.EQUIVALENT
            excluded += bool(found.ci95 and not found.ci95[0] <= 1.0 <= found.ci95[1])
            theirs += bool(stats.ttest_ind(base, other, equal_var=False).pvalue < 0.05)
        cells = (ours, excluded, theirs, same)
        print(f"{ratio:<12}" + "".join(f"{100 * count / n:>13.1f}" for count in cells))
