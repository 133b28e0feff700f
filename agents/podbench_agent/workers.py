"""Processes of the latency probe: forked once, before asyncio starts threads."""

import msgspec

from podbench.model.errors import ProbeError
from podbench_agent.probes.latency.process import ProbeWorker
from podbench_agent.probes.reflector.process import ReflectorWorker
from podbench_agent.probes.reflector.rules import Rules


class Workers(msgspec.Struct, frozen=True, kw_only=True):
    """Started processes, and the reasons for those that could not start."""

    prober: ProbeWorker | None = None
    reflector: ReflectorWorker | None = None
    absent: dict[str, str] = {}

    @property
    def stamp_source(self) -> str | None:
        """Stamp source of the prober; null without a prober."""
        return self.prober.stamp_source if self.prober else None

    @property
    def port(self) -> int | None:
        """UDP port of the reflector; null without one."""
        return self.reflector.port if self.reflector else None

    def stop(self) -> None:
        """Stops the processes; idempotent."""
        for worker in (self.prober, self.reflector):
            if worker is not None:
                worker.stop()


def start_workers(bind: str, port: int, key: bytes | None = None) -> Workers:
    """Forks the prober and the reflector; records the reason if one cannot start.

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
