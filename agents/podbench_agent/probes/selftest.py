"""Self-test: measures a local path, where the result is the instrument's own floor.

Starts a reflector and a prober as an agent does, measures once, ends both. Used by
`bench doctor --instrument`.
"""

import asyncio
from collections.abc import Callable
from contextlib import AbstractContextManager

import msgspec

from podbench.wire import fates
from podbench.wire.columns import Table
from podbench.wire.messages import LatencySession
from podbench_agent.probes.latency.process import ProbeWorker
from podbench_agent.probes.reflector.process import ReflectorWorker

SSIDS = tuple(range(1, 9))

Enter = Callable[[str | None], AbstractContextManager[None]]
"""The calling thread is in a network namespace meanwhile; null: it stays where it is.

Not another thread: a process ends with the thread that started it (PR_SET_PDEATHSIG)."""


class Measured(msgspec.Struct, frozen=True, kw_only=True):
    """One measurement."""

    rows: Table
    sender_cpu_us: float
    """Per probe."""
    reflector_cpu_us: float
    stamp_source: str


def measure(
    enter: Enter, ends: tuple[str | None, str | None, str], rate_pps: float, duration_s: float
) -> Measured:
    """Measures from the first of two namespaces to an address in the second.

    Raises:
        ProbeError: A process cannot be started, or dies.
    """
    near, far, address = ends
    reflector, probe = ReflectorWorker(address, 0), ProbeWorker()
    try:
        with enter(far):
            reflector.start()
        with enter(near):
            probe.start()
        session = LatencySession(
            session_id=SSIDS[0],
            peer_address=address,
            peer_port=reflector.port,
            source_ports=len(SSIDS),
            rate_pps=rate_pps,
            duration_s=duration_s,
        )
        return asyncio.run(_measure(probe, reflector, session))
    finally:
        probe.stop()
        reflector.stop()


async def _measure(
    probe: ProbeWorker, reflector: ReflectorWorker, session: LatencySession
) -> Measured:
    await reflector.admit(SSIDS)
    before = int((await reflector.counters())["cpu_ns"])
    sender = (await probe.measure((session,)))[session.session_id]
    after = int((await reflector.counters())["cpu_ns"])
    log, counters = await reflector.collect(SSIDS)
    whole = {name: value for name, value in counters.items() if isinstance(value, int)}
    return Measured(
        rows=fates.resolve(sender, log, whole),
        sender_cpu_us=float(probe.facts["cpu_us_per_probe"]),
        reflector_cpu_us=(after - before) / len(sender["seq"]) / 1000,
        stamp_source=probe.stamp_source,
    )
