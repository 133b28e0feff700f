"""A family of verdicts: Holm, intervals that agree with it, the spread from all arms."""

import numpy as np
import pytest

from podbench.analysis.stats import family, intervals, scale

KINDS = ("bgp", "vxlan", "ipip", "bgp")


def _logs(rng: np.random.Generator, blocks: int, spreads: tuple[float, ...]) -> np.ndarray:
    shared = rng.normal(0.0, 0.2, blocks)
    return np.stack([shared + rng.normal(0.0, sd, blocks) for sd in spreads])


def test_intervals_leave_out_one_exactly_where_the_family_rejects() -> None:
    """The level beside each member is its own step's: verdict and interval never disagree."""
    rng = np.random.default_rng(1)
    for _ in range(200):
        t = rng.normal(rng.choice([0.0, 4.0], 8), 1.0)
        spread = scale.Scale(variance=1.0, df=9.0)
        p = [spread.p_value(float(one), 1) for one in t]
        for one, held in zip(t, family.holm(p), strict=True):
            low, high = spread.interval(float(one), 1, held.level)
            assert (low > 0.0 or high < 0.0) == held.rejected(family.ALPHA)
    assert family.holm([]) == []


def test_other_arms_lend_degrees_of_freedom_not_their_noise() -> None:
    """Equal spreads: three times the degrees of freedom; a noisy arm keeps its own variance."""
    rng = np.random.default_rng(2)
    df, noisy = [], []
    for _ in range(300):
        logs = _logs(rng, 8, (0.05, 0.05, 0.05, 0.05))
        held = scale.of_arms(logs, KINDS)
        df.append(scale.contrast(logs[1] - logs[0], held, ("bgp", "vxlan")).df)
        logs = _logs(rng, 8, (0.05, 0.25, 0.05, 0.05))
        held = scale.of_arms(logs, KINDS)
        noisy.append(scale.contrast(logs[1] - logs[0], held, ("bgp", "vxlan")).variance)
    assert np.median(df) > 11.0
    assert np.mean(noisy) > 0.9 * (0.25**2 + 0.05**2)


def test_a_contrast_is_never_surer_than_its_own_differences() -> None:
    """However quiet the other arms are; and alone it is the paired t test."""
    rng = np.random.default_rng(3)
    d = rng.normal(0.0, 0.3, 6)
    quiet = scale.Arms(variances={"bgp": 1e-6, "vxlan": 1e-6}, df={"bgp": 10.0, "vxlan": 5.0})
    assert scale.contrast(d, quiet, ("bgp", "vxlan")).variance == pytest.approx(d.var(ddof=1))
    alone = scale.contrast(d, None, ("bgp", "vxlan"))
    assert alone.p_value(float(d.mean()), 6) == pytest.approx(intervals.t_p_value(d))
    assert scale.of_arms(np.zeros((2, 9)), ("bgp", "vxlan")) is None
    assert scale.of_arms(np.zeros((4, 2)), KINDS) is None


@pytest.mark.parametrize("spreads", [(0.05,) * 4, (0.05, 0.25, 0.05, 0.05)])
def test_equal_arms_alarm_rarely(spreads: tuple[float, ...]) -> None:
    """Five blocks, 2 modes x 4 figures, 600 runs: at most 6.4% print any false alarm."""
    rng = np.random.default_rng(4)
    alarms = 0
    for _ in range(600):
        p = []
        for _ in range(4):
            logs = _logs(rng, 5, spreads)
            held = scale.of_arms(logs, KINDS)
            for arm, mode in ((1, "vxlan"), (2, "ipip")):
                d = logs[arm] - logs[0]
                found = scale.contrast(d, held, ("bgp", mode))
                p.append(found.p_value(float(d.mean()), 5))
        alarms += any(one.rejected(family.ALPHA) for one in family.holm(p))
    assert alarms <= 0.064 * 600
