"""Latency of pairs: admit sessions, measure, and in the quiet window collect both ends' logs."""

import asyncio
import time
from collections import defaultdict
from collections.abc import Iterable

import msgspec

from podbench.model.arms import Mode, Path
from podbench.model.errors import PodbenchError
from podbench.model.nodes import AgentId, Pod
from podbench.run.crew import SOURCE_PORTS, Crew, Outcome
from podbench.run.journal import Failure, Span
from podbench.transport.base import Reply
from podbench.wire import fates, messages
from podbench.wire.columns import Table

DRAIN_S = 2.5
"""Tmax of 2 s after the last probe, and a little for the flush."""


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
    """Measures a stretch; rows, spans and failures are added to `outcome`."""
    try:
        sessions = [_session(crew, stretch, src, dst) for src, dst in stretch.pairs]
        await _each(crew, sessions, messages.Reflect)
        start_ns = time.monotonic_ns()
        logs = await _send(crew, sessions, stretch)
        end_ns = time.monotonic_ns()
        reflections = await _each(crew, sessions, messages.CollectReflections)
    except PodbenchError as error:
        outcome.failures += [_failure(stretch, pair, str(error)) for pair in stretch.pairs]
        return
    for session in sessions:
        log = logs.get(session.order.session_id)
        if log is None:
            reason = f"{session.sender} gave no log of its session"
            outcome.failures.append(_failure(stretch, (session.src, session.dst), reason))
            continue
        rows = _resolve(log, reflections.get(session.reflector))
        place = {
            "family": "ipv4",
            "src": session.src,
            "dst": session.dst,
            "phase": stretch.phase,
        }
        outcome.latency.setdefault(stretch.path, []).append((rows, {**place}))
    outcome.spans.append(_span(stretch, start_ns, end_ns))


async def answered(crew: Crew, src: Pod, dst: Pod, probes: int, rate_pps: float) -> int:
    """Sends n probes from pod to pod with nothing else on the wire; returns how many came back.

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
    await _each(crew, [session], messages.Reflect)
    logs = await _send(crew, [session], stretch)
    reflections = await _each(crew, [session], messages.CollectReflections)
    rows = _resolve(logs[session.order.session_id], reflections.get(session.reflector))
    return int((rows["status"] == "ok").sum())


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


async def _each(
    crew: Crew,
    sessions: list[_Session],
    command: type[messages.Reflect] | type[messages.CollectReflections],
) -> dict[AgentId, Reply]:
    ids = _by_reflector(sessions)
    replies = await asyncio.gather(
        *(crew.ask(agent, command(session_ids=ssids)) for agent, ssids in ids.items())
    )
    return dict(zip(ids, replies, strict=True))


def _resolve(log: Table, reflections: Reply | None) -> Table:
    if reflections is None:
        return fates.resolve(log, None)
    answer = reflections.answer
    facts = answer.facts if isinstance(answer, messages.Done) else {}
    counters = {name: value for name, value in facts.items() if isinstance(value, int)}
    return fates.resolve(log, reflections.tables.get("reflections"), counters)


async def _send(crew: Crew, sessions: list[_Session], stretch: Stretch) -> dict[int, Table]:
    by_sender: dict[AgentId, list[_Session]] = defaultdict(list)
    for session in sessions:
        by_sender[session.sender].append(session)
    replies = await asyncio.gather(
        *(
            crew.ask(
                agent,
                messages.Measure(sessions=tuple(s.order for s in own)),
                stretch.duration_s + DRAIN_S,
            )
            for agent, own in by_sender.items()
        )
    )
    return {
        int(name.partition("/")[2]): table
        for reply in replies
        for name, table in reply.tables.items()
        if name.startswith("latency/")
    }


def _failure(stretch: Stretch, pair: tuple[str, str], reason: str) -> Failure:
    src, dst = pair
    return Failure(kind=stretch.phase, path=stretch.path, src=src, dst=dst, reason=reason)


def _span(stretch: Stretch, start_ns: int, end_ns: int) -> Span:
    one = stretch.pairs[0] if len(stretch.pairs) == 1 else (None, None)
    return Span(
        kind=stretch.phase,
        path=stretch.path,
        src=one[0],
        dst=one[1],
        start_mono_ns=start_ns,
        end_mono_ns=end_ns,
    )
