"""The A/A floor, and the false alarms of the whole rule."""

import numpy as np
import pytest

from podbench.analysis.findings import aa
from podbench.analysis.stats import verdicts


def test_floor_of_two_blocks_by_hand() -> None:
    """Swaps of (0.1, 0.3) give 0.2 and 0.1: the 95th percentile is 0.2."""
    assert aa.floor_log(np.array([0.1, 0.3])) == pytest.approx(0.2)
    assert aa.floor_log(np.array([0.1])) is None


def test_floor_is_never_below_what_was_seen() -> None:
    """A bias every block shares is a floor of its own."""
    assert aa.floor_log(np.full(20, 0.04)) == pytest.approx(0.04)


def test_floor_covers_the_next_campaign() -> None:
    """Of campaigns without a difference about 95 in 100 stay under the average floor."""
    rng = np.random.default_rng(9)
    d = rng.normal(0.0, 0.05, (300, 10))
    floors = np.array([aa.floor_log(row) for row in d], dtype=float)
    fresh = np.abs(rng.normal(0.0, 0.05, (300, 10)).mean(axis=1))
    assert np.mean(fresh <= np.median(floors)) == pytest.approx(0.95, abs=0.05)


def _decision(mean: float, n: int = 10) -> verdicts.Decision:
    z = np.linspace(-1, 1, n)
    return verdicts.decide(np.asarray(mean + 0.01 * z), 0.05)


def test_check_counts_false_alarms() -> None:
    """One clear difference of an arm from itself fails; more than a tenth void the run."""
    quiet = [_decision(0.0) for _ in range(9)]
    assert aa.check(quiet).passed is True
    failed = aa.check([*quiet, _decision(0.3)])
    assert (failed.passed, failed.comparisons, failed.false_alarms) == (False, 10, 1)
    assert not aa.void(failed)
    assert aa.void(aa.check([_decision(0.3), *quiet[:5]]))


def test_check_without_a_repeat_says_nothing() -> None:
    """No A/A comparison: neither passed nor failed, and nothing is void."""
    nothing = aa.check([])
    assert nothing.passed is None
    assert not aa.void(nothing)


def test_false_alarms_of_the_rule() -> None:
    """A/A campaigns with AR(1) 0.9 and 5 % run effect: few `different`, pooling most."""
    from scipy import stats
    from support import campaigns

    rng = np.random.default_rng(10)
    alarms = pooled = 0
    for _ in range(100):
        base, other = campaigns.sessions(rng, campaigns.Campaign(blocks=10))
        alarms += verdicts.decide(campaigns.log_ratios(base, other), 0.05).verdict is (
            verdicts.Word.DIFFERENT
        )
        pooled += bool(stats.mannwhitneyu(base.ravel(), other.ravel()).pvalue < 0.05)
    # 100 campaigns at a true rate of 5 % show more than 12 once in 400 times.
    assert alarms <= 12
    assert pooled >= 60
