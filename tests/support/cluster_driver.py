"""A program for tests: runs or restores on a cluster, each time in a process of its own.

It reads one command a line on standard input, forks, and answers with the child's end as JSON:
`{"do": "run", "folder": DIR, "kill_at": 7}` dies by SIGKILL right after the 7th line of its ledger
(or ends by itself), with `"method": "switch"` after changing the cluster's own mode;
`{"do": "restore", "folder": DIR}` undoes, knowing nothing but the cluster.
Everything is imported once, before the forks.
"""

import asyncio
import ctypes
import itertools
import json
import os
import signal
import sys
import traceback
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from podbench.cni import registry
from podbench.model.arms import Mode
from podbench.model.errors import PodbenchError
from podbench.target.kubernetes import deployed, target
from podbench.target.kubernetes.api.client import Api
from podbench.target.kubernetes.deploy import credentials, ledger, undo
from podbench.target.kubernetes.deploy.objects import objects
from podbench.target.kubernetes.deploy.settings import ORCHESTRATOR, Credentials
from podbench.target.kubernetes.guard import watchdog
from podbench.target.kubernetes.request import Cluster
from podbench.target.kubernetes.world import Method

MODES = (Mode.VXLAN, Mode.BGP)
PR_SET_PDEATHSIG = 1
DONE = 10
"""Exit status of a run that came to its end: here that is connecting to a broker that is none."""


async def _no_openssl(names: Iterable[str], broker_address: str) -> Credentials:
    return Credentials(
        passwords=dict.fromkeys((*names, ORCHESTRATOR), "x" * 32),
        hmac_key="00" * 32,
        salt=b"0" * 12,
        ca=None,
        certificate="c",
        key="k",
    )


def _kill_after(number: int) -> None:
    count = itertools.count(1)
    write = ledger.Ledger.note

    def note(self: ledger.Ledger, event: str, **of: Any) -> None:
        write(self, event, **of)
        if next(count) == number:
            os.kill(os.getpid(), signal.SIGKILL)

    ledger.Ledger.note = note  # type: ignore[method-assign] # the instant is the test


async def _run(folder: Path, run_id: str, method: str) -> int:
    asked = Cluster(
        run_id=run_id,
        image="image",
        method=Method(name=method),
        folder=folder,
        lease_s=1,
        patience_s=3.0,
    )
    async with target.KubernetesTarget(asked, lambda _: None).up() as there:
        await registry.driver("calico").lay(there.world, MODES)
        if there.switch is not None:
            await there.deployment.make(objects(await there._settings()), there.changes)
            for mode in (*MODES, MODES[0]):
                await there.switch.write(there.switch.values(mode))
            return DONE
        try:
            async with there.deploy():
                raise AssertionError("there is no broker here")
        except PodbenchError as error:
            if not there.deployment.complete:
                raise
            print(f"ended: {error}", file=sys.stderr)
            return DONE


async def _restore() -> int:
    async with Api(patience_s=3.0) as api:
        listing = await undo.Undo(api, lambda _: None, own="driver").run()
        return 3 if listing.left else 0


def _child(command: dict[str, Any]) -> int:
    credentials.make = _no_openssl
    undo.LOOK_S = watchdog.LOOK_S = 0.05
    deployed.AGENTS_S = 1.0
    folder = Path(command["folder"])
    if command["do"] == "restore":
        return asyncio.run(_restore())
    _kill_after(command["kill_at"])
    run_id, method = command.get("run_id", "run-1"), command.get("method", "pools")
    return asyncio.run(_run(folder, run_id, method))


def main() -> None:
    """Serves commands until standard input ends."""
    for line in sys.stdin:
        command = json.loads(line)
        child = os.fork()
        if child == 0:
            status = 1
            # With the driver goes its child, also by SIGKILL.
            ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
            try:
                status = _child(command)
            except PodbenchError as error:
                print(f"{type(error).__name__}: {error}", file=sys.stderr)
                status = 20 + error.exit_code
            except BaseException:  # noqa: BLE001 - a forked child must not return into the parent's loop
                traceback.print_exc()
            finally:
                sys.stderr.flush()
                os._exit(status)
        _, ended = os.waitpid(child, 0)
        code = os.waitstatus_to_exitcode(ended)
        print(json.dumps({"code": code}), flush=True)


if __name__ == "__main__":
    main()
