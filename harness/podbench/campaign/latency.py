"""Latency of pairs: admit sessions, measure, and in the quiet window collect both ends' logs."""

import asyncio
import time
from collections import defaultdict
from collections.abc import Coroutine, Iterable
from typing import cast

import msgspec

from podbench.campaign.agents import SOURCE_PORTS, Crew, Outcome
from podbench.campaign.journal import EndCount, Failure, Span
from podbench.cni.base import Probed
from podbench.model.arms import Mode, Path
from podbench.model.errors import PodbenchError
from podbench.model.facts import Flow
from podbench.model.nodes import AgentId, Pod
from podbench.transport.base import Reply
from podbench.wire import fates, messages
from podbench.wire.columns import Table

DRAIN_S = 2.5
"""Tmax of 2 s after the last probe, and a little for the flush."""


SENDER_COUNTS = ("send_errors", "refused", "csum_errors", "rx_drops")
REFLECTOR_COUNTS = (
    *("csum_errors", "rx_drops", "short", "from_reflector", "unprovisioned", "not_allowed"),
    *("rate_limited", "unauthenticated", "corrupt", "table_full", "send_failed"),
)
"""Of what the agents count, that which explains losses; the journal keeps those above zero."""


class Stretch(msgspec.Struct, frozen=True, kw_only=True):
    """One latency measurement: these pairs at the same time."""

    pairs: tuple[tuple[str, str], ...]
    mode: Mode
    path: Path
    phase: str
    rate_pps: float
    duration_s: float
    source_ports: int = SOURCE_PORTS


class _Session(msgspec.Struct, frozen=True, kw_only=True):
    """One pair's group of STAMP sessions."""

    src: str
    dst: str
    sender: AgentId
    reflector: AgentId
    order: messages.LatencySession

    @property
    def ssids(self) -> tuple[int, ...]:
        first = self.order.session_id
        return tuple(range(first, first + self.order.source_ports))


async def measure(crew: Crew, stretch: Stretch, outcome: Outcome) -> None:
    """Measures a stretch; rows, spans and failures are added to `outcome`.

    An agent that cannot be asked costs its own pairs only: each becomes a failure with the reason.
    """
    asked = []
    for src, dst in stretch.pairs:
        try:
            asked.append(_session(crew, stretch, src, dst))
        except PodbenchError as error:
            outcome.failures.append(_failure(stretch, (src, dst), error))
    admitted = await _each(crew, asked, messages.Reflect)
    sessions = _standing(asked, admitted, stretch, outcome, by_sender=False)
    start_ns = time.monotonic_ns()
    sent = await _send(crew, sessions, stretch)
    end_ns = time.monotonic_ns()
    sessions = _standing(sessions, sent, stretch, outcome, by_sender=True)
    # Of all: what failed must not stay admitted, and who did not answer may have heard. Where that
    # fails too, the first failure is told already.
    reflections = await _each(crew, asked, messages.CollectReflections)
    for session in sessions:
        reply = sent[session.sender]
        assert isinstance(reply, Reply)
        rows = _resolve(session, reply, reflections[session.reflector])
        place = {
            "family": "ipv4",
            "src": session.src,
            "dst": session.dst,
            "phase": stretch.phase,
        }
        outcome.latency.setdefault(stretch.path, []).append((rows, {**place}))
    if sessions:
        counted = (
            *_counted("sender", {s.sender: s.src for s in sessions}, sent, SENDER_COUNTS),
            *_counted(
                "reflector", {s.reflector: s.dst for s in sessions}, reflections, REFLECTOR_COUNTS
            ),
        )
        outcome.spans.append(_span(stretch, start_ns, end_ns, counted))


async def answered(crew: Crew, src: Pod, dst: Pod, probes: int, rate_pps: float) -> Probed:
    """Sends n probes from pod to pod with nothing else on the wire; counts what came back.

    Raises:
        ProbeError, TransportError: The probes could not be sent.
    """
    stretch = Stretch(
        pairs=((src.node, dst.node),),
        mode=src.mode,
        path=Path.POD,
        phase="proof",
        rate_pps=rate_pps,
        duration_s=probes / rate_pps,
        # Each port ends with a flush probe that tunnel counters see too: one keeps them within 2 %.
        source_ports=1,
    )
    session = _session(crew, stretch, src.node, dst.node)
    try:
        await _whole(_each(crew, [session], messages.Reflect))
        sent = await _whole(_send(crew, [session], stretch))
    except PodbenchError:
        # Taken back, as far as anybody hears it; the first failure is what is told.
        await _each(crew, [session], messages.CollectReflections)
        raise
    reflections = await _each(crew, [session], messages.CollectReflections)
    rows = _resolve(session, sent[session.sender], reflections[session.reflector])
    flow = Flow(protocol="udp", sport=int(rows["src_port"][0]), dport=session.order.peer_port)
    return Probed(answered=int((rows["status"] == "ok").sum()), flow=flow)


def _session(crew: Crew, stretch: Stretch, src: str, dst: str) -> _Session:
    near = crew.end(src, stretch.mode, stretch.path)
    far = crew.end(dst, stretch.mode, stretch.path)
    order = messages.LatencySession(
        session_id=crew.session_id(),
        peer_address=far.address,
        peer_port=crew.port(far.agent),
        source_ports=stretch.source_ports,
        rate_pps=stretch.rate_pps,
        duration_s=stretch.duration_s,
        spin=crew.spin,
    )
    return _Session(src=src, dst=dst, sender=near.agent, reflector=far.agent, order=order)


def _by_reflector(sessions: Iterable[_Session]) -> dict[AgentId, tuple[int, ...]]:
    ids: dict[AgentId, tuple[int, ...]] = defaultdict(tuple)
    for session in sessions:
        ids[session.reflector] += session.ssids
    return dict(ids)


_Replies = dict[AgentId, Reply | PodbenchError]
"""What each agent answered, or why it did not."""


async def _gather(asked: dict[AgentId, Coroutine[None, None, Reply]]) -> _Replies:
    found = await asyncio.gather(*asked.values(), return_exceptions=True)
    for one in found:
        if isinstance(one, BaseException) and not isinstance(one, PodbenchError):
            raise one
    return dict(zip(asked, cast("list[Reply | PodbenchError]", found), strict=True))


async def _each(
    crew: Crew,
    sessions: list[_Session],
    command: type[messages.Reflect] | type[messages.CollectReflections],
) -> _Replies:
    ids = _by_reflector(sessions)
    return await _gather({a: crew.ask(a, command(session_ids=s)) for a, s in ids.items()})


async def _send(crew: Crew, sessions: list[_Session], stretch: Stretch) -> _Replies:
    by_sender: dict[AgentId, tuple[messages.LatencySession, ...]] = defaultdict(tuple)
    for session in sessions:
        by_sender[session.sender] += (session.order,)
    work_s = stretch.duration_s + DRAIN_S
    return await _gather(
        {
            agent: crew.ask(agent, messages.Measure(sessions=orders), work_s)
            for agent, orders in by_sender.items()
        }
    )


async def _whole(asked: Coroutine[None, None, _Replies]) -> dict[AgentId, Reply]:
    """The replies, if every agent gave one.

    Raises:
        ProbeError, TransportError: The first that did not.
    """
    replies = {}
    for agent, reply in (await asked).items():
        if isinstance(reply, PodbenchError):
            raise reply
        replies[agent] = reply
    return replies


def _standing(
    sessions: list[_Session],
    replies: _Replies,
    stretch: Stretch,
    outcome: Outcome,
    *,
    by_sender: bool,
) -> list[_Session]:
    """The sessions whose agent answered; the others become failures."""
    left = []
    for session in sessions:
        reply = replies[session.sender if by_sender else session.reflector]
        if isinstance(reply, PodbenchError):
            outcome.failures.append(_failure(stretch, (session.src, session.dst), reply))
        else:
            left.append(session)
    return left


def _resolve(session: _Session, sent: Reply, reflections: Reply | PodbenchError) -> Table:
    log = sent.tables[f"latency/{session.order.session_id}"]
    if isinstance(reflections, PodbenchError) or not isinstance(reflections.answer, messages.Done):
        return fates.resolve(log, None)
    facts = reflections.answer.facts
    counters = {name: value for name, value in facts.items() if isinstance(value, int)}
    return fates.resolve(log, reflections.tables.get("reflections"), counters)


def _counted(
    end: str, nodes: dict[AgentId, str], replies: _Replies, names: Iterable[str]
) -> Iterable[EndCount]:
    """What each agent of one side counted."""
    for agent, node in nodes.items():
        reply = replies[agent]
        if isinstance(reply, PodbenchError) or not isinstance(reply.answer, messages.Done):
            continue
        facts = {name: reply.answer.facts.get(name) for name in names}
        counts = {name: n for name, n in facts.items() if isinstance(n, int) and n > 0}
        if counts:
            yield EndCount(node=node, end=end, counts=counts)


def _failure(stretch: Stretch, pair: tuple[str, str], error: PodbenchError) -> Failure:
    src, dst = pair
    return Failure(kind=stretch.phase, path=stretch.path, src=src, dst=dst, reason=str(error))


def _span(stretch: Stretch, start_ns: int, end_ns: int, counted: tuple[EndCount, ...]) -> Span:
    one = stretch.pairs[0] if len(stretch.pairs) == 1 else (None, None)
    return Span(
        kind=stretch.phase,
        path=stretch.path,
        src=one[0],
        dst=one[1],
        start_mono_ns=start_ns,
        end_mono_ns=end_ns,
        counted=counted,
    )
