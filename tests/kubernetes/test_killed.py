"""SIGKILL of the orchestrator after every line of its ledger; then restored from elsewhere."""

import asyncio
import json
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from support import calico
from support.apiserver.server import ApiServer
from support.apiserver.store import Place
from support.cluster import at, cluster, until

from podbench.target.kubernetes.deploy import ledger

DRIVER = Path(__file__).parents[1] / "support" / "cluster_driver.py"
KILLED, DONE, CLEAN = -9, 10, 0
GROUPS = {"projectcalico.org", "crd.projectcalico.org"}


class Driver:
    """The program that runs and restores (`support.cluster_driver`)."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def do(self, **command: Any) -> int:
        """One command; returns its exit status."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(command).encode() + b"\n")
        await self._process.stdin.drain()
        return int(json.loads(await self._process.stdout.readline())["code"])


async def _every_line(folder: Path, method: str) -> list[tuple[int, int, list[str]]]:
    """Kills after each line; what each run's end and restoration were, and what was left."""
    found = []
    switching = method == "switch"
    groups = {*GROUPS, "operator.tigera.io"} if switching else GROUPS
    async with cluster(folder, ApiServer(groups=groups)) as (server, _):
        calico.install(server, operator=switching)
        before = set(server.store.places())
        theirs = _theirs(server, before)
        driver = await _driver()
        try:
            for number in await _lines(driver, folder) if switching else range(1, 200):
                here = folder / f"run-{number}"
                here.mkdir()
                ended = await driver.do(do="run", folder=str(here), kill_at=number, method=method)
                if ended == KILLED:
                    _the_ledger_comes_first(server, here)
                restored = await driver.do(do="restore", folder=str(folder))
                left = sorted(str(each) for each in set(server.store.places()) - before)
                left += [
                    name for name, spec in _theirs(server, before).items() if spec != theirs[name]
                ]
                found.append((ended, restored, left))
                if ended != KILLED:
                    break
        finally:
            await _end(driver)
    return found


async def _lines(driver: Driver, folder: Path) -> list[int]:
    """The lines at which a run that switches is killed: those that a run with pools has not.

    What is planned of the cluster's own, everything from the first change on, and one line before;
    then none, so that it comes to its end.
    """
    whole = folder / "whole"
    whole.mkdir()
    assert await driver.do(do="run", folder=str(whole), kill_at=999, method="switch") == DONE
    lines = (whole / ledger.FILE).read_text("utf-8").splitlines()
    read = [json.loads(line) for line in lines]
    events = [each["event"] for each in read]
    first = events.index("changing")
    assert events[first:].count("changed") == 3
    own = [n for n, each in enumerate(read, 1) if (each.get("entry") or {}).get("earlier")]
    assert own
    # Read under the lease: another run that was just ending has put everything back by then.
    assert own[0] > events.index("made")
    return [1, *own, *range(first, len(lines) + 1), 999]


def _theirs(server: ApiServer, places: Iterable[Place]) -> dict[str, Any]:
    """What the cluster's own objects ask for."""
    found = {str(place): server.store.get(place) for place in places}
    return {name: body.get("spec") for name, body in found.items() if body is not None}


def _the_ledger_comes_first(server: ApiServer, folder: Path) -> None:
    """Whatever of ours exists was written down before, on disk and in the cluster."""
    planned = {str(each.ref) for each in ledger.on_disk(folder)}
    published = at(server, "ConfigMap", ledger.REF.name, "podbench")
    text = "" if published is None else published["data"][ledger.KEY]
    if '"Installation"' not in text and (found := at(server, "Installation", "default")):
        # Nothing of the cluster's own is changed before its state is in the cluster.
        (pool,) = found["spec"]["calicoNetwork"]["ipPools"]
        assert pool["encapsulation"] == "VXLANCrossSubnet"
    for place in server.store.places():
        body = server.store.get(place)
        if body is None or ledger.run_of(body) is None or place.plural == "pods":
            continue
        assert any(f"{body['kind']} " in each and place.name in each for each in planned)
        first = {"Namespace podbench", "Lease podbench", f"ConfigMap {ledger.REF.name}"}
        assert f"{body['kind']} {place.name}" in first or f'"{place.name}"' in text


async def _driver() -> Driver:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        str(DRIVER),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    return Driver(process)


async def _end(driver: Driver) -> None:
    process = driver._process
    assert process.stdin is not None
    process.stdin.close()
    await process.wait()


@pytest.mark.timeout(400)
@pytest.mark.parametrize("method", ["pools", "switch"])
def test_killed_at_any_line_the_cluster_is_restored_from_elsewhere(
    tmp_path: Path, method: str
) -> None:
    """Whatever line it dies after, one restoration without its directory leaves nothing.

    With `switch` the cluster's own mode is as it was as well.
    """
    found = asyncio.run(asyncio.wait_for(_every_line(tmp_path, method), 380))
    assert [ended for ended, _, _ in found[:-1]] == [KILLED] * (len(found) - 1)
    assert found[-1][0] == DONE
    assert len(found) > (30 if method == "pools" else 8)
    assert {restored for _, restored, _ in found} == {CLEAN}
    assert [left for _, _, left in found if left] == []


def test_two_orchestrators_at_once(tmp_path: Path) -> None:
    """The second is refused by name of the first, and the first's objects stay."""

    async def scene() -> tuple[int, str | None]:
        async with cluster(tmp_path) as (server, _):
            calico.install(server)
            server.kubelet.refused["n1"] = "never ready: the first run waits for its pods"
            first, second = await _driver(), await _driver()
            try:
                (tmp_path / "a").mkdir()
                (tmp_path / "b").mkdir()
                running = asyncio.create_task(
                    first.do(do="run", folder=str(tmp_path / "a"), kill_at=999, run_id="first")
                )
                await until(
                    lambda: (
                        at(server, "DaemonSet", "podbench-agent-host", "podbench-host") is not None
                    )
                )
                code = await second.do(
                    do="run", folder=str(tmp_path / "b"), kill_at=999, run_id="second"
                )
                space = at(server, "Namespace", "podbench")
                owner = None if space is None else ledger.run_of(space)
                return code, owner
            finally:
                for each in (first, second):
                    each._process.kill()
                    await _end(each)
                await asyncio.gather(running, return_exceptions=True)

    code, owner = asyncio.run(asyncio.wait_for(scene(), 60))
    assert code == 21
    assert owner == "first"
