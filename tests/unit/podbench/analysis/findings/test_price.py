"""What traffic costs: prices put in come back with intervals, or there is a reason for none."""

import numpy as np
import pandas as pd
import pytest
from support import ladders

from podbench.analysis.findings import first_screen, price
from podbench.analysis.findings.price import Priced
from podbench.analysis.samples import ladder
from podbench.analysis.stats import family, slopes
from podbench.campaign.ladder import design

MODES = ("vxlan", "ipip", "bgp")


def priced(rows: pd.DataFrame, modes: tuple[str, ...] = MODES) -> Priced:
    """Prices of a table, against BGP."""
    return price.prices(ladder.steps(rows), modes, "bgp")


def made(**changes: object) -> pd.DataFrame:
    """A made-up run's ladder."""
    return ladders.rows(ladders.Ladder(**changes))  # type: ignore[arg-type]


@pytest.mark.parametrize("machine", [True, False])
@pytest.mark.parametrize("kind", ["bulk", "small"])
def test_a_price_put_in_comes_back(kind: str, machine: bool) -> None:
    """In both kinds, on one machine and on two nodes; VXLAN costs more than BGP."""
    found = priced(made(machine=machine, visit_sd=0.01))
    for mode in MODES:
        one = found.of(mode, kind)
        assert one is not None
        assert one.value == pytest.approx(ladders.PRICE[kind][mode], rel=0.1)
        assert one.steps_reached == 5
        assert one.busy_method == "idle"
    vxlan, bgp = found.of("vxlan", kind), found.of("bgp", kind)
    assert vxlan is not None
    assert vxlan.verdict == "different"
    assert vxlan.difference is not None
    assert vxlan.difference > 0
    assert bgp is not None
    assert (bgp.verdict, bgp.difference) == ("base", None)


def test_what_the_generator_takes_cancels_in_the_difference() -> None:
    """The same extra cost in every mode moves all prices and no difference."""
    dearer = {k: {m: v + 0.05 for m, v in by.items()} for k, by in ladders.PRICE.items()}
    plain, more = priced(made(block_sd=0.0)), priced(made(block_sd=0.0, price=dearer))
    for mode in ("vxlan", "ipip"):
        a, b = plain.of(mode, "bulk"), more.of(mode, "bulk")
        assert a is not None
        assert b is not None
        assert a.difference == pytest.approx(b.difference, abs=0.003)


def test_equal_modes_are_not_told_apart() -> None:
    """With the same price everywhere no difference is claimed, in ten runs of two kinds."""
    same = {k: dict.fromkeys(MODES, by["bgp"]) for k, by in ladders.PRICE.items()}
    words = [
        p.verdict
        for seed in range(10)
        for p in priced(made(price=same, seed=seed)).prices
        if p.mode != "bgp"
    ]
    assert words.count("different") <= 2
    assert set(words) <= {"different", "equivalent", "small", "inconclusive"}


def test_steps_that_were_not_reached_do_not_count() -> None:
    """A step off its rate, however wild, moves nothing."""
    rows = made()
    wild = (rows["offered_share"] == 0.9) & (rows["arm"] == "vxlan/pod")
    rows.loc[wild, "busy_cores_src"] = 99.0
    rows.loc[wild, "reached"] = False
    rows.loc[wild, "not_reached_reason"] = "the generator sent 80% of the offered rate"
    one = priced(rows).of("vxlan", "bulk")
    assert one is not None
    assert one.value == pytest.approx(ladders.PRICE["bulk"]["vxlan"], rel=0.1)
    assert one.steps_reached == 4


def test_too_few_steps_are_no_price() -> None:
    """Two steps, step 0 among them: no price, and the reason is the step's own."""
    rows = made()
    lost = rows["offered_share"] > 0.3
    rows.loc[lost, "reached"] = False
    rows.loc[lost, "not_reached_reason"] = "the generator sent 71% of the offered rate"
    for one in priced(rows).prices:
        assert one.value is None
        assert one.difference is None
        assert one.verdict == "not measured"
        assert "2 steps reached" in (one.reason or "")
        assert "71%" in (one.reason or "")


def test_a_saturated_machine_has_no_price() -> None:
    """A burner on one CPU: refused, and never the other way round."""
    rows = made()
    rows["busiest_cpu_ratio"], rows["reached"] = 1.0, False
    rows["not_reached_reason"] = "a CPU was 100% busy"
    found = priced(rows)
    assert all("saturated" in (p.reason or "") for p in found.prices)
    assert all(p.value is None for p in found.prices)


def test_one_block_has_no_interval() -> None:
    """Without a second block nothing is claimed."""
    one = priced(made(blocks=1)).of("vxlan", "bulk")
    assert one is not None
    assert one.ci95 is None
    assert one.verdict in {"inconclusive", "not measured"}


def test_a_base_without_a_price_gives_no_difference() -> None:
    """Then a mode keeps its own price, and says why there is no verdict."""
    rows = made()
    rows = rows[rows["mode"] != "bgp"]
    one = priced(rows).of("vxlan", "bulk")
    assert one is not None
    assert one.value is not None
    assert one.difference is None
    assert "bgp has no price" in (one.reason or "")
    assert price.prices((), MODES, "bgp").prices == ()


def test_a_difference_within_the_repeats_own_is_not_claimed() -> None:
    """What the same mode twice differs by is the noise floor."""
    rows = made(visit_sd=0.0, noise=0.002)
    second = (rows["arm"] == "bgp/pod#2") | (rows["arm"] == "vxlan/pod#2")
    load = rows["offered_bps"].where(rows["kind"] == "bulk", 0.0)
    rows.loc[second, "busy_cores_src"] += 0.2 * load[second] / 1e9
    found = priced(rows).of("ipip", "bulk")
    assert found is not None
    assert found.aa_difference is not None
    assert found.verdict == "inconclusive"


@pytest.mark.parametrize("visit_sd", [0.0, 0.003, 0.01])
def test_intervals_cover(visit_sd: float) -> None:
    """Of 1,000 runs of the default design about 95 % cover the true difference."""
    rng = np.random.default_rng(3)
    arms = ["vxlan", "ipip", "bgp", "vxlan"]
    truth = ladders.PRICE["bulk"]
    covered = 0
    for _ in range(1000):
        visits = []
        for block in range(6):
            load = 8 * np.array([0, 0, 0, *(x for _, x in design.of_block(1, block + 1)[:2])])
            common = 0.005 * rng.normal()
            for arm in arms:
                slope = truth[arm] + common + visit_sd * rng.normal()
                busy = 0.3 + slope * load + 0.02 * rng.normal(size=len(load))
                fitted = slopes.visit_slope(load, busy)
                assert fitted is not None
                visits.append(slopes.VisitSlope(block, arm, *fitted))
        found = slopes.difference(visits, "bgp", "vxlan")
        assert found is not None
        low, high = found.interval() or (0.0, 0.0)
        covered += low <= truth["vxlan"] - truth["bgp"] <= high
    assert 0.93 <= covered / 1000 <= 0.97


def test_slopes_of_a_line_are_exact() -> None:
    """Without noise the model returns what was put in; one load is no slope."""
    load = np.array([0.0, 1.0, 4.0])
    assert slopes.visit_slope(load, 0.3 + 0.07 * load) == pytest.approx((0.07, 26 / 3))
    assert slopes.visit_slope(np.array([2.0, 2.0]), np.array([1.0, 1.1])) is None
    visits = [
        slopes.VisitSlope(block, arm, slope + 0.01 * block, 4.0)
        for block in (1, 2, 3)
        for arm, slope in (("a", 0.10), ("b", 0.16))
    ]
    found = slopes.difference(visits, "a", "b")
    assert found is not None
    assert found.value == pytest.approx(0.06)
    assert found.df == 2
    assert slopes.difference(visits, "a", "c") is None


def test_prices_are_members_of_the_first_screens_family() -> None:
    """A clear price stays `different`; one that is clear only alone is withdrawn, with its p."""
    found = priced(made())
    asked = price.family_of(found)
    assert set(asked) == {f"cpu_price.{k}/{m}" for k in ladders.PRICE for m in ("vxlan", "ipip")}
    clear = price.in_family(found, first_screen.prices([], asked), family.ALPHA)
    assert all(p.in_family for p in clear.prices if p.mode != "bgp")
    unclear = price.in_family(
        found, {name: family.Held(p_adjusted=0.3, level=0.99) for name in asked}, family.ALPHA
    )
    for one in unclear.prices:
        assert one.verdict not in {"different", "small"}
        if one.mode != "bgp":
            assert one.p_adjusted == 0.3
