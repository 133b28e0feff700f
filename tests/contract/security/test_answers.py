"""An agent that lies: what it sends is that agent's failed measurement, never more."""

import asyncio
import json
import resource
import zlib
from typing import Any

import msgspec
import numpy as np
import pytest
from support import needs
from support.agents import N1, RUN, short_directory

from podbench.model.errors import AnswerError, ProbeError, RemoteProtocolError
from podbench.model.facts import NodeFacts, Route
from podbench.model.nodes import AgentId
from podbench.transport.base import Reply
from podbench.transport.broker import private_broker
from podbench.transport.memory import MemoryFleet
from podbench.transport.mqtt import MqttFleet
from podbench.wire import answers, batches, columns, fates, iperf3, messages, topics

pytestmark = needs.programs("mosquitto")

SESSION = messages.LatencySession(
    session_id=9, peer_address="10.0.0.2", peer_port=8620, rate_pps=100, duration_s=0.1
)
MEASURE = messages.Measure(sessions=(SESSION,))
SERVE = messages.ServeTransfer(bind_address="::", lifetime_s=1)
READ, ROUTE = NodeFacts(node="n1", wall_ns=1), Route(dst="x/y", device=None)
FACTS = messages.ReadFacts(node="n1")


def sent(**other: Any) -> columns.Table:
    """A sender table of ten probes without replies, as an agent makes it; with other columns."""
    n, none = 10, np.ones(10, dtype=bool)
    missing = np.ma.MaskedArray(np.zeros(n, np.int64), mask=none)
    flags = dict.fromkeys(("corrupted", "reordered", "clock_step"), np.zeros(n, bool))
    copies = ("duplicates", "duplicates_forward", "duplicates_backward")
    stamps = ("t2_ns", "t3_ns", "t3_user_ns", "t4_ns", "received_mono_ns", "reflector_seq")
    moments = 1_000_000 * np.arange(n, dtype=np.int64)
    return {
        "session_id": np.repeat(np.int32(9), n),
        "src_port": np.repeat(np.int32(40000), n),
        "seq": np.arange(n),
        **dict.fromkeys(("intended_mono_ns", "sent_mono_ns", "sent_wall_ns", "t1_ns"), moments),
        **dict.fromkeys((*stamps, "ttl", "reorder_extent"), missing),
        **flags,
        **dict.fromkeys(copies, np.zeros(n, np.uint8)),
        "stamp_code": np.zeros(n, np.uint8),
        **dict.fromkeys(("rx_drops", "period_ns", "timeout_ns"), np.zeros(n, np.int64)),
        **other,
    }


def refused(
    command: messages.Command, answer: messages.Answer, tables: dict[str, columns.Table]
) -> str:
    """Why an answer is refused, by the way that answers take."""

    async def handler(_command: messages.Command) -> Reply:
        return Reply(answer, tables)

    async def scene() -> None:
        await MemoryFleet({N1: handler}).ask(N1, command, 5)

    with pytest.raises(AnswerError) as caught:
        asyncio.run(scene())
    # Whoever minds failed measurements minds this one.
    assert isinstance(caught.value, ProbeError)
    assert str(N1) in str(caught.value)
    return str(caught.value)


def test_an_honest_answer_comes_through() -> None:
    """And columns that are not known yet are left out."""
    _, tables = answers.checked(
        MEASURE, messages.Done(), {"latency/9": sent(news=np.zeros(10, np.int64))}
    )
    assert "news" not in tables["latency/9"]
    assert set(fates.resolve(tables["latency/9"], None)["status"]) == {"lost_unknown"}


@pytest.mark.parametrize(
    ("tables", "why"),
    [
        ({}, "not those that were asked for"),
        ({"latency/9": sent(), "x": sent()}, "not those that were asked for"),
        ({"latency/9": {"seq": np.arange(10)}}, "has no column"),
        ({"latency/9": sent(seq=np.arange(9))}, "unequal length"),
        ({"latency/9": sent(seq=np.arange(10) - 5)}, "out of range"),
        ({"latency/9": sent(seq=np.zeros(10))}, "dtype float64"),
        ({"latency/9": sent(session_id=np.repeat(np.int32(77), 10))}, "other sessions"),
        ({"latency/9": sent(stamp_code=np.repeat(np.uint8(200), 10))}, "out of range"),
        ({"latency/9": sent(intended_mono_ns=np.arange(10) * 10**17)}, "spans"),
        (
            {"latency/9": {name: np.repeat(col, 9) for name, col in sent().items()}},
            "at most 18 probes were asked for",
        ),
        (
            {"latency/9": sent(seq=np.ma.MaskedArray(np.arange(10), mask=[True] * 10))},
            "values missing",
        ),
    ],
)
def test_tables_are_held_to_what_was_asked(tables: dict[str, columns.Table], why: str) -> None:
    """Names, columns, lengths, kinds, ranges, sessions and time."""
    assert why in refused(MEASURE, messages.Done(), tables)


@pytest.mark.parametrize(
    ("command", "answer"),
    [
        (MEASURE, messages.Ran(program="x", version="1", exit_status=0, output="")),
        (FACTS, messages.Done()),
        (FACTS, messages.Facts(read=NodeFacts(node="n2", wall_ns=1))),
        (FACTS, messages.Facts(read=NodeFacts(node="n1", wall_ns=1, kernel="\x1b[2Jpwned"))),
        (FACTS, messages.Facts(read=msgspec.structs.replace(READ, routes=(ROUTE,)))),
        (SERVE, messages.Done()),
        (SERVE, messages.Done(facts={"port": 0})),
        (SERVE, messages.Done(facts={"port": "80"})),
        (messages.KeepWatch(), messages.Done(facts={"x": "y" * 9999})),
        (messages.KeepWatch(), messages.Done(facts={"x": float("nan")})),
    ],
)
def test_answers_are_held_to_what_was_asked(
    command: messages.Command, answer: messages.Answer
) -> None:
    """Kinds of answers, the node they are of, addresses, ports, text."""
    assert refused(command, answer, {})


def test_reasons_come_through_fit_to_be_shown() -> None:
    """A failure is an answer whatever its words; those cannot rewrite a terminal."""
    answer, _ = answers.checked(MEASURE, messages.Failed(reason="\x1b[31mno\nway\x00" * 9999), {})
    assert isinstance(answer, messages.Failed)
    assert answer.reason.isprintable()
    assert len(answer.reason) <= 2000


def _packed(dtype: str, length: int, data: bytes) -> bytes:
    return zlib.compress(msgspec.msgpack.encode({"x": [dtype, length, data, None]}), 9)


BOMBS = {
    "zeros": zlib.compress(bytes(1 << 30), 9),
    "one long text widens a column": _packed(
        "json", 40_001, json.dumps(["x" * 100_000, *[None] * 40_000]).encode()
    ),
    "rows": _packed("|u1", 1 << 23, bytes(1 << 23)),
    "a length that is not there": _packed("<i8", 1 << 40, b""),
    "a dtype of any size": _packed("S1000000000", 0, b""),
    "nested": zlib.compress(b"\x81\xa1x" + b"\x91" * 100_000),
}


@pytest.mark.parametrize("bomb", BOMBS)
def test_a_bound_stands_before_memory_is_taken(bomb: str) -> None:
    """A few octets that ask for gigabytes are refused, and cost no more than the bound."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    part = messages.Response(
        id=1, number=0, last=True, answer=messages.Done(), tables={"host": BOMBS[bomb]}
    )
    assembly = batches.Assembly()
    assembly.add(part)
    with pytest.raises(RemoteProtocolError):
        assembly.whole()
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown * 1024 < 4 * columns.MOST_UNPACKED_BYTES


@pytest.mark.parametrize(
    "numbers",
    [
        [(-1, False)],
        [(batches.MOST_PARTS, False)],
        [(0, True), (3, False)],
        [(2, False), (1, True)],
        [(1, True), (2, True)],
    ],
)
def test_parts_that_no_answer_has_are_refused(numbers: list[tuple[int, bool]]) -> None:
    """Numbers below zero or without end, two ends, parts after the end."""
    assembly = batches.Assembly()
    parts = [
        messages.Response(id=1, number=number, last=last, answer=messages.Done())
        for number, last in numbers
    ]
    with pytest.raises(RemoteProtocolError):
        list(map(assembly.add, parts))


def test_parts_add_up_to_a_bound() -> None:
    """What comes after 64 MiB is refused before it is kept."""
    assembly, load = batches.Assembly(), {"x": bytes(batches.PART_BYTES)}
    parts = (
        messages.Response(id=1, number=number, last=False, tables=load)
        for number in range(batches.MOST_PARTS)
    )
    with pytest.raises(RemoteProtocolError, match="64 MiB"):
        list(map(assembly.add, parts))


def test_an_agent_speaks_for_itself_only() -> None:
    """A foreign answer or status is dropped and counted for whoever's topic it came by."""
    n2 = AgentId("n2-vxlan")

    async def scene() -> tuple[dict[AgentId, Any], set[AgentId], messages.Answer]:
        with short_directory() as directory:
            async with (
                private_broker(directory) as path,
                MqttFleet(f"unix://{path}", run_id=RUN) as fleet,
            ):
                return await spoken(fleet)

    async def spoken(fleet: MqttFleet) -> tuple[dict[AgentId, Any], set[AgentId], messages.Answer]:
        online = messages.AgentStatus(agent=N1, online=True)
        fleet._receive(topics.status(RUN, N1), messages.encode(online))
        fleet._receive(topics.status(RUN, n2), messages.encode(online))
        asked = asyncio.create_task(fleet.ask(N1, messages.KeepWatch(), 20))
        for _ in range(20):
            await asyncio.sleep(0)
        (number,) = fleet._asks
        for agent, port in ((n2, 1), (n2, 2), (N1, 3)):
            answer = messages.Done(facts={"port": port})
            (part,) = batches.cut(number, answer, {})
            fleet._receive(topics.answer(RUN, agent), messages.encode(part))
        fleet._receive(topics.answer(RUN, N1), b"garbage")
        fleet._receive(topics.answer("other", N1), messages.encode(part))
        reply = await asked
        return fleet.refused, set(fleet.agents), reply.answer

    refused_by, agents, answer = asyncio.run(scene())
    assert agents == {N1}
    assert answer == messages.Done(facts={"port": 3})
    assert {agent: each.count for agent, each in refused_by.items()} == {n2: 3, N1: 1}
    assert "announces itself as n1" in refused_by[n2].why


DOCUMENT = {
    "start": {
        "version": "iperf 3.12",
        "test_start": {"protocol": "TCP", "num_streams": 1, "blksize": 131072},
    },
    "intervals": [
        {"streams": [{"start": 0, "end": 0.1, "seconds": 0.1, "bits_per_second": 1e9}]},
    ],
}


def _document(**stream: object) -> str:
    interval = {**DOCUMENT["intervals"][0]["streams"][0], **stream}  # type: ignore[index] # JSON
    return json.dumps({**DOCUMENT, "intervals": [{"streams": [interval]}]})


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (json.dumps({"start": {"version": "iperf 3.12"}, "intervals": [{"streams": []}]}),
         "no interval of any stream was reported"),
        (_document(lost_packets=18446744073709551615), "lost_packets"),
        (_document(packets=2**80), "packets"),
        (_document(seconds=-1), "seconds"),
        (_document(bits_per_second=1e300), "bits_per_second"),
        (_document().replace('"TCP"', '"QUIC"'), "protocol"),
        (_document().replace('"num_streams": 1', '"num_streams": 0'), "num_streams"),
        ("[" * 100_000, "damaged"),
        ('{"x":' + "[" * 100_000, "damaged"),
        ("\ud800", "damaged"),
        (json.dumps({**DOCUMENT, "error": "\x1b[2J"}), "sender"),
    ],
)  # fmt: skip
def test_whatever_iperf3_writes_is_rows_or_one_failed_row(text: str, why: str) -> None:
    """Its JSON is held to what a transfer can be; else the transfer failed, with the reason."""
    rows = iperf3.rows(text, text)
    assert list(rows["status"]) == ["failed"]
    assert why in str(rows["reason"][0])
    assert str(rows["reason"][0]).isprintable()
    assert list(iperf3.rows(_document(), _document())["status"]) == ["ok", "ok"]
