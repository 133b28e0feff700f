"""What the session needs of a target; `target.lab` and `target.kubernetes` implement it.

The order is: `up` gives a world without agents; the CNI driver lays the arms in it; `deploy` starts
one agent per pod and node and gives the fleet. Leaving either context manager takes away what it
made.
"""

from contextlib import AbstractAsyncContextManager
from typing import Protocol

import msgspec

from podbench.cni import base as cni
from podbench.cni.detect.cluster import ClusterDetected
from podbench.model.nodes import Node
from podbench.transport.base import Fleet


class Aftermath(msgspec.Struct, frozen=True, kw_only=True):
    """What a target made of somebody else's, and what became of it: objects by kind and name."""

    made: tuple[str, ...]
    gone: tuple[str, ...] = ()
    """Looked for afterwards and not found."""
    restored: tuple[str, ...] = ()
    """Changed by the run, and as it was before."""
    left: tuple[str, ...] = ()
    """Still there, each with the reason; empty: nothing is left."""


class Target(Protocol):
    """One place to measure in."""

    @property
    def name(self) -> str:
        """`lab` or `kubernetes`."""

    @property
    def exclusive(self) -> bool:
        """True where all nodes share one machine, so that only one pair may measure at a time."""

    @property
    def aftermath(self) -> Aftermath | None:
        """Once `up` has ended; null where nothing of somebody else's was touched."""

    def up(self) -> AbstractAsyncContextManager["LaidTarget"]:
        """Makes the nodes."""


class LaidTarget(Protocol):
    """A target whose nodes exist."""

    @property
    def world(self) -> cni.World:
        """What CNI drivers work on."""

    @property
    def most_bps(self) -> int | None:
        """The most one transfer sends here, known once deployed; null: as much as it can."""

    @property
    def detected(self) -> ClusterDetected | None:
        """The cluster's network, completed by its agents once deployed; null on the lab."""

    def shaped(self, rate_bps: int) -> AbstractAsyncContextManager[None]:
        """The network at a known rate, segmentation offloads off, until the context ends.

        Only a lab's network is its own to shape; elsewhere no plan asks for it.
        """

    async def losses(self) -> int:
        """Parts of the instrument that were lost so far; returns once each works again.

        What was measured while the number rose has to be measured again.
        """

    def deploy(self) -> AbstractAsyncContextManager[tuple[tuple[Node, ...], Fleet]]:
        """Starts one agent per node and per pod laid so far.

        The nodes come back with their pods.
        """
