"""How often each way of deciding raises an alarm, over simulated campaigns of two arms."""

import msgspec
import numpy as np
import numpy.typing as npt
from scipy import stats
from statsmodels.regression.linear_model import OLS
from statsmodels.stats.weightstats import DescrStatsW
from support import campaigns

from podbench.analysis.findings import aa
from podbench.analysis.stats import verdicts
from podbench.analysis.stats.verdicts import Word

FloatArray = npt.NDArray[np.float64]

MARGIN = 0.05
LIMIT = float(np.log1p(MARGIN))

PLACES: dict[str, campaigns.Campaign] = {
    "no run effect": campaigns.Campaign(run_sd=0.0),
    "run effect 2 %": campaigns.Campaign(run_sd=0.02),
    "run effect 5 %": campaigns.Campaign(run_sd=0.05),
    "run effect 5 %, drift 2 %": campaigns.Campaign(run_sd=0.05, drift_sd=0.02),
    "run effect 5 %, heavy tails": campaigns.Campaign(run_sd=0.05, tail_share=0.05),
}
BLOCKS = (5, 10, 15)


class Counts(msgspec.Struct):
    """Alarms by method, over all campaigns of one row; the order is that of the columns."""

    different: int = 0
    above_floor: int = 0
    excludes_one: int = 0
    t_scipy: int = 0
    bca_scipy: int = 0
    wilcoxon_scipy: int = 0
    medians_scipy: int = 0
    hac_statsmodels: int = 0
    pooled_scipy: int = 0
    equivalent: int = 0
    tost_statsmodels: int = 0
    flagged: int = 0


HEADS = (
    "different",
    "and floor",
    "CI excl. 1",
    "t scipy",
    "BCa scipy",
    "Wilcoxon",
    "MWU medians",
    "HAC pooled",
    "MWU pooled",
    "equivalent",
    "TOST statsm",
    "flagged",
)


def _bca_excludes_zero(d: FloatArray, rng: np.random.Generator) -> bool:
    found = stats.bootstrap((d,), np.mean, method="BCa", n_resamples=1_999, rng=rng)
    low, high = found.confidence_interval
    return bool(low > 0.0 or high < 0.0)


def _hac_p(base: FloatArray, other: FloatArray) -> float:
    """Pooled samples in order of time, errors robust to autocorrelation (Newey-West)."""
    logs = np.log(np.concatenate([base.ravel(), other.ravel()]))
    arm = np.repeat((0.0, 1.0), base.size)
    lag = int(4 * (len(logs) / 100) ** (2 / 9))
    design = np.column_stack([np.ones_like(arm), arm])
    fitted = OLS(logs, design).fit(cov_type="HAC", cov_kwds={"maxlags": lag})
    return float(fitted.pvalues[1])


def _tost_p(d: FloatArray) -> float:
    return float(DescrStatsW(d).ttost_mean(-LIMIT, LIMIT)[0])


def _count(
    counts: Counts,
    arms: tuple[FloatArray, FloatArray],
    floor: float | None,
    rng: np.random.Generator,
) -> None:
    base, other = arms
    d = campaigns.log_ratios(base, other)
    found = verdicts.decide(d, MARGIN)
    different = found.verdict is Word.DIFFERENT
    counts.different += different
    counts.above_floor += different and floor is not None and abs(float(d.mean())) > floor
    counts.excludes_one += bool(found.ci95 and not found.ci95[0] <= 1.0 <= found.ci95[1])
    counts.t_scipy += bool(stats.ttest_1samp(d, 0.0).pvalue < 0.05)
    counts.bca_scipy += _bca_excludes_zero(d, rng)
    counts.wilcoxon_scipy += bool(stats.wilcoxon(d).pvalue < 0.05)
    medians = np.median(base, axis=1), np.median(other, axis=1)
    counts.medians_scipy += bool(stats.mannwhitneyu(*medians).pvalue < 0.05)
    counts.hac_statsmodels += _hac_p(base, other) < 0.05
    counts.pooled_scipy += bool(stats.mannwhitneyu(base.ravel(), other.ravel()).pvalue < 0.05)
    counts.equivalent += found.verdict is Word.EQUIVALENT
    counts.tost_statsmodels += _tost_p(d) < 0.05
    counts.flagged += found.disagreement


def simulate(campaign: campaigns.Campaign, n: int, seed: int) -> Counts:
    """Counts alarms over n campaigns; each brings an A/A pair of its own for the noise floor."""
    rng = np.random.default_rng(seed)
    resampling = np.random.default_rng(seed + 1)
    counts = Counts()
    same = msgspec.structs.replace(campaign, effect=1.0)
    for _ in range(n):
        floor = aa.floor_log(campaigns.log_ratios(*campaigns.sessions(rng, same)))
        _count(counts, campaigns.sessions(rng, campaign), floor, resampling)
    return counts


def table(title: str, n: int, seed: int, effect: float) -> dict[tuple[str, int], Counts]:
    """Prints a row for each place and number of blocks; gives the counts back."""
    print(f"\n{title}; % of {n} campaigns")
    print(f"{'place':<28}{'blocks':>7}" + "".join(f"{head:>12}" for head in HEADS))
    found = {}
    for name, place in PLACES.items():
        for blocks in BLOCKS:
            campaign = msgspec.structs.replace(place, blocks=blocks, effect=effect)
            counts = found[name, blocks] = simulate(campaign, n, seed)
            cells = [f"{100 * count / n:12.1f}" for count in msgspec.structs.astuple(counts)]
            print(f"{name:<28}{blocks:>7}" + "".join(cells), flush=True)
    return found


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


def sequential_table(n: int, seed: int) -> None:
    """Prints what stopping early costs."""
    print("\nStopping at looks (5, 10, 15, 20, 30 blocks) with run effect 5 %, maximum 30 blocks")
    print(f"{'true ratio':<29}{'different %':>12}{'equivalent %':>13}{'mean blocks':>12}")
    for effect in (1.0, 1.05, 1.10, 1.20):
        place = campaigns.Campaign(blocks=30, effect=effect)
        different, equivalent, blocks = sequential(place, n, seed)
        print(f"{effect:<29}{100 * different:>12.1f}{100 * equivalent:>13.1f}{blocks:>12.1f}")


def accepted(
    equal: dict[tuple[str, int], Counts], apart: dict[tuple[str, int], Counts], n: int
) -> bool:
    """Prints whether the rule keeps its promises: 8 % false alarms, 80 % power at 15 blocks."""
    worst = max(counts.different for counts in equal.values()) / n
    excluded = max(counts.excludes_one for counts in equal.values()) / n
    power = min(counts.different for (_, blocks), counts in apart.items() if blocks == 15) / n
    print(
        f"\nfalse alarms at most {worst:.1%} (intervals that exclude 1: {excluded:.1%}), limit 8 %"
    )
    print(f"power at twice the margin with 15 blocks at least {power:.1%}, limit 80 %")
    return max(worst, excluded) <= 0.08 and power >= 0.80
