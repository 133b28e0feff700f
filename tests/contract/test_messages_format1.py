"""Message format 1, as its first agents spoke it: recorded bytes keep their meaning.

A field may be added with a default. When one of these fails, MESSAGE_FORMAT has to rise instead.
"""

import json
from pathlib import Path

import numpy as np
import pytest

from podbench.model.facts import NodeFacts, Route
from podbench.model.nodes import AgentId
from podbench.wire import columns, messages

RECORDED: dict[str, str] = json.loads(
    (Path(__file__).parents[1] / "fixtures" / "messages-format1.json").read_text("utf-8")
)

SESSION = messages.LatencySession(
    session_id=17, peer_address="10.244.1.2", peer_port=8620, rate_pps=1000.0, duration_s=1.0
)
COMMANDS: dict[str, messages.Command] = {
    "reflect": messages.Reflect(session_ids=(17, 18)),
    "measure": messages.Measure(sessions=(SESSION,)),
    "collect reflections": messages.CollectReflections(session_ids=(17,)),
    "serve transfer": messages.ServeTransfer(bind_address="10.244.1.2", lifetime_s=16.0),
    "transfer": messages.Transfer(
        peer_address="10.244.1.2",
        peer_port=45123,
        bind_address="10.244.2.2",
        protocol="udp",
        packet_bytes=1422,
        rate_bps=10_000_000,
    ),
    "collect transfer": messages.CollectTransfer(port=45123),
    "start counters": messages.StartCounters(node="n1", period_s=0.1, pids=(7,)),
    "collect counters": messages.CollectCounters(stop=True),
    "read facts": messages.ReadFacts(node="n1"),
    "look up": messages.LookUp(address="10.244.2.2", source="10.244.1.2"),
    "stop": messages.Stop(),
}
ANSWERS: dict[str, messages.Answer] = {
    "done": messages.Done(facts={"port": 45123, "version": "3.12", "ok": True, "none": None}),
    "ran": messages.Ran(
        program="iperf3", version="3.12", exit_status=-9, output="{}", error="it hung"
    ),
    "facts": messages.Facts(read=NodeFacts(node="n1", wall_ns=5)),
    "found": messages.Found(route=Route(dst="10.244.2.0/24", device="eth0", protocol=12)),
    "failed": messages.Failed(reason="no", retryable=True),
}
STATUS = messages.AgentStatus(
    agent=AgentId("n1-vxlan"),
    online=True,
    version="0.1.0",
    pid=4,
    capabilities={"stamp_source": "kernel", "iperf3": None},
)


def recorded(name: str) -> bytes:
    """The recorded message."""
    return bytes.fromhex(RECORDED[name])


def test_the_format_is_still_1() -> None:
    """A new format number needs a recording of its own."""
    assert messages.MESSAGE_FORMAT == 1


@pytest.mark.parametrize("name", COMMANDS)
def test_recorded_requests_keep_their_meaning(name: str) -> None:
    """A command of the first release is read as what it was."""
    assert messages.decode_request(recorded(name)) == messages.Request(id=7, command=COMMANDS[name])


@pytest.mark.parametrize("name", ANSWERS)
def test_recorded_responses_keep_their_meaning(name: str) -> None:
    """An answer of the first release is read as what it was, its table included."""
    response = messages.decode_response(recorded(name))
    table = columns.unpack(response.tables["host"])

    assert response.answer == ANSWERS[name]
    assert (response.id, response.number, response.last) == (7, 0, True)
    assert table["mono_ns"].dtype == np.int64
    assert table["mono_ns"].tolist() == [1, None, 2**40]
    assert table["status"].tolist() == ["ok", None]
    assert table["late"].tolist() == [True, False]


def test_recorded_status_keeps_its_meaning() -> None:
    """What an agent announced is read as what it was."""
    assert messages.decode_status(recorded("status")) == STATUS


def test_every_message_is_recorded() -> None:
    """Every kind of command and answer has its recording."""
    assert set(RECORDED) == {*COMMANDS, *ANSWERS, "status"}
