"""The fleet as a run on a cluster may use it: authenticated probes, and a cap on what it loads."""

from collections.abc import Collection, Sequence

import msgspec

from podbench.model.nodes import AgentId
from podbench.transport.base import Fleet, Refused, Reply, refused
from podbench.wire import messages

AUTHENTICATED_BYTES = 152
"""Authenticated STAMP's base of 112, the Follow-Up Telemetry and the HMAC TLV of 20 octets each."""
UNKNOWN_LINK_CAP_BPS = 500_000_000
"""A transfer's cap where the NIC's speed is not known."""
SHARE = 0.1
"""Of the NIC's speed, where it is known."""


def cap_bps(
    asked_bps: int | None, links_bps: Sequence[int | None], *, saturate: bool
) -> int | None:
    """The most one transfer may send; null: as much as it can.

    One cap for all pairs, so that they compare: that of the slowest node.

    Args:
        asked_bps: `--max-bandwidth`; narrows the cap.
        links_bps: Each node's speed on the underlay; null where its driver does not tell.
        saturate: `--saturate`: what was asked for alone counts.
    """
    if saturate:
        return asked_bps
    own = min(
        (UNKNOWN_LINK_CAP_BPS if each is None else int(each * SHARE) for each in links_bps),
        default=UNKNOWN_LINK_CAP_BPS,
    )
    return own if asked_bps is None else min(own, asked_bps)


class Addresses:
    """Where pods are now: one that was evicted comes back under another address."""

    def __init__(self) -> None:
        self._first: dict[AgentId, str] = {}
        self._now: dict[str, str] = {}

    def note(self, agent: AgentId, address: str) -> None:
        """Takes note of an agent's address; the first one stays its name in the run."""
        self._now[self._first.setdefault(agent, address)] = address

    def of(self, address: str) -> str:
        """The address that stands for a first one now."""
        return self._now.get(address, address)


class CarefulFleet:
    """Passes commands on to another fleet, each made fit for a cluster that others use too.

    Attributes:
        most_bps: The most one transfer sends; null: as much as it can. Known once nodes were read.
    """

    def __init__(self, fleet: Fleet, most_bps: int | None, addresses: Addresses) -> None:
        self._fleet = fleet
        self.most_bps = most_bps
        self._addresses = addresses

    @property
    def agents(self) -> dict[AgentId, messages.AgentStatus]:
        """The agents known so far."""
        return self._fleet.agents

    @property
    def refused(self) -> dict[AgentId, Refused]:
        """Messages that were dropped, by the agent whose topic they came by."""
        return refused(self._fleet)

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
        match command:
            case messages.Measure():
                return messages.Measure(sessions=tuple(map(self._session, command.sessions)))
            case messages.Transfer():
                return self._transfer(command)
            case _:
                return self._led(command)

    def _led(self, command: messages.Command) -> messages.Command:
        """A command with the addresses where the pods are now."""
        now_at = self._addresses.of
        match command:
            case messages.ServeTransfer():
                return msgspec.structs.replace(command, bind_address=now_at(command.bind_address))
            case messages.LookUp():
                source = None if command.source is None else now_at(command.source)
                return messages.LookUp(address=now_at(command.address), source=source)
            case messages.WatchPath():
                return msgspec.structs.replace(command, peer_address=now_at(command.peer_address))
            case messages.StartCapture():
                ours = tuple(map(now_at, command.addresses))
                return msgspec.structs.replace(command, addresses=ours)
            case _:
                return command

    def _session(self, order: messages.LatencySession) -> messages.LatencySession:
        return msgspec.structs.replace(
            order,
            peer_address=self._addresses.of(order.peer_address),
            udp_payload_bytes=max(order.udp_payload_bytes, AUTHENTICATED_BYTES),
        )

    def _transfer(self, order: messages.Transfer) -> messages.Transfer:
        rate = order.rate_bps
        if self.most_bps is not None:
            # iperf3's -b is for each stream.
            share = self.most_bps // order.streams
            rate = share if rate is None else min(share, rate)
        return msgspec.structs.replace(
            order,
            peer_address=self._addresses.of(order.peer_address),
            bind_address=self._addresses.of(order.bind_address),
            rate_bps=rate,
        )
