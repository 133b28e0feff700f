"""Intervals of a pair's quantile: they cover, or there is none."""

import numpy as np
import pytest

from podbench.analysis.stats import pooled


def _sessions(rng: np.random.Generator, kind: str, sessions: int) -> list[np.ndarray]:
    """1,000 samples each; a slow state or a burst in some sessions."""
    found = []
    for _ in range(sessions):
        values = rng.normal(rng.normal(0.0, 0.03), 0.1, 1_000)
        if kind == "burst" and rng.random() < 0.2:
            values[:50] += np.log(5.0)
        if kind == "bistable" and rng.random() < 0.5:
            values += np.log(1.5)
        found.append(np.sort(1e4 * np.exp(values)))
    return found


@pytest.mark.parametrize(
    ("kind", "q", "sessions"),
    [("burst", 0.99, 15), ("bistable", 0.5, 8), ("plain", 0.5, 15), ("plain", 0.99, 15)],
)
def test_it_covers_the_quantile_of_everything(kind: str, q: float, sessions: int) -> None:
    """200 runs, at least 92%: the quantile of all samples that such a path ever has."""
    rng = np.random.default_rng(7)
    truth = float(np.quantile(np.concatenate(_sessions(rng, kind, 2_000)), q))
    kept = 0
    for _ in range(200):
        found = pooled.interval(_sessions(rng, kind, sessions), q)
        assert found is not None
        kept += found[0] <= truth <= found[1]
    assert kept >= 0.92 * 200


def test_fewer_sessions_cannot_tell() -> None:
    """A state that one session in five shows stays unseen too often."""
    rng = np.random.default_rng(8)
    parts = _sessions(rng, "plain", 20)
    assert pooled.interval(parts[:7], 0.5) is None
    assert pooled.interval(parts[:8], 0.5) is not None
    assert pooled.interval(parts[:13], 0.99) is None
    assert pooled.interval([*parts[:13], np.empty(0)], 0.99) is None
    assert pooled.interval(parts[:14], 0.99) is not None


def test_a_quiet_path_is_decided() -> None:
    """15 sessions that scatter by 3%: limits 10% (p50) and 20% (p99) away lie outside."""
    rng = np.random.default_rng(9)
    for q, away in ((0.5, 0.10), (0.99, 0.20)):
        parts = _sessions(rng, "plain", 15)
        value = float(np.quantile(np.concatenate(parts), q))
        found = pooled.interval(parts, q)
        assert found is not None
        assert value * (1 - away) < found[0] < found[1] < value * (1 + away)
