"""Modes, paths and arms: the units of comparison (glossary: docs/architecture.md)."""

from enum import StrEnum

import msgspec


class Mode(StrEnum):
    """An encapsulation, by the name users type."""

    VXLAN = "vxlan"
    IPIP = "ipip"
    BGP = "bgp"
    HOST_GW = "host-gw"
    NATIVE = "native"
    GENEVE = "geneve"
    AS_FOUND = "as-found"
    """The cluster's configured mode, if it is unknown beforehand or differs between pairs."""


class Path(StrEnum):
    """The path that a probe crosses."""

    POD = "pod"
    HOST = "host"
    SERVICE = "service"


class Arm(msgspec.Struct, frozen=True, order=True):
    """One unit of comparison. `repeat` 2 measures the same arm a second time: the A/A check."""

    mode: Mode
    path: Path = Path.POD
    repeat: int = 1

    @property
    def name(self) -> str:
        """`vxlan/pod`, or `vxlan/pod#2` for the A/A repeat."""
        return f"{self.mode}/{self.path}" + (f"#{self.repeat}" if self.repeat > 1 else "")

    @property
    def slug(self) -> str:
        """The name as one path component: `/` becomes `-`, `#` becomes `_`."""
        return self.name.replace("/", "-").replace("#", "_")

    def on(self, path: Path) -> "Arm":
        """The arm of the same mode and repeat on another path."""
        return Arm(self.mode, path, self.repeat)


def parse_arm(name: str) -> Arm:
    """Parses the name of an arm.

    Raises:
        ValueError: The text is not `<mode>/<path>` or `<mode>/<path>#<n>`.
    """
    stem, _, repeat = name.partition("#")
    mode, _, path = stem.partition("/")
    return Arm(Mode(mode), Path(path), int(repeat) if repeat else 1)


OVERHEAD_BYTES: dict[Mode, int] = {
    # Added to the inner IPv4 packet on an IPv4 underlay: RFC 7348 section 5 (IP 20 + UDP 8
    # + VXLAN 8 + inner Ethernet 14), RFC 2003 section 3.1 (one IP header),
    # nothing where packets are routed.
    Mode.VXLAN: 50,
    Mode.IPIP: 20,
    Mode.BGP: 0,
    Mode.HOST_GW: 0,
    Mode.NATIVE: 0,
    # RFC 8926: as VXLAN's, without options.
    Mode.GENEVE: 50,
}
"""Without `as-found`: its overhead is unknown."""


def is_stand_in(implementation: str | None) -> bool:
    """Reports whether a mode uses a substitute for a cluster's implementation: eBPF for IPIP."""
    return implementation is not None and "eBPF" in implementation
