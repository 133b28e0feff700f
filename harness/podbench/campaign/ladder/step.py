"""One step of the ladder: paced load on one pair, STAMP and busy CPU beside it.

Every arm carries the same offered load, a share of a capacity that all arms hold (capacity.py), so
that the generator's work is equal and cancels in the difference of arms. `bulk` is one TCP stream
paced by the kernel (SO_MAX_PACING_RATE, which needs no fq qdisc); `small` is UDP of 64 octets,
which iperf3 sends in bursts by its own timer. The window in which CPU and interfaces are read lies
whole inside the load. What the step achieved comes from the interface counters of that window, not
from the generator. Next: analysis/figures judges and fits. Above: rounds.py.
"""

import asyncio
import time
from collections.abc import Sequence

import msgspec

from podbench.campaign import latency, loads, plan
from podbench.campaign.agents import Crew, End, Outcome
from podbench.campaign.journal import Failure, Span
from podbench.campaign.ladder import capacity
from podbench.campaign.ladder.rows import (
    BULK,
    KINDS,
    PACING_TIMER_US,
    SMALL,
    Offered,
    Seen,
    rate_at,
    row,
)
from podbench.campaign.pace import Pace
from podbench.model.arms import Mode, Path
from podbench.model.errors import PodbenchError
from podbench.model.units import show_bps
from podbench.transport.base import Reply
from podbench.wire import iperf3, messages

HARD_STOP_S = 10.0
STAMP_LEAD_S = 0.05
"""Probes begin this long before the window and end as long after it: they are part of its load."""


def _command(load: Offered, near: End, far: End, port: int, length_s: float) -> messages.Transfer:
    udp = load.kind == SMALL
    return messages.Transfer(
        peer_address=far.address,
        peer_port=port,
        bind_address=near.address,
        protocol="udp" if udp else "tcp",
        duration_s=int(length_s) + 1,
        interval_s=0.1,
        packet_bytes=iperf3.SMALL_BYTES if udp else None,
        total_bytes=round(load.bits_per_second * length_s / 8),
        rate_bps=round(load.bits_per_second) if udp else None,
        fq_rate_bps=None if udp else round(load.bits_per_second),
        pacing_timer_us=PACING_TIMER_US if udp else None,
    )


async def load(crew: Crew, ends: tuple[End, End], asked: Offered, pace: Pace) -> Seen:
    """Runs one load and watches both ends; what fails is a reason, not an exception."""
    near, far = ends
    length_s = pace.step_settle_s + pace.step_s + pace.step_tail_s
    try:
        serve = messages.ServeTransfer(bind_address=far.address, lifetime_s=length_s + HARD_STOP_S)
        served = await crew.ask(far.agent, serve)
        assert isinstance(served.answer, messages.Done)
        port = int(served.answer.facts["port"] or 0)
        window = messages.WatchLoad(start_after_s=pace.step_settle_s, duration_s=pace.step_s)
        until_s = pace.step_settle_s + pace.step_s
        # All to their ends, whatever becomes of one: the others would run beside the next step.
        ran, *watched = await asyncio.gather(
            crew.ask(near.agent, _command(asked, near, far, port, length_s), length_s),
            crew.ask(near.agent, window, until_s),
            crew.ask(far.agent, window, until_s),
            return_exceptions=True,
        )
        collected = await crew.ask(far.agent, messages.CollectTransfer(port=port))
    except PodbenchError as error:
        return Seen(reason=str(error))
    found, reasons = [], []
    for reply in (ran, *watched):
        if isinstance(reply, PodbenchError):
            reasons.append(str(reply))
        elif isinstance(reply, BaseException):
            raise reply
        found.append(None if isinstance(reply, BaseException) else reply.answer)
    client, server = found[0], collected.answer
    programs = [answer for answer in (client, server) if isinstance(answer, messages.Ran)]
    reasons += [program.error for program in programs if program.error]
    near_facts, far_facts = (
        answer.facts if isinstance(answer, messages.Done) else None for answer in found[1:]
    )
    return Seen(
        near=near_facts,
        far=far_facts,
        client=client.output if isinstance(client, messages.Ran) else None,
        server=server.output if isinstance(server, messages.Ran) else None,
        reason="; ".join(dict.fromkeys(reasons)) or None,
    )


async def measure(
    crew: Crew, mode: Mode, step: plan.Step, common: capacity.Capacity, pace: Pace, outcome: Outcome
) -> None:
    """One step with STAMP beside it; rows, raw output and failures go to `outcome`."""
    whole = common.of(step.kind)
    asked = Offered(kind=step.kind, share=step.share, rate=step.share * (whole or 0.0))
    if whole is None:
        _keep(
            step, asked, Seen(reason="no load was held in the search"), outcome, shared=crew.shared
        )
        return
    ends = (crew.end(step.src, mode, Path.POD), crew.end(step.dst, mode, Path.POD))
    beside = latency.Stretch(
        pairs=((step.src, step.dst),),
        mode=mode,
        path=Path.POD,
        phase=asked.phase,
        rate_pps=plan.WARM_PPS,
        duration_s=pace.step_s + 2 * STAMP_LEAD_S,
    )
    start_ns = time.monotonic_ns()

    async def probes() -> None:
        await asyncio.sleep(max(0.0, pace.step_settle_s - STAMP_LEAD_S))
        await latency.measure(crew, beside, outcome)

    seen, probed = await asyncio.gather(
        load(crew, ends, asked, pace), probes(), return_exceptions=True
    )
    for one in (seen, probed):
        if isinstance(one, BaseException):
            raise one
    assert isinstance(seen, Seen)
    _keep(step, asked, seen, outcome, shared=crew.shared)
    moved = loads.of_transfer(
        "ladder",
        (step.src, step.dst),
        seen.client,
        seen.server,
        round(beside.rate_pps * beside.duration_s) + beside.source_ports,
    )
    if moved is not None and seen.reason is None:
        outcome.loads.append(moved)
    outcome.spans.append(
        Span(
            kind=asked.phase,
            path=Path.POD,
            src=step.src,
            dst=step.dst,
            start_mono_ns=start_ns,
            end_mono_ns=time.monotonic_ns(),
        )
    )


async def rest(crew: Crew, stretch: latency.Stretch, outcome: Outcome) -> None:
    """A warm stretch with busy CPU beside it: step 0 of both kinds."""
    lead_s = 2 * STAMP_LEAD_S
    window = messages.WatchLoad(start_after_s=lead_s, duration_s=stretch.duration_s - lead_s)
    agents = []
    for src, dst in stretch.pairs:
        agents += [crew.end(name, stretch.mode, stretch.path).agent for name in (src, dst)]
    probed, *watched = await asyncio.gather(
        latency.measure(crew, stretch, outcome),
        *(crew.ask(agent, window, stretch.duration_s) for agent in agents),
        return_exceptions=True,
    )
    if isinstance(probed, BaseException):
        raise probed
    for number, (src, dst) in enumerate(stretch.pairs):
        facts, reasons = [], []
        for reply in watched[2 * number : 2 * number + 2]:
            if isinstance(reply, PodbenchError):
                reasons.append(str(reply))
            elif isinstance(reply, BaseException):
                raise reply
            answer = reply.answer if isinstance(reply, Reply) else None
            facts.append(answer.facts if isinstance(answer, messages.Done) else None)
        seen = Seen(near=facts[0], far=facts[1], reason="; ".join(reasons) or None)
        for kind in KINDS:
            at_rest = Offered(kind=kind, share=0.0, rate=0.0)
            bottom = plan.Step(kind=kind, share=0.0, src=src, dst=dst)
            _row(bottom, at_rest, seen, outcome, shared=crew.shared)


def _keep(step: plan.Step, asked: Offered, seen: Seen, outcome: Outcome, *, shared: bool) -> None:
    stem = f"{step.src}-{step.dst}-{asked.phase}"
    if seen.client is not None:
        outcome.raw[f"{stem}-client"] = seen.client
    if seen.server is not None:
        outcome.raw[f"{stem}-server"] = seen.server
    _row(step, asked, seen, outcome, shared=shared)
    if seen.reason is not None:
        outcome.failures.append(
            Failure(kind=asked.phase, path=Path.POD, src=step.src, dst=step.dst, reason=seen.reason)
        )


def _row(step: plan.Step, asked: Offered, seen: Seen, outcome: Outcome, *, shared: bool) -> None:
    place = {"src": step.src, "dst": step.dst, "kind": step.kind}
    outcome.ladder.setdefault(Path.POD, []).append((row(asked, seen, shared=shared), {**place}))


TRIAL_PACE = {"step_settle_s": 0.2, "step_s": 0.3, "step_tail_s": 0.05}
"""Of the search on the lab: enough to see which CPU is how busy, within 3 %."""
SMALL_WIRE_BITS = 8 * (iperf3.SMALL_BYTES + 28 + 38 + 50)
"""One small packet on the wire: UDP and IPv4 28, Ethernet framing 38, VXLAN 50 at most."""


async def find(
    crew: Crew, modes: Sequence[Mode], pair: tuple[str, str], pace: Pace, most_bps: int | None
) -> capacity.Capacity:
    """Searches the load that every mode holds, bulk and small; each is tried on one pair.

    Args:
        crew: nodes and agents.
        modes: those that exist.
        pair: sender and receiver.
        pace: of the run.
        most_bps: this run's cap; null: none.
    """
    if crew.shared:
        pace = msgspec.structs.replace(pace, **TRIAL_PACE)

    async def attempt(mode: Mode, asked: Offered) -> capacity.Trial:
        ends = (crew.end(pair[0], mode, Path.POD), crew.end(pair[1], mode, Path.POD))
        seen = await load(crew, ends, asked, pace)
        sent = rate_at(seen.near, asked.kind, "tx", stamp_pps=0.0)
        held = seen.reason is None and sent is not None and sent >= capacity.HELD * asked.rate
        return capacity.Trial(
            mode=mode, rate=asked.rate, held=held, busiest=seen.busiest, achieved=sent
        )

    found = {}
    for kind in KINDS:
        cap = None if most_bps is None else most_bps / (1 if kind == BULK else SMALL_WIRE_BITS)
        found[kind] = await capacity.search(kind, modes, cap, attempt)
    return capacity.Capacity(
        bulk_bps=found[BULK].rate,
        small_pps=found[SMALL].rate,
        bound={kind: one.bound for kind, one in found.items()},
        trials=tuple(each for one in found.values() for each in one.trials),
    )


def said(found: capacity.Capacity) -> str:
    """What the search found, in one line."""
    parts = []
    for kind, rate in ((BULK, found.bulk_bps), (SMALL, found.small_pps)):
        if rate is None:
            parts.append(f"{kind}: none was held")
        else:
            shown = show_bps(round(rate)) if kind == BULK else f"{rate / 1e3:.0f} kpps"
            parts.append(f"{kind} {shown} ({found.bound.get(kind, '')})")
    return "every mode holds " + "; ".join(parts)
