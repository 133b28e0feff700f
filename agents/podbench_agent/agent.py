"""Commands in, measurements out: which part of the agent answers which command.

`__main__` builds the parts and connects this to the transport. A measurement that fails is a
`Failed` answer with its reason; nothing a command does may end the agent, but `Stop`.
"""

import asyncio
from collections.abc import Collection, Mapping
from typing import Protocol

from podbench.model.errors import ProbeError
from podbench.transport.base import Reply
from podbench.wire import messages
from podbench.wire.columns import Table
from podbench_agent import evidence
from podbench_agent.canary import Canary
from podbench_agent.capture import Capture
from podbench_agent.host import Counters
from podbench_agent.probes import window
from podbench_agent.probes.pairwise import Pairwise
from podbench_agent.probes.throughput import Transfers

Facts = Mapping[str, str | int | float | bool | None]


class Prober(Protocol):
    """The sending side of the latency probe, in a separate process (probes/latency/process.py)."""

    @property
    def facts(self) -> Facts:
        """Of the last measurement: what a probe cost, what could not be sent."""

    async def measure(self, sessions: tuple[messages.LatencySession, ...]) -> dict[int, Table]:
        """Runs the sessions at the same time; tables by first session id."""


class Reflector(Protocol):
    """The answering side, in a separate process (probes/reflector/process.py)."""

    async def admit(self, session_ids: Collection[int]) -> None:
        """Lets these SSIDs in and starts their logs anew."""

    async def collect(self, session_ids: Collection[int]) -> tuple[Table, Facts]:
        """The log of these sessions and the reflector's counters; forgets them."""


class Agent:
    """Dispatches commands. A part that could not be started is absent, with the reason why."""

    def __init__(
        self,
        prober: Prober | None,
        reflector: Reflector | None,
        *,
        absent: Mapping[str, str] | None = None,
        stop: asyncio.Event,
        key: bytes | None = None,
    ) -> None:
        self._prober = prober
        self._reflector = reflector
        self._absent = dict(absent or {})
        self._stop = stop
        self.transfers = Transfers()
        self.pairwise = Pairwise()
        self.counters = Counters()
        self.canary = Canary(key)
        self.capture = Capture()

    async def handle(self, command: messages.Command) -> Reply:
        """Carries out one command (`transport.base.Handler`).

        Raises:
            ProbeError: It could not be carried out; the transport makes that a `Failed` answer.
        """
        match command:
            case messages.Measure():
                return await self._measure(command)
            case messages.Reflect() | messages.CollectReflections():
                return await self._reflect(command)
            case messages.StartCounters() | messages.CollectCounters():
                return self._count(command)
            case messages.RunProbe():
                return await self.pairwise.answer(command)
            case _:
                return Reply(await self._without_tables(command), {})

    async def _without_tables(self, command: messages.Command) -> messages.Answer:
        match command:
            case messages.ServeTransfer() | messages.Transfer() | messages.CollectTransfer():
                return await self._transfer(command)
            case messages.WatchLoad():
                return await window.watch(command)
            case messages.ReadFacts() | messages.LookUp():
                return await asyncio.to_thread(evidence.answer, command)
            case (
                messages.WatchPath()
                | messages.KeepWatch()
                | messages.HoldWatch()
                | messages.EndWatch()
            ):
                return await self._watch(command)
            case messages.StartCapture():
                self.capture.start(command)
            case messages.CollectCapture():
                return self.capture.collect()
            case messages.Stop():
                self._stop.set()
        return messages.Done()

    async def _measure(self, command: messages.Measure) -> Reply:
        if self._prober is None:
            raise ProbeError(f"no latency probe here: {self._why('prober')}")
        tables = await self._prober.measure(command.sessions)
        named = {f"latency/{session_id}": table for session_id, table in tables.items()}
        return Reply(messages.Done(facts=dict(self._prober.facts)), named)

    async def _reflect(self, command: messages.Reflect | messages.CollectReflections) -> Reply:
        if self._reflector is None:
            raise ProbeError(f"no reflector here: {self._why('reflector')}")
        if isinstance(command, messages.Reflect):
            await self._reflector.admit(command.session_ids)
            return Reply(messages.Done(), {})
        table, facts = await self._reflector.collect(command.session_ids)
        return Reply(messages.Done(facts=dict(facts)), {"reflections": table})

    async def _transfer(
        self, command: messages.ServeTransfer | messages.Transfer | messages.CollectTransfer
    ) -> messages.Answer:
        match command:
            case messages.ServeTransfer():
                return await self.transfers.serve(command)
            case messages.Transfer():
                return await self.transfers.run(command)
            case messages.CollectTransfer():
                return await self.transfers.collect(command.port)

    async def _watch(
        self,
        command: messages.WatchPath | messages.KeepWatch | messages.HoldWatch | messages.EndWatch,
    ) -> messages.Answer:
        match command:
            case messages.WatchPath():
                return await self.canary.watch(command)
            case messages.KeepWatch():
                self.canary.keep()
            case messages.HoldWatch():
                self.canary.hold(command.hold_s)
            case messages.EndWatch():
                self.canary.end()
        return messages.Done()

    def _count(self, command: messages.StartCounters | messages.CollectCounters) -> Reply:
        if isinstance(command, messages.StartCounters):
            self.counters.start(command.period_s, command.pids)
            return Reply(messages.Done(facts={"node": command.node}), {})
        return Reply(messages.Done(), {"host": self.counters.collect(stop=command.stop)})

    def _why(self, part: str) -> str:
        return self._absent.get(part, "it was not started")

    async def close(self) -> None:
        """Ends what still runs: servers, clients, the counter thread."""
        self.canary.end()
        self.capture.close()
        self.counters.stop()
        await self.pairwise.close()
        await self.transfers.close()
