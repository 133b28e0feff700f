"""Any CNI without a driver of its own, observed only: named as it is, measured as it is found.

It has no modes to ask for. What packets take is told by the proof, pair by pair: the encapsulation
whose counters rose, or what a capture saw; where neither tells, the pair is `unproven`.
"""

from podbench.cni.base import Pool
from podbench.cni.pooled import PooledDriver, as_found, unknown_mode
from podbench.model.arms import Mode


class Generic(PooledDriver):
    """A CNI by its name; `unknown` for one that nobody recognised."""

    side_by_side = False

    def __init__(self, name: str) -> None:
        self.name = name

    def modes(self) -> tuple[Mode, ...]:
        """As found."""
        return (Mode.AS_FOUND,)

    def pool(self, mode: Mode, *, underlay_mtu: int, equal_mtu: bool) -> Pool:  # noqa: ARG002 - what it is, it is
        """The network as it is.

        Raises:
            ConfigError: A mode was named, and nobody knows which it has.
        """
        if mode != Mode.AS_FOUND:
            raise unknown_mode(self.name, mode, self.modes())
        return as_found(underlay_mtu)
