"""TCP transfers on the lab's shaped segment: what headers cost, where the link is the limit.

A flat-out transfer between namespaces is bound by which cores sender, receiver and softirq share,
and says nothing of a mode. On a link of a known rate, with segmentation offloads off, goodput is
what headers leave of it (docs/statistics.md): the only goodput verdict of a lab's default run.
Above: session.py. Rows go to samples/ceiling, with `block` the turn.
"""

import asyncio
import time

from podbench.campaign import plan
from podbench.campaign.agents import Crew
from podbench.campaign.journal import Entry, Failure, Journal, Span, kept
from podbench.campaign.pace import Pace
from podbench.model.arms import Arm, Path
from podbench.model.errors import PodbenchError
from podbench.store import samples
from podbench.store.rundir import RunDir
from podbench.wire import iperf3, messages

EVENT = "ceiling"
"""In the journal: one transfer is on disk."""
HARD_STOP_S = 10.0
LINKED_S = 0.05
"""From the change of the segment to the first transfer."""


def missing(drawn: plan.Plan, journal: Journal) -> list[plan.Ceiling]:
    """The transfers that the journal does not list yet, in order."""
    done = {(e.block, e.arm) for e in journal.entries() if e.event == EVENT}
    return [c for c in drawn.ceilings if (c.turn, Arm(c.mode).name) not in done]


async def measure(crew: Crew, one: plan.Ceiling, pace: Pace, rundir: RunDir, run_id: str) -> Entry:
    """Runs one transfer and writes its rows; a failed one is a row with its reason.

    Raises:
        StoreError: The disk is full or lost.
    """
    arm = Arm(one.mode)
    start_ns = time.monotonic_ns()
    client, server, reason = await _transfer(crew, one, pace)
    rows = iperf3.rows(client or "", server, omit_s=pace.omit_s, reason=reason)
    place: dict[str, samples.Scalar] = {
        "run_id": run_id,
        "block": one.turn,
        "round": 1,
        "arm": arm.name,
        "mode": str(one.mode),
        "path": str(Path.POD),
        "src": one.src,
        "dst": one.dst,
    }
    where = rundir.samples(EVENT, one.turn, arm, 1)
    file = kept(rundir, where, samples.write(where, EVENT, [(rows, place)]))
    for end, text in (("client", client), ("server", server)):
        if text is not None:
            name = f"ceiling-{one.src}-{one.dst}-{end}"
            rundir.write_raw(rundir.raw(one.turn, arm, name), text)
    span = Span(
        kind=EVENT,
        path=Path.POD,
        src=one.src,
        dst=one.dst,
        start_mono_ns=start_ns,
        end_mono_ns=time.monotonic_ns(),
    )
    failed = Failure(kind=EVENT, path=Path.POD, src=one.src, dst=one.dst, reason=reason or "")
    return Entry(
        event=EVENT,
        wall_ns=time.time_ns(),
        block=one.turn,
        arm=arm.name,
        spans=(span,),
        failures=(failed,) if reason else (),
        kept=(file,),
    )


async def _transfer(
    crew: Crew, one: plan.Ceiling, pace: Pace
) -> tuple[str | None, str | None, str | None]:
    """The JSON of both ends, and what went wrong."""
    near, far = (crew.end(name, one.mode, Path.POD) for name in (one.src, one.dst))
    try:
        serve = messages.ServeTransfer(
            bind_address=far.address, lifetime_s=pace.ceiling_s + HARD_STOP_S
        )
        served = await crew.ask(far.agent, serve)
        assert isinstance(served.answer, messages.Done)
        port = int(served.answer.facts["port"] or 0)
        command = messages.Transfer(
            peer_address=far.address,
            peer_port=port,
            bind_address=near.address,
            protocol="tcp",
            duration_s=pace.ceiling_s,
        )
        ran = await crew.ask(near.agent, command, pace.ceiling_s + HARD_STOP_S)
        ended = await crew.ask(far.agent, messages.CollectTransfer(port=port))
    except PodbenchError as error:
        return None, None, str(error)
    client, server = ran.answer, ended.answer
    if not isinstance(client, messages.Ran) or not isinstance(server, messages.Ran):
        return None, None, "the agent did not run iperf3"
    return client.output, server.output, client.error or server.error


async def settled() -> None:
    """Waits until what was under way on the segment has left it."""
    await asyncio.sleep(LINKED_S)
