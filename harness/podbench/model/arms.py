"""What is compared: modes, paths and arms. The words are those of docs/architecture.md."""

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
    """Whatever the cluster does, where that is not known beforehand or differs between pairs."""


class Path(StrEnum):
    """What a probe crosses."""

    POD = "pod"
    HOST = "host"
    SERVICE = "service"


class Arm(msgspec.Struct, frozen=True, order=True):
    """One thing that is compared. `repeat` 2 is the same arm once more: the A/A check."""

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
    """Reads an arm's name back.

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
"""`as-found` is not in it: nobody knows what it adds."""


def is_stand_in(implementation: str | None) -> bool:
    """Whether a mode is made by something else than what a cluster has: eBPF for IPIP's device."""
    return implementation is not None and "eBPF" in implementation
