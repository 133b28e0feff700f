"""What a bundle made by hand is asked to be, and the levels its figures are drawn around."""

import msgspec

BASE_NS = {"vxlan": 24_600.0, "ipip": 21_700.0, "bgp": 20_400.0}
"""Median kernel RTT of the pod path by mode; the host path is 3 µs below `bgp`."""
HOST_NS = 17_200.0
GOODPUT_BPS = {"vxlan": 5.62e9, "ipip": 6.61e9, "bgp": 7.18e9}
OVERHEAD = {"vxlan": 50, "ipip": 20, "bgp": 0}
TAIL = {"p50": 1.0, "p90": 1.32, "p99": 2.35, "p999": 4.9}
ORIGIN = {"vxlan": "Felix", "ipip": "Felix", "bgp": "BIRD"}


class Case(msgspec.Struct, frozen=True, kw_only=True):
    """What to build; the defaults are a clean lab run of three nodes."""

    nodes: int = 3
    blocks: int = 5
    modes: tuple[str, ...] = ("vxlan", "ipip", "bgp")
    missing: str | None = None
    """A mode whose arm is `not measured`."""
    all_lost: bool = False
    names: tuple[str, ...] = ()
    """Node names; `n1`, `n2`, ... by default."""
    zones: int = 1
    target: str = "lab"
    stand_in: bool = True
    faults: tuple[str, ...] = ()
    seed: int = 7

    @property
    def measured(self) -> tuple[str, ...]:
        """The modes that were measured."""
        return tuple(mode for mode in self.modes if mode != self.missing)

    @property
    def node_names(self) -> tuple[str, ...]:
        """Names of the nodes in order."""
        return tuple(
            self.names[i] if i < len(self.names) else f"n{i + 1}" for i in range(self.nodes)
        )


def arms_of(case: Case) -> list[tuple[str, str, str]]:
    """Name, mode and path of every arm that was measured, the A/A repeat last."""
    arms = []
    for mode in case.measured:
        arms += [(f"{mode}/pod", mode, "pod"), (f"{mode}/host", mode, "host")]
    return [*arms, (f"{case.measured[0]}/pod#2", case.measured[0], "pod")]


def level_ns(mode: str, path: str) -> float:
    """Median kernel round trip of a mode on a path."""
    return BASE_NS[mode] if path == "pod" else HOST_NS


def around(value: float, share: float) -> tuple[float, float]:
    """An interval that reaches `share` of the value to both sides."""
    return value * (1 - share), value * (1 + share)
