"""Real agent processes on a private broker, for tests of what happens when something dies."""

import asyncio
import contextlib
import os
import sys
import tempfile
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

from podbench.model.nodes import AgentId
from podbench_agent import host

RUN = "r1"
N1 = AgentId("n1-vxlan")


@contextlib.contextmanager
def short_directory() -> Iterator[Path]:
    """A directory whose path fits a Unix socket; pytest's own may not."""
    with tempfile.TemporaryDirectory(prefix="pb-") as name:
        yield Path(name)


@contextlib.asynccontextmanager
async def agent_process(
    socket: Path, *options: str, environment: dict[str, str] | None = None
) -> AsyncIterator[Process]:
    """`python -m podbench_agent` on loopback; killed at the end if it still runs."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "podbench_agent", "--id", N1, "--broker", f"unix://{socket}", "--run", RUN),
        *("--bind", "127.0.0.1", "--port", "0", *options),
        env={**os.environ, **(environment or {})},
        stderr=PIPE,
    )
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.communicate()


def proportional_kib(pid: int) -> int:
    """Memory of a process and all below it in KiB, each shared page counted once (PSS)."""
    total = 0
    for each in (pid, *host.descendants([pid])):
        text = Path(f"/proc/{each}/smaps_rollup").read_text("ascii")
        total += int(text.partition("\nPss:")[2].split()[0])
    return total
