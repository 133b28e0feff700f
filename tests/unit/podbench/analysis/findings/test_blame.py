"""Median polish and the z rules on meshes with a known culprit."""

import numpy as np
import pytest
from support import synthetic

from podbench.analysis.findings.blame import blame, effects
from podbench.analysis.samples.streams import read
from podbench.analysis.stats import polish
from podbench.analysis.summarise import analyse
from podbench.model.summary import Pair, Quantiles


def _mesh(rng: np.random.Generator, n: int, noise: float = 0.03) -> np.ndarray:
    table = np.log(10_000.0) + rng.normal(0, noise, (n, n))
    np.fill_diagonal(table, np.nan)
    return np.asarray(table)


def _pairs(table: np.ndarray) -> tuple[Pair, ...]:
    def held(value: float) -> Quantiles:
        p50 = float(np.exp(value))
        return Quantiles(
            p50=p50,
            p90=None,
            p99=None,
            p999=None,
            min=p50,
            max=p50,
            mean=p50,
            sd=None,
            n=1000,
            n_effective=None,
        )

    return tuple(
        Pair(src=f"n{i:03}", dst=f"n{j:03}", arm="bgp/pod", family="ipv4", rtt_kernel_ns=held(v))
        for (i, j), v in np.ndenumerate(table)
        if not np.isnan(v)
    )


def test_polish_takes_effects_apart() -> None:
    """A table made of effects is given back as these effects, residuals zero."""
    out, into = np.array([0.0, 0.2, 0.0, -0.1, 0.0]), np.array([0.0, 0.0, 0.4, 0.0, 0.0])
    table = 5.0 + out[:, None] + into[None, :]
    np.fill_diagonal(table, np.nan)
    found = polish.median_polish(table)
    np.testing.assert_allclose(found.out, out, atol=1e-6)
    np.testing.assert_allclose(found.into, into, atol=1e-6)
    assert found.mu == pytest.approx(5.0)
    assert np.nanmax(np.abs(found.residual)) < 1e-6


def test_every_node_has_its_part_in_both_directions() -> None:
    """A node that is 30 % slower to send shows so, as a sender and with the largest z."""
    table = _mesh(np.random.default_rng(5), 6, 0.01)
    table[2, :] += np.log(1.3)
    found = effects(_pairs(table), {})

    assert [one.node for one in found] == [f"n{i:03}" for i in range(6)]
    worst = max(found, key=lambda one: one.z)
    assert worst.node == "n002"
    assert worst.sender_ratio == pytest.approx(1.3, rel=0.05)
    assert worst.receiver_ratio == pytest.approx(1.0, abs=0.05)


def test_few_nodes_have_no_parts() -> None:
    """Of three nodes a bad one cannot be told from a bad pair."""
    assert effects(_pairs(_mesh(np.random.default_rng(5), 3)), {}) == ()


def test_polish_adds_up_with_holes() -> None:
    """Mu + out + in + residual is the table, wherever it was measured."""
    rng = np.random.default_rng(1)
    table = _mesh(rng, 12, 0.3)
    table[rng.random((12, 12)) < 0.4] = np.nan
    table[3, :] = np.nan
    found = polish.median_polish(table)
    total = found.mu + found.out[:, None] + found.into[None, :] + found.residual
    known = ~np.isnan(table)
    np.testing.assert_allclose(total[known], table[known])
    assert np.isnan(found.out[3])
    with pytest.raises(ValueError, match="without a single"):
        polish.median_polish(np.full((3, 3), np.nan))


def test_robust_z() -> None:
    """The outlier's score is large, the others' small; three values are the least."""
    z = polish.robust_z(np.array([0.0, 0.1, -0.1, 0.05, -0.05, 3.0, np.nan]))
    assert z[5] > 20
    assert np.isnan(z[6])
    assert list(polish.robust_z(np.array([1.0, 9.0]))) == [0.0, 0.0]


@pytest.mark.parametrize("n", [6, 20])
def test_bad_node_and_bad_pair_are_named(n: int) -> None:
    """Node +15 % both ways and pair +25 % over 3 % noise: found nearly always, few others."""
    rng = np.random.default_rng(n)
    node_found = pair_top = node_false = 0
    for _ in range(30):
        table = _mesh(rng, n)
        table[2, :] += np.log(1.15)
        table[:, 2] += np.log(1.15)
        table[4, 1] += np.log(1.25)
        found = blame(_pairs(table), read(None), {})
        nodes = {one.subject for one in found if one.kind == "node"}
        pairs = [one.subject for one in found if one.kind == "pair"]
        node_found += "n002" in nodes
        node_false += len(nodes - {"n002"}) > 0
        pair_top += pairs[:1] == ["n004 > n001"]
    assert node_found >= 28
    assert node_false <= 4
    assert pair_top >= (27 if n == 20 else 15)


def test_nothing_is_blamed_below_four_nodes() -> None:
    """Three nodes leave one degree of freedom: no blame, however slow one is."""
    table = _mesh(np.random.default_rng(2), 3)
    table[0, :] += 1.0
    assert blame(_pairs(table), read(None), {}) == ()


def test_distance_between_zones_is_nobodys_fault() -> None:
    """Far zones are slow as a whole; only a node slow within them is named."""
    table = _mesh(np.random.default_rng(3), 12)
    far = np.arange(12) >= 6
    table[np.ix_(far, ~far)] += 2.0
    table[np.ix_(~far, far)] += 2.0
    table[8, :] += np.log(1.3)
    zones = {f"n{i:03}": ("b" if far[i] else "a") for i in range(12)}
    found = blame(_pairs(table), read(None), {**zones})
    assert [one.subject for one in found if one.kind == "node"] == ["n008"]
    assert "as sender" in found[0].evidence


def test_a_starved_host_is_told_from_a_slow_path() -> None:
    """Own host time up on one node while its path is flat: host_cpu, not node."""
    made = synthetic.run(7, synthetic.Shape(nodes=5, blocks=2, throughput=False, host=False))
    assert made.latency is not None
    rows = made.latency
    rows.loc[rows["src"] == "n3", "host_ns"] = rows.loc[rows["src"] == "n3", "host_ns"] * 4
    found = analyse(made).summary.blame
    assert ("host_cpu", "n3") in {(one.kind, one.subject) for one in found}
    assert not [one for one in found if one.kind == "node"]
