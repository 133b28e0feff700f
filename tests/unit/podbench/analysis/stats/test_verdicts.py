"""The verdict rules, word by word, and what many looks may conclude."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from statsmodels.stats.weightstats import DescrStatsW

from podbench.analysis.stats import verdicts
from podbench.analysis.stats.verdicts import Word


def _d(centre: float, spread: float, n: int = 10) -> np.ndarray:
    """Differences with exactly this mean and standard deviation."""
    z = np.linspace(-1.0, 1.0, n)
    return np.asarray(centre + spread * z / z.std(ddof=1))


@pytest.mark.parametrize(
    ("centre", "spread", "expected"),
    [
        (0.20, 0.02, Word.DIFFERENT),
        (-0.20, 0.02, Word.DIFFERENT),
        (0.0, 0.02, Word.EQUIVALENT),
        (0.01, 0.005, Word.EQUIVALENT),
        (0.045, 0.03, Word.SMALL),
        (0.0, 0.20, Word.INCONCLUSIVE),
        (0.10, 0.40, Word.INCONCLUSIVE),
    ],
)
def test_words(centre: float, spread: float, expected: Word) -> None:
    """Each word on a case made for it, margin 5 %."""
    assert verdicts.decide(_d(centre, spread), 0.05).verdict is expected


def test_margin_is_a_ratio_not_a_logarithm() -> None:
    """The limit is log(1 + m): an effect just inside is not different."""
    inside, outside = np.log(1.0499), np.log(1.0501)
    assert verdicts.classify(_d(inside, 1e-5), 0.05) is not Word.DIFFERENT
    assert verdicts.classify(_d(outside, 1e-5), 0.05) is Word.DIFFERENT


def test_ratio_and_interval() -> None:
    """Exp of the mean, inside exp of its interval."""
    found = verdicts.decide(_d(np.log(1.2), 0.05), 0.05)
    assert found.ratio == pytest.approx(1.2)
    assert found.ci95 is not None
    assert found.ci95[0] < 1.2 < found.ci95[1]


def test_one_block_has_no_verdict() -> None:
    """A ratio, no interval, and the reason."""
    found = verdicts.decide(np.array([0.5]), 0.05)
    assert (found.verdict, found.ci95) == (Word.INCONCLUSIVE, None)
    assert found.reason is not None
    assert "one block" in found.reason
    assert verdicts.decide(np.empty(0), 0.05).verdict is Word.NOT_MEASURED


def test_inconclusive_says_how_much_longer() -> None:
    """The reason names the number of blocks that would do."""
    found = verdicts.decide(_d(0.0, 0.20), 0.05)
    assert found.blocks_needed is not None
    assert found.reason is not None
    assert str(found.blocks_needed) in found.reason


def test_blocks_needed_reach_half_the_margin() -> None:
    """With that many blocks the half-width is at most m/2, with one less it is not."""
    from podbench.analysis.stats.intervals import t_quantile

    n = verdicts.blocks_needed(0.07, 0.05)
    assert n is not None
    target = np.log(1.05) / 2
    assert t_quantile(n - 1, 0.95) * 0.07 / np.sqrt(n) <= target
    assert t_quantile(n - 2, 0.95) * 0.07 / np.sqrt(n - 1) > target
    assert verdicts.blocks_needed(1e6, 0.03) is None


def test_smallest_detectable_ratio_has_its_power() -> None:
    """A true effect of that size is told from 1 in about 80 of 100 campaigns."""
    ratio = verdicts.smallest_detectable_ratio(0.05, 10)
    assert ratio is not None
    rng = np.random.default_rng(6)
    d = rng.normal(np.log(ratio), 0.05, (2000, 10))
    half = 2.262 * d.std(axis=1, ddof=1) / np.sqrt(10)
    assert np.mean(d.mean(axis=1) > half) == pytest.approx(0.80, abs=0.04)
    assert verdicts.smallest_detectable_ratio(0.05, 1) is None


def test_an_outlier_raises_the_flag() -> None:
    """One block that makes the mean and not the centre is a disagreement."""
    calm = np.linspace(0.05, 0.06, 13)
    assert not verdicts.decide(calm, 0.10).disagreement
    assert verdicts.decide(np.append(calm, -3.0), 0.10).disagreement


def test_withdrawn_differences_keep_their_figures() -> None:
    """Below the floor a difference is inconclusive, its ratio still shown; equivalence stays."""
    found = verdicts.unresolved(verdicts.decide(_d(0.2, 0.02), 0.05), "within the floor")
    assert (found.verdict, found.reason) == (Word.INCONCLUSIVE, "within the floor")
    assert found.ratio == pytest.approx(np.exp(0.2))
    same = verdicts.decide(_d(0.0, 0.02), 0.05)
    assert verdicts.unresolved(same, "x") is same


def test_a_look_is_stricter_the_earlier_it_is() -> None:
    """99.5% intervals at five blocks, 99% from ten on."""
    assert [verdicts.alpha_of(blocks) for blocks in (5, 9, 10, 50)] == [0.005, 0.005, 0.01, 0.01]


# Log ratios with three decimals, more than one of them different: spread without underflow.
DIFFERENCES = (
    st.lists(st.integers(-200, 200), min_size=3, max_size=14)
    .filter(lambda held: len(set(held)) > 1)
    .map(lambda held: np.array(held, dtype=np.float64) / 1000.0)
)


@given(DIFFERENCES, st.sampled_from([0.03, 0.05, 0.10]))
def test_equivalence_is_statsmodels_two_one_sided_tests(d: np.ndarray, margin: float) -> None:
    """Below 15 blocks `equivalent` is TOST at 5 %, wherever the first rule does not come before."""
    limit = float(np.log1p(margin))
    p = float(DescrStatsW(d).ttost_mean(-limit, limit)[0])
    found = verdicts.decide(d, margin)
    if found.verdict is Word.DIFFERENT or abs(p - 0.05) < 1e-9:
        return
    assert (found.verdict is Word.EQUIVALENT) == (p < 0.05)


@given(DIFFERENCES, st.sampled_from([0.03, 0.05, 0.10]))
def test_swapped_arms_swap_the_ratio_and_keep_the_word(d: np.ndarray, margin: float) -> None:
    """Which arm is the base is a matter of naming."""
    one, other = verdicts.decide(d, margin), verdicts.decide(-d, margin)
    assert one.verdict is other.verdict
    assert one.ratio == pytest.approx(1.0 / (other.ratio or 1.0))
    assert one.blocks_needed == other.blocks_needed
    assert one.wilcoxon_p == pytest.approx(other.wilcoxon_p)
    assert one.hodges_lehmann_ratio == pytest.approx(1.0 / (other.hodges_lehmann_ratio or 1.0))
