"""Two independent campaigns: Welch against scipy, verdicts, and what is not claimed."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from podbench.analysis.compare.campaigns import Counts, decide, decide_loss, hodges_lehmann, welch
from podbench.analysis.stats.bursts import Session
from podbench.analysis.stats.verdicts import Word

# Logs of figures with three decimals: nearer values have a variance that underflows, where scipy
# gives no answer to compare with.
LOGS = st.lists(
    st.integers(-3000, 3000).map(lambda thousandths: thousandths / 1000),
    min_size=2,
    max_size=12,
    unique=True,
)


@given(LOGS, LOGS)
def test_welch_is_scipys(base: list[float], other: list[float]) -> None:
    """p, interval and degrees of freedom are those of scipy's Welch test."""
    a, b = np.array(base), np.array(other)
    found = welch(a, b)
    theirs = stats.ttest_ind(b, a, equal_var=False)
    assert found is not None
    interval = theirs.confidence_interval(0.9)
    assert found.p_value == pytest.approx(float(theirs.pvalue), rel=1e-6, abs=1e-12)
    assert found.interval(0.9) == pytest.approx((interval.low, interval.high), rel=1e-6, abs=1e-9)
    assert found.df == pytest.approx(float(theirs.df), rel=1e-6)


def test_no_spread_at_all() -> None:
    """Blocks without any spread give an interval of a point, not a division by zero."""
    same = decide(np.full(5, 1.0), np.full(5, 1.0), 0.05)
    assert (same.verdict, same.ratio, same.p_value) == (Word.EQUIVALENT, 1.0, 1.0)
    apart = decide(np.full(5, 0.0), np.full(6, 1.0), 0.05)
    assert (apart.verdict, apart.p_value) == (Word.DIFFERENT, 0.0)


@pytest.mark.parametrize(
    ("shift", "spread", "word"),
    [
        (0.3, 0.02, Word.DIFFERENT),
        (0.0, 0.01, Word.EQUIVALENT),
        (0.045, 0.02, Word.SMALL),
        (0.05, 0.2, Word.INCONCLUSIVE),
    ],
)
def test_words(shift: float, spread: float, word: Word) -> None:
    """The words follow from interval and margin, as inside a run."""
    base = spread * np.linspace(-1, 1, 8)
    found = decide(base, base[::-1] + shift, 0.05)
    assert found.verdict is word
    assert found.blocks == 8
    assert (found.reason is None) == (word is not Word.INCONCLUSIVE)


@pytest.mark.parametrize(("first", "second"), [(2, 8), (8, 2), (1, 1)])
def test_few_campaigns_have_no_verdict(first: int, second: int) -> None:
    """Below three campaigns on either side there is a ratio, no interval, and the reason."""
    found = decide(np.zeros(first), np.ones(second), 0.05)
    assert (found.verdict, found.ci95, found.p_value) == (Word.INCONCLUSIVE, None, None)
    assert found.ratio == pytest.approx(np.e)
    assert found.reason is not None
    assert "a verdict takes 3" in found.reason


def test_nothing_measured() -> None:
    """Without a campaign on one side nothing was measured."""
    assert decide(np.empty(0), np.ones(5), 0.05).verdict is Word.NOT_MEASURED


def test_two_campaigns_alike_rarely_differ() -> None:
    """Of 600 pairs of campaigns from one source at most 7 % are called different from no change."""
    rng = np.random.default_rng(7)
    false = 0
    for _ in range(600):
        base, other = rng.normal(0, 0.1, 6), rng.normal(0, 0.2, 10)
        interval = decide(base, other, 0.0001).ci95
        assert interval is not None
        false += not interval[0] <= 1.0 <= interval[1]
    assert 0.02 * 600 <= false <= 0.075 * 600


def counts(lost: list[int], sent: int = 1000) -> Counts:
    """A campaign's losses by block."""
    sessions = tuple(
        Session(block=i, sent=sent, lost=one, squares=one, longest=min(1, one))
        for i, one in enumerate(lost)
    )
    return Counts(np.full(len(lost), sent), np.array(lost), sum(lost), sessions)


@pytest.mark.parametrize(
    ("base", "other", "word", "said"),
    [
        ([0] * 6, [0] * 6, Word.INCONCLUSIVE, "none of 6000 and 6000 probes lost"),
        ([0] * 2, [0] * 2, Word.INCONCLUSIVE, "2 and 2 campaigns"),
        ([20, 22, 19, 21, 20, 23], [60, 66, 58, 61, 64, 60], Word.DIFFERENT, None),
        ([0, 0, 1, 0, 0, 0], [1, 0, 0, 1, 0, 1], Word.INCONCLUSIVE, "faster and slower"),
    ],
)
def test_loss(base: list[int], other: list[int], word: Word, said: str | None) -> None:
    """Loss is counted: none at all is a finding, few losses prove nothing, many do."""
    found = decide_loss(counts(base), counts(other), 0.1)
    assert found.verdict is word
    assert said is None or said in (found.reason or "")


def test_loss_of_few_probes_is_what_chance_gives() -> None:
    """A t test that is too sure of a handful of losses is withdrawn."""
    found = decide_loss(counts([1] * 5, 500), counts([2] * 5, 500), 0.1)
    assert found.verdict is Word.INCONCLUSIVE
    assert "chance" in (found.reason or "")


def test_the_twin_between_campaigns() -> None:
    """The median of all differences by hand; one wild block moves the mean, not the twin."""
    assert hodges_lehmann(np.array([0.0, 1.0]), np.array([2.0, 5.0])) == pytest.approx(3.0)
    base = np.linspace(-0.01, 0.01, 8)
    assert not decide(base, base + 0.1, 0.05).disagreement
    wild = np.concatenate((np.linspace(-0.001, 0.001, 19), [0.5]))
    found = decide(np.zeros(20), wild, 0.05)
    assert found.hodges_lehmann_ratio == pytest.approx(1.0, abs=1e-3)
    assert found.ratio == pytest.approx(np.exp(0.025))


def test_blocks_for_what_stays_open_between_campaigns() -> None:
    """As many blocks in each campaign as are named leave an interval of half the margin."""
    rng = np.random.default_rng(8)
    base, other = rng.normal(0.0, 0.08, (2, 8))
    needed = decide(base, other, 0.05).blocks_needed
    assert needed is not None
    spread = float(np.hypot(base.std(ddof=1), other.std(ddof=1)))
    half = stats.t.ppf(0.975, needed - 1) * spread / np.sqrt(needed)
    assert half <= np.log(1.05) / 2.0 < half * 1.05
