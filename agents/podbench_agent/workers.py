"""The latency probe's processes: forked once, before asyncio and its threads begin."""

import msgspec

from podbench.model.errors import ProbeError
from podbench_agent.probes.latency.process import ProbeWorker
from podbench_agent.probes.reflector.process import ReflectorWorker
from podbench_agent.probes.reflector.rules import Rules


class Workers(msgspec.Struct, frozen=True, kw_only=True):
    """What could be started, and why the rest could not."""

    prober: ProbeWorker | None = None
    reflector: ReflectorWorker | None = None
    absent: dict[str, str] = {}

    @property
    def stamp_source(self) -> str | None:
        """Where the prober's kernel stamps; null without a prober."""
        return self.prober.stamp_source if self.prober else None

    @property
    def port(self) -> int | None:
        """The UDP port the reflector answers on; null without one."""
        return self.reflector.port if self.reflector else None

    def stop(self) -> None:
        """Ends the processes; idempotent."""
        for worker in (self.prober, self.reflector):
            if worker is not None:
                worker.stop()


def start_workers(bind: str, port: int, key: bytes | None = None) -> Workers:
    """Forks the prober and the reflector; one that cannot start is absent with its reason.

    With an HMAC key both speak authenticated STAMP only.

    An agent without one of them still answers: what it cannot do is a record, not a silence.
    """
    absent: dict[str, str] = {}
    prober, reflector = ProbeWorker(key), ReflectorWorker(bind, port, Rules(key=key))
    parts: dict[str, ProbeWorker | ReflectorWorker] = {"prober": prober, "reflector": reflector}
    for name, worker in parts.items():
        try:
            worker.start()
        except ProbeError as error:
            absent[name] = str(error)
    return Workers(
        prober=None if "prober" in absent else prober,
        reflector=None if "reflector" in absent else reflector,
        absent=absent,
    )
