"""A program for tests: a lab in isolation that says `ready` and waits, to be ended in some way.

It prints one line of JSON (`session` its process, `netns` the inode of a node's network namespace)
and then waits; each SIGINT, SIGTERM or SIGHUP it gets is a line of its own.
"""

import asyncio
import json
import signal
import sys
from pathlib import Path

from podbench.cni import registry
from podbench.model.arms import Mode
from podbench.model.nodes import LabOptions
from podbench.target.lab.isolate import run_isolated
from podbench.target.lab.world import LabWorld

ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


async def _wait(got: "asyncio.Queue[int]") -> int:
    for each in ENDING:
        asyncio.get_running_loop().add_signal_handler(each, got.put_nowait, int(each))
    async with LabWorld(LabOptions(nodes=2)) as world:
        await registry.driver("calico").lay(world, [Mode.VXLAN, Mode.BGP])
        # A child of a child, which process 1 inherits when its parent ends.
        orphan = await asyncio.create_subprocess_exec("sh", "-c", "sleep 600 >/dev/null &")
        await orphan.wait()
        _say(_ourselves())
        while True:
            number = await got.get()
            _say({"signal": number})
            if number != signal.SIGHUP:
                # A second one that comes with the first would still be heard.
                await asyncio.sleep(0.3)
                _say({"more": got.qsize()})
                return 40 + number


def _ourselves() -> dict[str, int]:
    session = int(str(Path("/proc/self").readlink()))
    return {"session": session, "netns": Path("/run/netns/n1").stat().st_ino}


def _say(what: dict[str, int]) -> None:
    sys.stdout.write(json.dumps(what) + "\n")
    sys.stdout.flush()


def main() -> int:
    """The session's work."""
    return asyncio.run(_wait(asyncio.Queue()))


if __name__ == "__main__":
    sys.exit(run_isolated(main))
