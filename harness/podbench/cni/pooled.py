"""What every driver does alike: lays its pools in a world, verifies by `walk`, removes.

A driver is then a table: its modes, and what the pool of each looks like.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence

from podbench.cni.base import Capturing, Groups, Laid, Pool, ProbeWindow, World
from podbench.cni.proof.loads import Meter
from podbench.cni.proof.walk import Inquiry, walk
from podbench.model.arms import Mode
from podbench.model.errors import ConfigError
from podbench.model.facts import ArmProof


class PooledDriver(ABC):
    """The part of `cni.base.Driver` that follows from `modes` and `pool`."""

    name: str
    side_by_side: bool

    @abstractmethod
    def modes(self) -> tuple[Mode, ...]:
        """The modes, most encapsulation first."""

    @abstractmethod
    def pool(self, mode: Mode, *, underlay_mtu: int, equal_mtu: bool) -> Pool:
        """What a mode looks like in this CNI.

        Raises:
            ConfigError: This CNI has no such mode.
        """

    async def lay(self, world: World, modes: Sequence[Mode]) -> dict[Mode, Laid]:
        """Makes these modes' arms exist; what cannot be laid says why in its answer.

        Raises:
            ConfigError: Several modes of a CNI that can have one at a time only.
        """
        if len(modes) > 1 and not (self.side_by_side or world.turns):
            raise ConfigError(
                f"{self.name} has one mode at a time, not {', '.join(modes)} side by side",
                advice="use --method switch, or name one mode with --modes",
            )
        return {mode: await world.apply(self._pool_in(world, mode)) for mode in modes}

    async def verify(
        self,
        world: World,
        mode: Mode,
        probe: ProbeWindow | None,
        *,
        probes: int | None = None,
        capture: Capturing | None = None,
        groups: Groups | None = None,
    ) -> ArmProof:
        """Proves which mode packets take, per directed pair; without `probe` by route only.

        `groups` are the pairs to prove; null: all, one after the other.

        Raises:
            PodbenchError: The world could not be asked.
        """
        inquiry = Inquiry(
            pool=self._pool_in(world, mode),
            pools=tuple(self._pool_in(world, each) for each in self.modes()),
            probe=probe,
            probes=world.proof_probes if probes is None else probes,
            capture=capture,
            groups=groups,
        )
        return await walk(world, inquiry)

    def meter(self, world: World, mode: Mode) -> Meter:
        """What proves this mode's loads by their own packets."""
        pools = [self._pool_in(world, each) for each in self.modes()]
        return Meter(world, self._pool_in(world, mode), pools)

    async def turn(self, world: World, mode: Mode, groups: Groups | None = None) -> str | None:
        """Makes a mode the one that packets take, where modes take turns; else why not.

        `groups` are the pairs to look at; null: all, one after the other.

        Raises:
            PodbenchError: The world could not be asked, or not be brought back.
        """
        return await world.turn(mode, lambda: self.verify(world, mode, None, groups=groups))

    async def remove(self, world: World, mode: Mode) -> None:
        """Takes a mode's arm away; idempotent."""
        await world.remove(self._pool_in(world, mode))

    def _pool_in(self, world: World, mode: Mode) -> Pool:
        # The smallest underlay decides: a packet must fit on every node's.
        underlay_mtu = min(node.mtu_underlay for node in world.nodes)
        if mode == Mode.AS_FOUND:
            return as_found(underlay_mtu)
        return self.pool(mode, underlay_mtu=underlay_mtu, equal_mtu=world.equal_mtu)


def as_found(underlay_mtu: int) -> Pool:
    """What any CNI's network is, as long as nobody has looked: nothing but its underlay is known.

    The counters of every tunnel device count in a proof, so that it needs no device of its own.
    """
    return Pool(
        mode=Mode.AS_FOUND,
        cidr="",
        pod_mtu=underlay_mtu,
        origin=None,
        route_protocol=None,
    )


def unknown_mode(cni: str, mode: Mode, known: Sequence[Mode]) -> ConfigError:
    """The error for a mode that a CNI does not have."""
    return ConfigError(f"{cni} has no mode {mode}", advice=f"it has {', '.join(known)}")
