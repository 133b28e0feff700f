"""A node's own traffic, as a user names it: `2Gbit/s,300kpps`, or `peak=2Gbit/s`."""

import re

import msgspec

from podbench.model.errors import ConfigError
from podbench.model.units import parse_rate_bps, show_bps

OPTION = "--traffic"
_PACKETS = re.compile(r"^([0-9]+(?:\.[0-9]+)?)\s*([kMG]?)(?:pps|packets/s)$")
_FACTORS = {"": 1.0, "k": 1e3, "M": 1e6, "G": 1e9}
EXAMPLE = f"write it like {OPTION} 2Gbit/s,300kpps or {OPTION} peak=2Gbit/s"


class Traffic(msgspec.Struct, frozen=True, kw_only=True):
    """Octets in large packets (`bps`) and small packets (`pps`) of one node, each way together."""

    name: str
    bps: float | None = None
    pps: float | None = None


def parse_traffic(text: str, option: str = OPTION) -> Traffic:
    """Reads one `--traffic`.

    Raises:
        ConfigError: Another form, an unknown unit, one unit twice, or no traffic at all.
    """
    name, equals, rates = text.partition("=")
    if not equals:
        name, rates = "", text
    bps: float | None = None
    pps: float | None = None
    for part in (each.strip() for each in rates.split(",")):
        packets = _PACKETS.match(part)
        if packets is not None:
            if pps is not None:
                raise ConfigError(f"{option}: {text!r} names packets/s twice", advice=EXAMPLE)
            pps = float(packets[1]) * _FACTORS[packets[2]]
            continue
        if bps is not None:
            raise ConfigError(f"{option}: {text!r} names a bit rate twice", advice=EXAMPLE)
        if not re.search(r"bit/s$|[kKMG]$|bit$", part):
            raise ConfigError(
                f"{option}: {part!r} in {text!r} is neither a bit rate nor a packet rate",
                advice=EXAMPLE,
            )
        bps = float(parse_rate_bps(part, option))
    if not (bps or pps):
        raise ConfigError(f"{option}: {text!r} is no traffic", advice=EXAMPLE)
    return Traffic(name=name.strip() or show(bps, pps), bps=bps or None, pps=pps or None)


def show(bps: float | None, pps: float | None) -> str:
    """`2 Gbit/s and 300 kpps`."""
    parts = [show_bps(round(bps))] if bps else []
    parts += [show_pps(pps)] if pps else []
    return " and ".join(parts)


def show_pps(pps: float) -> str:
    """`300 kpps`, `1.2 Mpps`, `800 pps`."""
    for factor, unit in ((1e6, "Mpps"), (1e3, "kpps")):
        if pps >= factor:
            return f"{pps / factor:.3g} {unit}"
    return f"{pps:.3g} pps"


USUAL = (Traffic(name="1 Gbit/s", bps=1e9), Traffic(name="100 kpps", pps=1e5))
"""Shown without the option, where they are inside what was measured."""
