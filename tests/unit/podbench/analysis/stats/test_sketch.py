"""Sketches: exact merging, bounded error, whatever the data."""

import math

import numpy as np
import pytest
from ddsketch import mapping
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from podbench.analysis.stats import quantiles, sketch

VALUES = hnp.arrays(np.int64, st.integers(0, 200), elements=st.integers(-5, 2**62 - 1))


@given(VALUES, VALUES, VALUES)
def test_merge_is_the_sketch_of_the_union(a: np.ndarray, b: np.ndarray, c: np.ndarray) -> None:
    """Bit for bit, in any order."""
    one, two, three = (sketch.sketch(part) for part in (a, b, c))
    whole = sketch.sketch(np.concatenate((a, b, c)))
    assert one.merge(two).merge(three) == whole
    assert three.merge(one.merge(two)) == whole


@given(st.integers(1, 2**62 - 1))
def test_relative_error_of_one_value(value: int) -> None:
    """A bucket's value is within 0.5 % of anything in it."""
    held = sketch.sketch(np.array([value]))
    middle = 2.0 * sketch.GAMMA ** float(held.first) / (sketch.GAMMA + 1.0)
    # Below 100 ns buckets are narrower than the whole numbers in them.
    assert middle == pytest.approx(value, rel=sketch.ERROR * 1.0001)


def test_bounds_fall_in_their_own_bucket() -> None:
    """The last whole number of a bucket and the first of the next are told apart."""
    bounds = np.unique(sketch._BOUNDS)[200:-1]
    index = sketch._indices(np.concatenate((bounds, bounds + 1)))
    np.testing.assert_array_equal(index[: len(bounds)] + 1, index[len(bounds) :])


@given(st.lists(st.integers(1, 2**62 - 1), min_size=1, max_size=100))
def test_buckets_are_ddsketchs(values: list[int]) -> None:
    """Index and value of each bucket are those of the authors' own implementation."""
    theirs = mapping.LogarithmicMapping(sketch.ERROR)
    assert theirs.gamma == pytest.approx(sketch.GAMMA, rel=1e-12)
    for value, index in zip(values, sketch._indices(np.array(values)).tolist(), strict=True):
        # Where a value lies on a bound, the last bit of their logarithm decides; ours is exact.
        on_bound = abs(math.log(value, sketch.GAMMA) % 1.0 - 0.5) > 0.5 - 1e-9
        assert theirs.key(value) == index or (on_bound and abs(theirs.key(value) - index) == 1)
        middle = 2.0 * sketch.GAMMA**index / (sketch.GAMMA + 1.0)
        assert theirs.value(index) == pytest.approx(middle, rel=1e-9)


def test_quantiles_on_heavy_tails() -> None:
    """A million latencies with a Pareto tail, ten parts merged: within 0.6 % up to p99.9."""
    rng = np.random.default_rng(12)
    latency = rng.lognormal(10, 0.3, 1_000_000)
    slow = rng.random(len(latency)) < 0.01
    latency = np.where(slow, latency * (1 + rng.pareto(1.5, len(latency))), latency)
    values = latency.astype(np.int64)
    merged = sketch.LogHistogram()
    for part in np.split(values, 10):
        merged = merged.merge(sketch.sketch(part))
    ordered = np.sort(values).astype(np.float64)
    for q in (0.5, 0.99, 0.999):
        exact = quantiles.harrell_davis(ordered, q)
        assert merged.quantile_ns(q) == pytest.approx(exact, rel=0.006)


def test_sum_is_exact_beyond_64_bits() -> None:
    """Whole numbers are added as whole numbers."""
    values = np.full(9, 2**62 - 1)
    assert sketch.sketch(values).sum_ns == 9 * (2**62 - 1)


def test_quantile_rule_holds_for_sketches() -> None:
    """Too few samples have no p99 here either; an empty sketch is neutral."""
    held = sketch.sketch(np.arange(1, 1000))
    assert held.quantile_ns(0.99) is None
    assert sketch.LogHistogram().merge(held) == held
    assert (held.min_ns, held.max_ns, held.n) == (1, 999, 999)
