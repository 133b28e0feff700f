"""What the session needs of a target; `target.lab` and later `target.kubernetes` implement it.

The order is: `up` gives a world without agents; the CNI driver lays the arms in it; `deploy` starts
one agent per pod and node and gives the fleet. Leaving either context manager takes away what it
made.
"""

from contextlib import AbstractAsyncContextManager
from typing import Protocol

from podbench.cni import base as cni
from podbench.model.nodes import Node
from podbench.transport.base import Fleet


class Target(Protocol):
    """One place to measure in."""

    @property
    def name(self) -> str:
        """`lab` or `kubernetes`."""

    @property
    def exclusive(self) -> bool:
        """True where all nodes share one machine, so that only one pair may measure at a time."""

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

    def deploy(self) -> AbstractAsyncContextManager[tuple[tuple[Node, ...], Fleet]]:
        """Starts one agent per node and per pod laid so far.

        The nodes come back with their pods.
        """
