"""Clusters that people have (tests/fixtures/clusters), served by the API server stand-in."""

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import yaml
from support.apiserver.kinds import KINDS, STORED
from support.apiserver.server import ApiServer
from support.apiserver.store import Place
from support.cluster import kubeconfig
from support.recorded import FIXTURES

from podbench.campaign.cluster.survey import Survey, survey_now
from podbench.campaign.options.table import Options
from podbench.doctor.checks import Check
from podbench.doctor.cluster import Asked, checks_now

CASES = FIXTURES / "clusters"
Object = dict[str, Any]


class Seen(msgspec.Struct, frozen=True, kw_only=True):
    """What the product makes of a cluster: what runs and plans go by, and doctor's rows by name."""

    survey: Survey
    checks: dict[str, Check]


def load(name: str) -> Object:
    """One of the clusters."""
    found: Object = yaml.safe_load((CASES / f"{name}.yaml").read_text("utf-8"))
    return found


def serve(server: ApiServer, case: Object) -> None:
    """Puts its objects into a stand-in whose controllers do nothing: all is as it was found."""
    server.controllers.paused = True
    server.groups = set(case["groups"])
    for resource, bodies in case["objects"].items():
        plural, _, group = resource.partition(".")
        version = next(v for v, p in KINDS if p == plural and _group(v) == group)
        if plural == "ippools":
            version = STORED.get(version, version)
        for body in bodies:
            meta = body["metadata"]
            whole = {"apiVersion": version, "kind": KINDS[version, plural], **body}
            place = Place(version, plural, meta.get("namespace", ""), meta["name"])
            server.store.put(place, whole)


def _group(version: str) -> str:
    return version.partition("/")[0] if "/" in version else ""


def look(case: Object, folder: Path, faults: Mapping[str, Any] | None = None) -> Seen:
    """Asks the cluster over HTTP, as `bench plan` and `bench doctor` do."""

    async def run() -> Seen:
        async with ApiServer() as server:
            serve(server, case)
            for name, value in (faults or {}).items():
                setattr(server.faults, name, value)
            with kubeconfig(folder / "kubeconfig", server.kubeconfig()):
                found = await survey_now(Options())
                checks = await checks_now(Asked())
                return Seen(survey=found, checks={each.name: each for each in checks})

    return asyncio.run(asyncio.wait_for(run(), 60))
