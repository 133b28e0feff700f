"""Programs started as children: found by name, ended by process id, never outliving their parent.

The broker and the agent's iperf3 are started through here. `setpriv --pdeathsig` (util-linux, part
of every Debian) arms the kernel to kill the child when its parent dies, after the fork and without
Python code between fork and exec, which threads would make unsafe.
"""

import asyncio
import contextlib
import os
import shutil
from asyncio.subprocess import Process
from pathlib import Path

from podbench.model.errors import PrerequisiteError

SYSTEM_PATHS = ("/usr/local/sbin", "/usr/sbin", "/sbin")
"""Where Debian puts daemons; an ordinary user's PATH lacks them."""


def find(program: str, package: str) -> Path:
    """Where a program is.

    Raises:
        PrerequisiteError: It is not installed; the advice is the apt line.
    """
    path = os.pathsep.join([os.environ.get("PATH", os.defpath), *SYSTEM_PATHS])
    found = shutil.which(program, path=path)
    if found is None:
        raise PrerequisiteError(
            f"{program} is not installed", advice=f"sudo apt-get install -y {package}"
        )
    return Path(found)


def with_parent_death(arguments: list[str]) -> list[str]:
    """The command line that runs `arguments` and is killed when this process dies."""
    setpriv = shutil.which("setpriv")
    return [setpriv, "--pdeathsig", "KILL", "--", *arguments] if setpriv else arguments


async def end(process: Process, grace_s: float) -> int:
    """Ends a child by its process id: SIGTERM, then SIGKILL after `grace_s`; idempotent.

    Returns:
        Its exit status, negative for a signal.
    """
    if process.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        try:
            return await asyncio.wait_for(process.wait(), grace_s)
        except TimeoutError:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
    return await process.wait()
