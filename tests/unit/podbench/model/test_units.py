"""Human units are read once and rendered once."""

import pytest

from podbench.model import units
from podbench.model.errors import ConfigError


@pytest.mark.parametrize(
    ("text", "seconds"), [("90", 90), ("90s", 90), ("3m", 180), ("500ms", 0.5), ("1.5h", 5400)]
)
def test_duration(text: str, seconds: float) -> None:
    """A duration is read in its unit; a bare number is seconds."""
    assert units.parse_duration_s(text, "--budget") == pytest.approx(seconds)


@pytest.mark.parametrize("text", ["", "fast", "3 fortnights", "-3s", "1e9e9"])
def test_bad_duration_names_the_option(text: str) -> None:
    """What is no duration is refused with the option's name."""
    with pytest.raises(ConfigError, match="--budget"):
        units.parse_duration_s(text, "--budget")


@pytest.mark.parametrize(
    ("text", "bps"), [("200Mbit/s", 200_000_000), ("1G", 10**9), ("64kbit/s", 64_000)]
)
def test_rate(text: str, bps: int) -> None:
    """A rate is read in bits per second."""
    assert units.parse_rate_bps(text, "--lab-rate") == bps


def test_rate_of_zero_is_refused() -> None:
    """A link of no rate carries nothing."""
    with pytest.raises(ConfigError, match="above zero"):
        units.parse_rate_bps("0Mbit/s", "--lab-rate")


@pytest.mark.parametrize(("text", "ratio"), [("1%", 0.01), ("0.01", 0.01), ("100%", 1.0)])
def test_ratio(text: str, ratio: float) -> None:
    """A share is read as percent or as a plain number."""
    assert units.parse_ratio(text, "--lab-loss") == pytest.approx(ratio)


def test_ratio_above_one_is_refused() -> None:
    """More than everything cannot be lost."""
    with pytest.raises(ConfigError, match="100%"):
        units.parse_ratio("101%", "--lab-loss")


@pytest.mark.parametrize(
    ("value_ns", "text"), [(12_200, "12.2 µs"), (999, "999 ns"), (3.1e6, "3.1 ms"), (0, "0 ns")]
)
def test_shown_time(value_ns: float, text: str) -> None:
    """A time is shown with three digits in a fitting unit."""
    assert units.show_ns(value_ns) == text


@pytest.mark.parametrize(
    ("value_s", "text"),
    [(45.4, "45 s"), (200, "3 min 20 s"), (3599.6, "1 h 0 min"), (81_021, "22 h 30 min")],
)
def test_a_duration_is_shown_as_people_say_it(value_s: float, text: str) -> None:
    """Seconds below a minute, no seconds from an hour on."""
    assert units.show_duration(value_s) == text


@pytest.mark.parametrize(("number", "text"), [(0, "0 pairs"), (1, "1 pair"), (2, "2 pairs")])
def test_one_of_a_thing_has_no_plural(number: int, text: str) -> None:
    """A count and its noun agree."""
    assert units.counted(number, "pair") == text
