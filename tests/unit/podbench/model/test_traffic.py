"""`--traffic`: rates with units, one of each, named or not; anything else is refused with a way."""

import pytest

from podbench.model.errors import ConfigError
from podbench.model.traffic import Traffic, parse_traffic, show


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("2Gbit/s,300kpps", Traffic(name="2 Gbit/s and 300 kpps", bps=2e9, pps=3e5)),
        ("peak=1.5Gbit/s", Traffic(name="peak", bps=1.5e9)),
        ("300 kpps", Traffic(name="300 kpps", pps=3e5)),
        ("night=20Mpps , 1G", Traffic(name="night", bps=1e9, pps=2e7)),
    ],
)
def test_rates_with_their_units(text: str, found: Traffic) -> None:
    """Bits and packets per second, in either order."""
    assert parse_traffic(text) == found


@pytest.mark.parametrize(
    "text",
    [
        "2",
        "two",
        "2GB/s",
        "2Gbit/s,3Gbit/s",
        "1kpps,2kpps",
        "0kpps",
        "peak=",
        "-1kpps",
        "",
    ],
)
def test_what_is_no_traffic_is_refused(text: str) -> None:
    """Wrong units, twice the same, nothing: named, with an example."""
    with pytest.raises(ConfigError) as caught:
        parse_traffic(text)
    assert "--traffic" in str(caught.value)


def test_rates_are_shown_as_people_write_them() -> None:
    """Two significant units at most."""
    assert show(2e9, 3e5) == "2 Gbit/s and 300 kpps"
    assert show(None, 1.2e6) == "1.2 Mpps"
