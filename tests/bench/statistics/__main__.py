"""False alarms and detections of the verdict rule, beside pooling and scipy's own tests.

Run: `python tests/bench/statistics [--campaigns 500] [--seed 1]` (about two minutes for 500).
Every row is one kind of place; each cell counts over that many simulated campaigns. Samples inside
a session are AR(1) 0.9 with 10 % spread, 600 to a session. The first table has no difference
between the arms (every alarm is false), the second one twice the margin, the third what stopping
early costs.
"""

import argparse
import sys
import time
from pathlib import Path

import msgspec
import numpy as np
from scipy import stats

sys.path.insert(0, str(Path(__file__).parents[2]))

from support import campaigns

from podbench.analysis import aa, verdicts
from podbench.analysis.verdicts import Word

MARGIN = 0.05

PLACES: dict[str, campaigns.Campaign] = {
    "no run effect": campaigns.Campaign(run_sd=0.0),
    "run effect 2 %": campaigns.Campaign(run_sd=0.02),
    "run effect 5 %": campaigns.Campaign(run_sd=0.05),
    "run effect 5 %, drift 2 %": campaigns.Campaign(run_sd=0.05, drift_sd=0.02),
    "run effect 5 %, heavy tails": campaigns.Campaign(run_sd=0.05, tail_share=0.05),
}


class Counts(msgspec.Struct):
    """Alarms by method, over all campaigns of one row."""

    different: int = 0
    above_floor: int = 0
    excludes_one: int = 0
    wilcoxon: int = 0
    medians: int = 0
    pooled: int = 0
    equivalent: int = 0
    flagged: int = 0


def _count(counts: Counts, base: np.ndarray, other: np.ndarray, floor: float | None) -> None:
    d = campaigns.log_ratios(base, other)
    found = verdicts.decide(d, MARGIN)
    different = found.verdict is Word.DIFFERENT
    counts.different += different
    counts.above_floor += different and floor is not None and abs(float(d.mean())) > floor
    counts.excludes_one += bool(found.ci95 and not found.ci95[0] <= 1.0 <= found.ci95[1])
    counts.wilcoxon += bool(stats.wilcoxon(d).pvalue < 0.05)
    medians = np.median(base, axis=1), np.median(other, axis=1)
    counts.medians += bool(stats.mannwhitneyu(*medians).pvalue < 0.05)
    counts.pooled += bool(stats.mannwhitneyu(base.ravel(), other.ravel()).pvalue < 0.05)
    counts.equivalent += found.verdict is Word.EQUIVALENT
    counts.flagged += found.disagreement


def simulate(campaign: campaigns.Campaign, n: int, seed: int) -> Counts:
    """Counts alarms over n campaigns; each brings an A/A pair of its own for the noise floor."""
    rng = np.random.default_rng(seed)
    counts = Counts()
    same = msgspec.structs.replace(campaign, effect=1.0)
    for _ in range(n):
        floor = aa.floor_log(campaigns.log_ratios(*campaigns.sessions(rng, same)))
        _count(counts, *campaigns.sessions(rng, campaign), floor)
    return counts


def sequential(campaign: campaigns.Campaign, n: int, seed: int) -> tuple[float, float, float]:
    """(share `different`, share `equivalent`, mean blocks) when a run may stop by itself."""
    rng = np.random.default_rng(seed)
    words, used = [], []
    for _ in range(n):
        d = campaigns.log_ratios(*campaigns.sessions(rng, campaign))
        for blocks in range(2, campaign.blocks + 1):
            look = verdicts.look(d[:blocks], MARGIN, maximum=campaign.blocks)
            if look is not None and look.decided:
                words.append(look.decision.verdict)
                used.append(blocks)
                break
    share = [sum(word is kind for word in words) / n for kind in (Word.DIFFERENT, Word.EQUIVALENT)]
    return share[0], share[1], float(np.mean(used))


def _row(name: str, blocks: int, counts: Counts, n: int) -> None:
    cells = [f"{100 * count / n:5.1f}" for count in msgspec.structs.astuple(counts)]
    print(f"{name:<29}{blocks:>7}" + "".join(f"{cell:>12}" for cell in cells))


def _table(title: str, n: int, seed: int, effect: float) -> None:
    heads = ["different", "and floor", "CI excl. 1", "Wilcoxon", "MWU medians", "MWU pooled"]
    heads += ["equivalent", "flagged"]
    print(f"\n{title}; % of {n} campaigns")
    print(f"{'place':<29}{'blocks':>7}" + "".join(f"{head:>12}" for head in heads))
    for name, place in PLACES.items():
        for blocks in (5, 10, 15):
            campaign = msgspec.structs.replace(place, blocks=blocks, effect=effect)
            _row(name, blocks, simulate(campaign, n, seed), n)


def main() -> None:
    """Prints the tables."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--campaigns", type=int, default=500)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    n, seed = options.campaigns, options.seed
    began = time.monotonic()
    _table("No difference between the arms: false alarms", n, seed, 1.0)
    _table("A difference of 10 %, twice the margin: detections", n, seed, 1.10)
    print("\nStopping at looks (5, 10, 15, 20, 30 blocks) with run effect 5 %, maximum 30 blocks")
    print(f"{'true ratio':<29}{'different %':>12}{'equivalent %':>13}{'mean blocks':>12}")
    for effect in (1.0, 1.05, 1.10, 1.20):
        place = campaigns.Campaign(blocks=30, effect=effect)
        different, equivalent, blocks = sequential(place, n, seed)
        print(f"{effect:<29}{100 * different:>12.1f}{100 * equivalent:>13.1f}{blocks:>12.1f}")
    print(f"\nseed {seed}, {time.monotonic() - began:.0f} s")


if __name__ == "__main__":
    main()
