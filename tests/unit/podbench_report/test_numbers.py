"""Numbers as people read them."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from podbench_report import numbers


@pytest.mark.parametrize(
    ("value", "unit", "shown"),
    [
        (12_240.0, "ns", "12.2 µs"),
        (999.7, "ns", "1.00 µs"),
        (4.1e3, "ns", "4.10 µs"),
        (9.41e9, "bit/s", "9.41 Gbit/s"),
        (0.00021, "ratio", "0.0210%"),
        (0.0, "ratio", "0%"),
        (-1.56e9, "bit/s", "−1.56 Gbit/s"),
        (None, "ns", "not measured"),
        (math.nan, "ns", "not measured"),
    ],
)
def test_a_quantity_has_three_digits_and_a_fitting_unit(
    value: float | None, unit: str, shown: str
) -> None:
    """Three significant digits, the unit that fits, a true minus; null and NaN are said."""
    assert numbers.quantity(value, unit).replace(numbers.NBSP, " ") == shown


@pytest.mark.parametrize(
    ("bounds", "unit", "shown"),
    [
        ((3_610.0, 4_620.0), "ns", "3.61–4.62 µs"),
        ((785.0, 1_827.0), "ns", "0.79–1.83 µs"),
        ((-200.0, 410.0), "ns", "−200 to 410 ns"),
        ((0.0, 0.0001), "ratio", "0–0.010%"),
        ((0.9999, 1.0), "ratio", "99.99–100.00%"),
        (None, "ns", "not measured"),
    ],
)
def test_an_interval_shares_one_unit(
    bounds: tuple[float, float] | None, unit: str, shown: str
) -> None:
    """Both bounds in one unit; `to` where one is negative; unequal bounds never read the same."""
    assert numbers.interval(bounds, unit).replace(numbers.NBSP, " ") == shown


@pytest.mark.parametrize(
    ("value", "bounds", "unit", "shown"),
    [
        (9_870.0, (3_830.0, 16_560.0), "ns", ("9.9 µs", "3.8–16.6 µs")),
        (4_100.0, (3_610.0, 4_620.0), "ns", ("4.10 µs", "3.61–4.62 µs")),
        (2.22e9, (-138e9, 17e9), "bit/s", ("2.2 Gbit/s", "−138 to 17 Gbit/s")),
        (4_100.0, None, "ns", ("4.10 µs", "")),
    ],
)
def test_a_figure_is_as_exact_as_its_interval(
    value: float, bounds: tuple[float, float] | None, unit: str, shown: tuple[str, str]
) -> None:
    """One unit for both; no digit that the interval makes meaningless."""
    found = numbers.estimate(value, bounds, unit)
    assert tuple(text.replace(numbers.NBSP, " ") for text in found) == shown


def test_absurdly_wide_intervals_stay_readable() -> None:
    """Thousands have no decimals and a gap; what is not nothing does not read as nothing."""
    scale = numbers.scale_for([6.28e9, 17.0e9], "bit/s")
    assert numbers.interval_numbers((4e6, 5_264.32e9), scale) == "<0.01–5264"
    assert numbers.interval_numbers((1e9, 279_053.26e9), scale) == "1.00–279\u202f053"
    change = numbers.percent_change_interval((0.01, 128.39)).replace(numbers.NBSP, " ")
    assert change == "−99 to +12\u202f739%"


def test_changes_are_signed_percents() -> None:
    """A ratio of 1.213 is +21.3%; intervals name the unit once; sizes drop the sign."""
    assert numbers.percent_change(1.213).replace(numbers.NBSP, " ") == "+21.3%"
    assert numbers.percent_change(1.0).replace(numbers.NBSP, " ") == "0.00%"
    assert numbers.percent_change(None) == "not measured"
    interval = numbers.percent_change_interval((0.981, 1.052)).replace(numbers.NBSP, " ")
    assert interval == "−1.9 to +5.2%"
    assert numbers.percent_size_interval((0.79, 0.83)).replace(numbers.NBSP, " ") == "17.0–21.0%"
    beside = numbers.percent_change(1.0063, (0.98, 1.13)).replace(numbers.NBSP, " ")
    assert beside == "+0.6%"
    assert numbers.margin(0.05).replace(numbers.NBSP, " ") == "±5%"


def test_a_column_has_one_unit_and_decimals_for_its_smallest() -> None:
    """The largest picks the unit; the smallest keeps its digits; null is said, never 0."""
    scale = numbers.scale_for([76_000.0, 109_000.0, None], "ns")

    assert (scale.unit, scale.number(76_000.0), scale.number(109_000.0)) == ("µs", "76.0", "109.0")
    assert scale.number(None) == "not measured"
    wide = numbers.scale_for([6_404.0, 701.0], "ns")
    assert (wide.number(6_404.0), wide.number(701.0)) == ("6.40", "0.70")


def test_tails_do_not_choose_the_unit() -> None:
    """Medians of 90 µs stay in µs beside a p99 of 1.8 ms."""
    scale = numbers.scale_for([90_100.0, 1_830_000.0], "ns")
    medians = numbers.column_scale([90_100.0], scale)
    assert (scale.unit, medians.number(90_100.0)) == ("µs", "90.1")


def test_long_times_are_told_in_hours() -> None:
    """Nobody counts in thousands of minutes."""
    shown = [numbers.duration(s).replace(numbers.NBSP, " ") for s in (45, 200, 81_021)]
    assert shown == ["45 s", "3 min 20 s", "22 h 30 min"]


def test_counts_group_from_ten_thousand() -> None:
    """An MTU stays 1450, a sample count gets thin groups."""
    assert numbers.count(1450) == "1450"
    assert numbers.count(30_000) == "30\u202f000"
    assert numbers.plural(1, "block").endswith("block")
    assert numbers.plural(2, "block").endswith("blocks")


@given(st.floats(min_value=1.0, max_value=1e12))
def test_three_digits_are_within_half_a_percent(value_ns: float) -> None:
    """What is shown is the value to three significant digits, whatever its size."""
    text = numbers.quantity(value_ns, "ns")
    number, unit = text.split(numbers.NBSP)
    factor = {"ns": 1.0, "µs": 1e3, "ms": 1e6, "s": 1e9}[unit]

    assert float(number) * factor == pytest.approx(value_ns, rel=0.0051)
