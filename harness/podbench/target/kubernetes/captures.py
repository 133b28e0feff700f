"""A capture on a cluster: the host agents count, this gathers (`cni.base.Capture`)."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping

from podbench.cni.base import Seen
from podbench.model.errors import ProbeError
from podbench.wire import messages

Ask = Callable[[str, messages.Command], Awaitable[messages.Answer]]
"""Asks a node's host agent."""


class ClusterCapture:
    """Running on the nodes from `start` to `seen`."""

    def __init__(self, ask: Ask, devices: Mapping[str, str]) -> None:
        self._ask = ask
        self._devices = dict(devices)

    async def start(self, addresses: tuple[str, ...]) -> None:
        """Begins on every node.

        Raises:
            ProbeError: An agent may not; then none captures. TransportError: one is gone.
        """
        begun = await asyncio.gather(
            *(
                self._ask(node, messages.StartCapture(device=device, addresses=addresses))
                for node, device in self._devices.items()
            ),
            return_exceptions=True,
        )
        failures = [each for each in begun if isinstance(each, BaseException)]
        if failures:
            await self._collect()
            raise failures[0]

    async def _collect(self) -> dict[str, messages.Answer | BaseException]:
        found = await asyncio.gather(
            *(self._ask(node, messages.CollectCapture()) for node in self._devices),
            return_exceptions=True,
        )
        return dict(zip(self._devices, found, strict=True))

    async def seen(self) -> tuple[Seen, ...]:
        """Stops and counts.

        Raises:
            ProbeError: Packets were lost by the capture itself; TransportError: an agent is gone.
        """
        rows: list[Seen] = []
        for node, answer in (await self._collect()).items():
            if isinstance(answer, BaseException):
                raise answer
            assert isinstance(answer, messages.Captured)
            if answer.dropped:
                raise ProbeError(
                    f"the capture on {node} lost {answer.dropped} packets, so it proves nothing",
                    advice="leave --proof capture out, or ask again on a quieter node",
                )
            rows += [
                Seen(
                    node=node,
                    src=each.src,
                    dst=each.dst,
                    encapsulation=each.encapsulation,
                    packets=each.packets,
                    vni=each.vni,
                )
                for each in answer.seen
            ]
        return tuple(rows)
