"""Messages and their encoding."""

from typing import get_args

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from podbench.model.errors import RemoteProtocolError
from podbench.model.nodes import AgentId
from podbench.wire import messages

small = st.integers(min_value=0, max_value=2**31)
sensible = st.floats(min_value=0, max_value=1e9)
words = st.text(st.characters(codec="utf-8"), max_size=20)
ids = st.lists(small, max_size=5).map(tuple)

sessions = st.builds(
    messages.LatencySession,
    session_id=small,
    peer_address=words,
    peer_port=small,
    rate_pps=sensible,
    duration_s=sensible,
    spin=st.booleans(),
)
commands = st.one_of(
    st.builds(messages.Reflect, session_ids=ids),
    st.builds(messages.Measure, sessions=st.lists(sessions, max_size=3).map(tuple)),
    st.builds(messages.CollectReflections, session_ids=ids),
    st.builds(messages.ServeTransfer, bind_address=words, lifetime_s=sensible),
    st.builds(
        messages.Transfer,
        peer_address=words,
        peer_port=small,
        bind_address=words,
        protocol=st.sampled_from(["tcp", "udp"]),
        packet_bytes=st.none() | small,
        congestion=st.none() | words,
    ),
    st.builds(messages.CollectTransfer, port=small),
    st.builds(messages.StartCounters, node=words, period_s=sensible, pids=ids),
    st.builds(messages.CollectCounters, stop=st.booleans()),
    st.just(messages.Stop()),
    st.builds(
        messages.WatchPath,
        session_id=small,
        peer_address=words,
        peer_port=small,
        delay_s=st.none() | sensible,
    ),
    st.builds(messages.HoldWatch, hold_s=sensible),
    st.just(messages.KeepWatch()),
    st.just(messages.EndWatch()),
    st.builds(messages.StartCapture, device=words, addresses=st.lists(words).map(tuple)),
    st.just(messages.CollectCapture()),
    st.builds(messages.WatchLoad, start_after_s=sensible, duration_s=sensible),
    st.builds(
        messages.RunProbe,
        name=words,
        part=st.sampled_from(["serve", "run"]),
        settings=st.dictionaries(words, words | small | sensible, max_size=3),
        columns=st.lists(words, max_size=3).map(tuple),
        lasts_s=sensible,
    ),
)
facts = st.dictionaries(words, st.none() | words | small | sensible | st.booleans(), max_size=3)
answers = st.one_of(
    st.builds(messages.Done, facts=facts),
    st.builds(
        messages.Ran,
        program=words,
        version=words,
        exit_status=st.integers(min_value=-64, max_value=255),
        output=words,
        error=st.none() | words,
    ),
    st.builds(
        messages.Watched,
        trouble=st.none() | words,
        sent=small,
        lost=small,
        unjudged=small,
        stalls=small,
        baseline_ns=st.none() | small,
        p50_ns=st.none() | small,
        p99_ns=st.none() | small,
        max_ns=st.none() | small,
    ),
    st.builds(
        messages.Captured,
        seen=st.lists(
            st.builds(
                messages.CapturedPackets,
                src=words,
                dst=words,
                encapsulation=words,
                vni=st.none() | small,
                packets=small,
            ),
            max_size=3,
        ).map(tuple),
        dropped=small,
    ),
    st.builds(messages.Failed, reason=words, retryable=st.booleans()),
)


@given(request_id=small, command=commands, have=st.none() | ids)
def test_requests_come_back(
    request_id: int, command: messages.Command, have: tuple[int, ...] | None
) -> None:
    """Every kind of command survives the wire, its kind included."""
    request = messages.Request(id=request_id, command=command, have=have)

    assert messages.decode_request(messages.encode(request)) == request
    assert messages.request_id(messages.encode(request)) == request_id


@given(answer=st.none() | answers, number=small, tables=st.dictionaries(words, st.binary()))
def test_responses_come_back(
    answer: messages.Answer | None, number: int, tables: dict[str, bytes]
) -> None:
    """Every kind of answer and its tables survive the wire."""
    response = messages.Response(
        id=1, number=number, last=answer is not None, answer=answer, tables=tables
    )

    assert messages.decode_response(messages.encode(response)) == response


@given(capabilities=st.dictionaries(words, st.none() | words, max_size=3), online=st.booleans())
def test_statuses_come_back(capabilities: dict[str, str | None], online: bool) -> None:
    """An agent's status survives the wire, absent capabilities as null."""
    status = messages.AgentStatus(
        agent=AgentId("n1-vxlan"), online=online, capabilities=capabilities
    )

    assert messages.decode_status(messages.encode(status)) == status


def test_every_command_is_covered_here() -> None:
    """A new kind of command needs a strategy above."""
    covered = {
        "Reflect", "Measure", "CollectReflections", "ServeTransfer", "Transfer",
        "CollectTransfer", "StartCounters", "CollectCounters", "ReadFacts", "LookUp", "Stop",
        "WatchPath", "KeepWatch", "HoldWatch", "EndWatch", "StartCapture", "CollectCapture",
        "WatchLoad", "RunProbe",
    }  # fmt: skip

    assert {kind.__name__ for kind in get_args(messages.Command)} == covered


def test_other_format_is_refused_by_number() -> None:
    """A request of another format names both numbers, and can still be answered by its id."""
    data = msgspec.msgpack.encode({"id": 9, "format": 99, "command": {"type": "Unknown"}})

    with pytest.raises(RemoteProtocolError, match="format 99, this agent 1"):
        messages.decode_request(data)
    assert messages.request_id(data) == 9


@example(data=b"\x81\xa7version\xa1\xff")
@given(data=st.binary(max_size=60))
def test_any_bytes_raise_only_the_protocols_error(data: bytes) -> None:
    """Whatever arrives, nothing but the protocol's own error comes out."""
    for decode in (messages.decode_request, messages.decode_response, messages.decode_status):
        try:
            decode(data)
        except RemoteProtocolError:
            continue
    messages.request_id(data)
