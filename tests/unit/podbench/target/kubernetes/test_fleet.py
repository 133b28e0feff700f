"""Commands as a shared cluster may have them: authenticated, capped, to where the pods are now."""

import asyncio
from collections.abc import Collection

import pytest

from podbench.model.nodes import AgentId
from podbench.target.kubernetes.fleet import Addresses, CarefulFleet, cap_bps
from podbench.transport.base import Reply
from podbench.wire import messages

AGENT = AgentId("n1-vxlan")


class Recorder:
    """Keeps what it is asked."""

    def __init__(self) -> None:
        self.agents: dict[AgentId, messages.AgentStatus] = {}
        self.asked: list[messages.Command] = []

    async def wait_ready(self, agents: Collection[AgentId], timeout_s: float) -> None:
        """At once."""

    async def ask(self, agent: AgentId, command: messages.Command, timeout_s: float) -> Reply:
        """Always done."""
        self.asked.append(command)
        return Reply(messages.Done(), {})


def passed_on(
    command: messages.Command, most_bps: int | None = None, addresses: Addresses | None = None
) -> messages.Command:
    """What becomes of a command."""
    recorder = Recorder()
    fleet = CarefulFleet(recorder, most_bps, addresses or Addresses())
    asyncio.run(fleet.ask(AGENT, command, 1.0))
    (asked,) = recorder.asked
    return asked


def transfer(streams: int = 1, rate_bps: int | None = None) -> messages.Transfer:
    """A transfer between two pods."""
    return messages.Transfer(
        peer_address="10.0.0.2",
        peer_port=5201,
        bind_address="10.0.0.1",
        protocol="tcp",
        streams=streams,
        rate_bps=rate_bps,
    )


@pytest.mark.parametrize(("asked", "sent"), [(64, 152), (152, 152), (1000, 1000)])
def test_probes_have_room_for_what_authenticates_them(asked: int, sent: int) -> None:
    """Authenticated packets are longer; larger ones stay as they are."""
    order = messages.LatencySession(
        session_id=1, peer_address="10.0.0.2", peer_port=8620, udp_payload_bytes=asked
    )
    command = passed_on(messages.Measure(sessions=(order,)))
    assert isinstance(command, messages.Measure)
    assert command.sessions[0].udp_payload_bytes == sent


@pytest.mark.parametrize(
    ("streams", "asked_bps", "most_bps", "each_bps"),
    [
        (1, None, 500_000_000, 500_000_000),
        (8, None, 800_000_000, 100_000_000),
        (1, 10_000_000, 500_000_000, 10_000_000),
        (1, None, None, None),
    ],
)
def test_transfers_keep_under_the_cap_together(
    streams: int, asked_bps: int | None, most_bps: int | None, each_bps: int | None
) -> None:
    """iperf3 takes a rate per stream, the cap is for all of them."""
    command = passed_on(transfer(streams, asked_bps), most_bps)
    assert isinstance(command, messages.Transfer)
    assert command.rate_bps == each_bps


@pytest.mark.parametrize(
    ("asked", "links", "saturate", "cap"),
    [
        (None, [None, None], False, 500_000_000),
        (None, [], False, 500_000_000),
        (None, [10_000_000_000, 25_000_000_000], False, 1_000_000_000),
        (None, [10_000_000_000, None], False, 500_000_000),
        (None, [1_000_000_000, None], False, 100_000_000),
        (200_000_000, [10_000_000_000], False, 200_000_000),
        (2_000_000_000, [10_000_000_000], False, 1_000_000_000),
        (None, [10_000_000_000], True, None),
        (2_000_000_000, [None], True, 2_000_000_000),
    ],
)
def test_the_cap_is_a_tenth_of_the_slowest_link(
    asked: int | None, links: list[int | None], saturate: bool, cap: int | None
) -> None:
    """500 Mbit/s where a link is not known; only --saturate lifts it."""
    assert cap_bps(asked, links, saturate=saturate) == cap


def test_commands_go_where_the_pods_are_now() -> None:
    """A pod that came back elsewhere keeps its first address as its name."""
    addresses = Addresses()
    addresses.note(AgentId("n1-vxlan"), "10.0.0.1")
    addresses.note(AgentId("n2-vxlan"), "10.0.0.2")
    addresses.note(AgentId("n2-vxlan"), "10.0.0.7")
    addresses.note(AgentId("n2-vxlan"), "10.0.0.9")

    command = passed_on(transfer(), None, addresses)
    assert isinstance(command, messages.Transfer)
    assert (command.bind_address, command.peer_address) == ("10.0.0.1", "10.0.0.9")
    assert passed_on(
        messages.LookUp(address="10.0.0.2", source="10.0.0.1"), None, addresses
    ) == messages.LookUp(address="10.0.0.9", source="10.0.0.1")


def test_other_commands_pass_as_they_are() -> None:
    """Nothing else is touched."""
    command = messages.CollectCounters(stop=True)
    assert passed_on(command, 1) is command
