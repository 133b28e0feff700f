"""Variance components of made-up designs."""

import numpy as np
import pytest

from podbench.analysis.figures import variance


def _design(rng: np.random.Generator, sds: tuple[float, float, float]) -> list[variance.Session]:
    within, blocks, pairs = sds
    found = []
    for p in range(30):
        level = 100 + rng.normal(0, pairs)
        for _ in range(8):
            values = level + rng.normal(0, blocks) + rng.normal(0, within, 50)
            found.append(variance.session((str(p), "x"), values, 50.0))
    return found


@pytest.mark.parametrize("sds", [(2.0, 1.0, 3.0), (1.0, 2.0, 0.0), (1.0, 0.0, 0.0)])
def test_components_come_back(sds: tuple[float, float, float]) -> None:
    """On average over designs the moments are the variances put in."""
    rng = np.random.default_rng(11)
    found = np.array([variance.components(_design(rng, sds)) for _ in range(20)])
    np.testing.assert_allclose(found.mean(axis=0), np.square(sds), atol=0.2, rtol=0.2)


def test_shares_add_up_to_one() -> None:
    """Three shares, none negative, together 1."""
    found = variance.shares(_design(np.random.default_rng(1), (2.0, 1.0, 3.0)))
    assert found is not None
    parts = (found.within_session, found.between_blocks, found.between_pairs)
    assert sum(parts) == pytest.approx(1.0)
    assert min(parts) >= 0.0
    assert found.between_pairs == pytest.approx(9 / 14, abs=0.2)


def test_correlated_samples_do_not_pose_as_block_effects() -> None:
    """With n_eff the wander of a session's mean is its samples', with n it would be the block's."""
    rng = np.random.default_rng(2)
    honest, naive = [], []
    for p in range(40):
        for _ in range(6):
            # Each value ten times over: 50 samples worth 5.
            values = 100 + np.repeat(rng.normal(0, 1, 5), 10)
            honest.append(variance.session((str(p), "x"), values, 5.0))
            naive.append(variance.session((str(p), "x"), values, None))
    good, bad = variance.components(honest), variance.components(naive)
    assert good is not None
    assert bad is not None
    assert good[1] < 0.06
    assert bad[1] > 0.12


@pytest.mark.parametrize("shape", [(1, 5), (3, 1)])
def test_what_cannot_be_told_apart_is_missing(shape: tuple[int, int]) -> None:
    """One pair, or one block each, leaves no shares."""
    pairs, blocks = shape
    rng = np.random.default_rng(3)
    held = [
        variance.session((str(p), "x"), rng.normal(0, 1, 20), None)
        for p in range(pairs)
        for _ in range(blocks)
    ]
    assert variance.shares(held) is None


def test_no_variation_has_no_shares() -> None:
    """All samples equal: nothing to share out; and an empty session is refused."""
    held = [variance.session((p, "x"), np.full(9, 4.0), None) for p in "aabb"]
    assert variance.shares(held) is None
    with pytest.raises(ValueError, match="without samples"):
        variance.session(("a", "b"), np.empty(0), None)
