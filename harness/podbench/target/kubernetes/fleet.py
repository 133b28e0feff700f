"""The fleet as a run on a cluster may use it: authenticated probes, and a cap on what it loads."""

from collections.abc import Collection

import msgspec

from podbench.model.nodes import AgentId
from podbench.transport.base import Fleet, Reply
from podbench.wire import messages

AUTHENTICATED_BYTES = 152
"""Authenticated STAMP's base of 112, the Follow-Up Telemetry and the HMAC TLV of 20 octets each."""
UNKNOWN_LINK_CAP_BPS = 500_000_000
"""A transfer's cap where the NIC's speed is not known."""
SHARE = 0.1
"""Of the NIC's speed, where it is known."""


def cap_bps(asked_bps: int | None, link_bps: int | None, *, saturate: bool) -> int | None:
    """The most one transfer may send; null: as much as it can."""
    if saturate:
        return asked_bps
    own = UNKNOWN_LINK_CAP_BPS if link_bps is None else int(link_bps * SHARE)
    return own if asked_bps is None else min(own, asked_bps)


class CarefulFleet:
    """Passes commands on to another fleet, each made fit for a cluster that others use too."""

    def __init__(self, fleet: Fleet, most_bps: int | None) -> None:
        self._fleet = fleet
        self._most_bps = most_bps

    @property
    def agents(self) -> dict[AgentId, messages.AgentStatus]:
        """The agents known so far."""
        return self._fleet.agents

    async def wait_ready(self, agents: Collection[AgentId], timeout_s: float) -> None:
        """Returns once all are online.

        Raises:
            TransportError: Some are not, in time.
        """
        await self._fleet.wait_ready(agents, timeout_s)

    async def ask(self, agent: AgentId, command: messages.Command, timeout_s: float) -> Reply:
        """Sends one command and returns the whole answer.

        Raises:
            TransportError: The agent is gone or did not answer in time.
        """
        return await self._fleet.ask(agent, self._fit(command), timeout_s)

    def _fit(self, command: messages.Command) -> messages.Command:
        if isinstance(command, messages.Measure):
            sessions = tuple(
                msgspec.structs.replace(
                    each, udp_payload_bytes=max(each.udp_payload_bytes, AUTHENTICATED_BYTES)
                )
                for each in command.sessions
            )
            return messages.Measure(sessions=sessions)
        if isinstance(command, messages.Transfer) and self._most_bps is not None:
            # iperf3's -b is for each stream.
            share = self._most_bps // command.streams
            rate = share if command.rate_bps is None else min(share, command.rate_bps)
            return msgspec.structs.replace(command, rate_bps=rate)
        return command
