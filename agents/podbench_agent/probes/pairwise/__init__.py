"""Probes between two agents, one file each: a probe exists because its file is in this folder.

A file has `serve(settings, ready)` for the far end and `run(settings)` for the near one. Both run
in a process of their own (`__main__`), so that nothing shares the agent's interpreter lock. The
orchestrator's half of a probe has the same name in `podbench.campaign.pairwise`.
"""

import asyncio
import contextlib
import json
import pkgutil
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import Mapping

import numpy as np

from podbench.model.errors import ProbeError
from podbench.transport.base import Reply
from podbench.wire import messages
from podbench.wire.columns import Table

START_S = 5.0
"""A fresh interpreter takes 0.1 s on an idle machine, and seconds on a starved one."""

Settings = Mapping[str, str | int | float]


def names() -> tuple[str, ...]:
    """The probes in this folder."""
    return tuple(m.name for m in pkgutil.iter_modules(__path__) if not m.name.startswith("_"))


class Pairwise:
    """The child processes of an agent's pairwise probes."""

    def __init__(self) -> None:
        self._servers: list[Process] = []

    async def answer(self, command: messages.RunProbe) -> Reply:
        """Starts the far end and says where it listens, or runs the near end to its result.

        Raises:
            ProbeError: This agent has no such probe, or its process failed; says why.
        """
        if command.name not in names():
            raise ProbeError(f"this agent has no probe {command.name}: {', '.join(names())}")
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", __name__, command.name, command.part),
            json.dumps(command.settings),
            stdin=PIPE,
            stdout=PIPE,
            stderr=PIPE,
            limit=1 << 26,
        )
        if command.part == "run":
            return Reply(messages.Done(), {command.name: await _result(process, command.lasts_s)})
        self._servers.append(process)
        facts = await _line(process, 0.0)
        return Reply(messages.Done(facts={"port": int(str(facts["port"]))}), {})

    async def close(self) -> None:
        """Ends the far ends that still listen."""
        for process in self._servers:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()
        self._servers.clear()


async def _result(process: Process, lasts_s: float) -> Table:
    columns = await _line(process, lasts_s)
    await process.wait()
    return {name: np.asarray(values, dtype=np.int64) for name, values in columns.items()}


async def _line(process: Process, lasts_s: float) -> dict[str, object]:
    """The one line of JSON that a child prints; the child is killed without it."""
    assert process.stdout is not None
    assert process.stderr is not None
    try:
        line = await asyncio.wait_for(process.stdout.readline(), lasts_s + START_S)
    except TimeoutError:
        process.kill()
        raise ProbeError(f"the probe's process said nothing for {lasts_s + START_S:g} s") from None
    if line:
        said: dict[str, object] = json.loads(line)
        return said
    reason = (await process.stderr.read()).decode(errors="replace").strip().splitlines()
    await process.wait()
    raise ProbeError(reason[-1] if reason else "the probe's process ended without a result")
