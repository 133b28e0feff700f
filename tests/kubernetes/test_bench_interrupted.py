"""The command that an interrupted `bench run` names goes on as it stands."""

import asyncio
import shlex
import signal
from pathlib import Path

from support import calico
from support.apiserver.kubelet import Kubelet
from support.apiserver.server import ApiServer
from support.cluster import at, cluster, until
from support.lab_cluster import ON_IT, Finished, ended, started

SWITCH = ("--method", "switch", "--disrupt", "stand-in", "--modes", "vxlan,bgp")


async def _interrupted(server: ApiServer, *arguments: str) -> Finished:
    """`bench`, interrupted once it has made agents."""
    process = await started(*arguments)
    agents = ("DaemonSet", "podbench-agent-host", "podbench-host")
    ending = asyncio.create_task(process.wait())
    made = asyncio.create_task(until(lambda: at(server, *agents) is not None))
    await asyncio.wait({ending, made}, return_when=asyncio.FIRST_COMPLETED)
    made.cancel()
    if not ending.done():
        process.send_signal(signal.SIGINT)
    return await ended(process)


def test_a_run_that_switches_modes_is_resumed_by_the_command_it_names(tmp_path: Path) -> None:
    """With `--disrupt`, which no question at the terminal stands for; and the path is quoted."""
    run = tmp_path / "my run"
    kubelet = Kubelet()
    kubelet.refused = {"n1": "never ready"}

    async def scene() -> tuple[Finished, Finished]:
        groups = {"projectcalico.org", "crd.projectcalico.org", "operator.tigera.io"}
        async with cluster(tmp_path, ApiServer(kubelet, groups=groups)) as (server, _):
            calico.install(server, operator=True)
            first = await _interrupted(server, "run", *ON_IT, *SWITCH, "--out", str(run))
            (hint,) = (each for each in first.errors.splitlines() if "-> bench resume" in each)
            command = shlex.split(hint.partition("-> ")[2].partition(" continues")[0])
            again = ("--context", "stand-in", "--yes")
            return first, await _interrupted(server, *command[1:], *again)

    first, second = asyncio.run(asyncio.wait_for(scene(), 100))
    assert first.code == 130, first.errors
    assert f"bench resume '{run}' --disrupt stand-in continues" in first.errors
    assert second.code == 130, second.errors
