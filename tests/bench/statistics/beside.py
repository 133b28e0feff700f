"""Where scipy or statsmodels offer the same figure: the largest difference from ours."""

import numpy as np
from scipy import stats
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.weightstats import DescrStatsW
from statsmodels.tsa.stattools import acf

from podbench.analysis.stats import bursts, effective, intervals, multiple, quantiles


def table(n: int, seed: int) -> None:
    """Prints the largest relative difference over n random cases of each figure."""
    rng = np.random.default_rng(seed)
    worst: dict[str, float] = {}

    def note(name: str, ours: object, theirs: object) -> None:
        a, b = np.asarray(ours, dtype=np.float64), np.asarray(theirs, dtype=np.float64)
        gap = float(np.max(np.abs(a - b) / np.maximum(np.abs(b), 1e-12)))
        worst[name] = max(worst.get(name, 0.0), gap)

    for _ in range(n):
        d = rng.normal(0.02, 0.05, int(rng.integers(5, 30)))
        held = DescrStatsW(d)
        note("t interval, statsmodels", intervals.t_interval(d), held.tconfint_mean(0.05))
        note("t p value, scipy", intervals.t_p_value(d), stats.ttest_1samp(d, 0.0).pvalue)
        exact = stats.wilcoxon(d, method="exact").pvalue
        note("Wilcoxon signed-rank p, scipy", intervals.wilcoxon_p(d), exact)
        values = np.sort(rng.lognormal(0.0, 1.0, 1_000))
        theirs = stats.quantile(values, 0.99, method="harrell-davis")  # type: ignore[call-overload] # the stubs do not know this method yet
        note("Harrell-Davis p99, scipy", quantiles.harrell_davis(values, 0.99), theirs)
        p = rng.random(40) ** 3
        for ours, name in (
            (multiple.holm, "holm"),
            (multiple.benjamini_hochberg, "fdr_bh"),
            (multiple.benjamini_yekutieli, "fdr_by"),
        ):
            note(f"{name}, statsmodels", ours(p), multipletests(p, method=name)[1])
        sent, lost = 5_000, int(rng.integers(1, 200))
        single = [bursts.Session(block=0, sent=sent, lost=lost, squares=lost, longest=1)]
        df = np.array([2 * lost, 2 * lost + 2])
        garwood = stats.chi2.ppf(np.array([0.025, 0.975]), df) / 2 / sent
        note("Garwood interval, scipy", bursts.interval(single), garwood)
        series = _ar1(rng, 0.7, 2_000)
        rho = acf(series, nlags=len(series) - 1, fft=True)
        note("n_eff from acf, statsmodels", effective.n_effective([series]), _geyer(rho))
    print(f"\nThe same figures by scipy and statsmodels: largest relative difference in {n} cases")
    for name, gap in worst.items():
        print(f"{name:<42}{gap:>12.1e}")


def _ar1(rng: np.random.Generator, rho: float, n: int) -> np.ndarray:
    shocks = rng.normal(size=n)
    found = np.empty(n)
    found[0] = shocks[0] / np.sqrt(1 - rho**2)
    for i in range(1, n):
        found[i] = rho * found[i - 1] + shocks[i]
    return found


def _geyer(rho: np.ndarray) -> float:
    """Geyer's initial monotone sequence, written out: n over 1 + 2 sum rho."""
    total, least, lag = 0.0, np.inf, 0
    while lag + 1 < len(rho):
        pair = rho[lag] + rho[lag + 1]
        if pair <= 0.0:
            break
        least = min(least, pair)
        total += least
        lag += 2
    return len(rho) / (2.0 * total - 1.0)
