"""Waits for a lab's agents: as long as they make progress, not for so many seconds.

A start takes 3-6 s on two idle cores and minutes on an emulated machine. What tells a slow start
from a stuck one is whether anything moves: an agent comes online, or those that wait use the CPU.
"""

import os
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path

from podbench.model.errors import LabError, TransportError
from podbench.model.nodes import AgentId
from podbench.target.lab import syscalls
from podbench.transport.base import Fleet

STILL_S = 60.0
"""No agent came online for so long, and those that wait used less than WORK_S of CPU time."""
WORK_S = 3.0
"""A start costs 1 s of CPU on a fast machine and 30 s on an emulated one; an agent that only tries
to reach its broker again and again stays below this."""
MOST_S = 900.0
LOOK_S = 0.5
"""How often a start that takes long is searched for agents that have ended."""
TICKS_PER_S = os.sysconf("SC_CLK_TCK")

Agents = Mapping[AgentId, "subprocess.Popen[bytes]"]


class Patience:
    """Decides when a start is stuck, from what it has done so far.

    Args:
        now_s: The time at which it begins, of any clock that `note` is asked with too.
    """

    def __init__(self, now_s: float) -> None:
        self._started_s = self._moved_s = now_s
        self._online = 0
        self._worked_s = 0.0

    def note(self, now_s: float, *, online: int, worked_s: float) -> bool:
        """Takes the state down; returns whether to wait on.

        Args:
            now_s: The time.
            online: Agents that announced themselves.
            worked_s: CPU time of those that have not.
        """
        if online != self._online:
            # Others wait now, so their CPU time counts from here.
            self._online, self._worked_s, self._moved_s = online, worked_s, now_s
        elif worked_s - self._worked_s >= WORK_S:
            self._worked_s, self._moved_s = worked_s, now_s
        return now_s - self._moved_s < STILL_S and now_s - self._started_s < MOST_S

    def describe(self, now_s: float) -> str:
        """How long it was waited, and how long in vain."""
        return (
            f"after {now_s - self._started_s:.0f} s, "
            f"without progress for the last {now_s - self._moved_s:.0f} s"
        )


async def until_ready(fleet: Fleet, agents: Agents, logs: Mapping[AgentId, Path]) -> None:
    """Returns once all agents are online.

    Args:
        fleet: Where they announce themselves.
        agents: Their processes.
        logs: What each of them says.

    Raises:
        LabError: One ended, or nothing moves any more; with its last words.
        TransportError: One speaks another message format.
    """
    patience = Patience(time.monotonic())
    while True:
        try:
            return await fleet.wait_ready(list(agents), LOOK_S)
        except TransportError as error:
            missing = _missing(fleet, agents)
            if not missing:
                raise
            ended = [name for name in missing if agents[name].poll() is not None]
            worked_s = sum(_cpu_s(agents[name]) for name in missing)
            now_s = time.monotonic()
            go_on = patience.note(now_s, online=len(agents) - len(missing), worked_s=worked_s)
            if go_on and not ended:
                continue
            which = (ended or missing)[0]
            words = _last_words(logs[which])
            if ended:
                status = agents[which].poll()
                raise LabError(
                    f"agent {which} ended with status {status}; its last words: {words}"
                ) from error
            raise LabError(
                f"agents not online {patience.describe(now_s)}: {', '.join(missing)}; "
                f"last words of {which}: {words}",
                advice="use fewer nodes (--nodes 2) or a less busy machine",
            ) from error


def _missing(fleet: Fleet, agents: Agents) -> list[AgentId]:
    known = fleet.agents
    return [name for name in agents if name not in known or not known[name].online]


def _cpu_s(process: "subprocess.Popen[bytes]") -> float:
    """CPU time that a process has used; 0 once it is gone (proc_pid_stat(5))."""
    try:
        stat = Path(f"/proc/{syscalls.host_pid(process.pid)}/stat").read_text("ascii", "replace")
    except (OSError, ProcessLookupError):
        return 0.0
    # The name before the second field may hold spaces.
    fields = stat.rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS_PER_S


def _last_words(log: Path) -> str:
    lines = log.read_text("utf-8", "replace").strip().splitlines()
    return lines[-1] if lines else "none"
