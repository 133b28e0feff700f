"""`run.json`: the request, what it was resolved to, where it ran, and how far it got."""

import datetime as dt
import os
import platform
import re
import secrets
import shlex
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated

import msgspec

import podbench
from podbench.campaign.ladder.capacity import Capacity
from podbench.campaign.options.table import Options
from podbench.campaign.spec import RunSpec
from podbench.model.arms import Mode
from podbench.model.nodes import AgentId, Node
from podbench.store.rundir import RunDir
from podbench.target.base import Aftermath
from podbench.wire.messages import AgentStatus

FORMAT = 1

ENDED = ("measured", "complete")
"""What run.json calls a run that was not cut short."""

LABEL_MOST = 63
"""Characters of a label's value in Kubernetes."""
SUFFIX_BYTES = 4


Named = Annotated[str, msgspec.Meta(pattern="^[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?$")]
"""A node's or a pod's name: a DNS subdomain (RFC 1123)."""
RunId = Annotated[str, msgspec.Meta(pattern="^[A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?$")]
"""A label's value in Kubernetes, and one level of a topic."""


class PodRecord(msgspec.Struct, frozen=True, kw_only=True):
    """An agent pod; `pid` on the lab: the process that holds its namespace, as the host sees it."""

    name: Named
    mode: Mode
    address: str
    pid: int | None
    mtu: int | None = None


class NodeRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A node; on the lab with the process that holds its namespace."""

    name: Named
    address: str
    mtu_underlay: int
    pid: int | None
    kernel: str | None = None
    cpu_model: str | None = None
    zone: str | None = None
    region: str | None = None
    provider: str | None = None
    kube_proxy_mode: str | None = None
    nic_bps: int | None = None
    """Speed of its link on the underlay; null where no driver tells one."""
    clock_offset_ns: int = 0
    clock_error_ns: int = 0
    pods: tuple[PodRecord, ...] = ()


class ArmRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A mode's implementation, or why it has none."""

    mode: Mode
    implementation: str | None
    pod_mtu: int | None
    reason: str | None = None


class LeftOutRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A node of the cluster that was left out."""

    name: str
    reason: str


class ClusterRecord(msgspec.Struct, frozen=True, kw_only=True):
    """Facts about the cluster before anything was created in it."""

    context: str
    server: str
    kubernetes: str | None
    cni_version: str | None
    detected_from: tuple[str, ...]
    left_out: tuple[LeftOutRecord, ...]
    kubeconfig: str | None = None
    """The file that `--kubeconfig` named, absolute."""


class RunRecord(msgspec.Struct, frozen=True, kw_only=True):
    """The whole of run.json.

    `status`: `running`, `interrupted`, `failed`, `measured` (report to come) or `complete`.
    """

    format: int = FORMAT
    run_id: RunId
    name: str | None
    labels: dict[str, str]
    status: str
    started: str
    ended: str | None
    target: str
    spec: RunSpec
    options: dict[str, object]
    seed: int
    versions: dict[str, str | None]
    arms: tuple[ArmRecord, ...] = ()
    nodes: tuple[NodeRecord, ...] = ()
    capacity: Capacity | None = None
    """The loads that the ladder's steps are shares of; null before the search, or without ladder.
    """
    most_bps: int | None = None
    """The most one transfer sent; null: as much as it could."""
    proof_warnings: tuple[str, ...] = ()
    error: str | None = None
    cluster: ClusterRecord | None = None
    aftermath: Aftermath | None = None
    """Of the last attempt that made something; null on the lab, and while that stands."""


def begin(
    rundir: RunDir, options: Options, spec: RunSpec, cluster: ClusterRecord | None = None
) -> None:
    """Writes the record of a run that is about to start.

    Raises:
        StoreError: It cannot be written.
    """
    rundir.write_json(
        rundir.run_json,
        RunRecord(
            run_id=run_id(rundir.path),
            name=spec.name,
            labels=spec.labels,
            status="running",
            started=now(),
            ended=None,
            target=spec.target,
            spec=spec,
            options=msgspec.to_builtins(options),
            seed=spec.seed,
            versions=versions() if cluster is None else _versions_of(spec, cluster),
            cluster=cluster,
        ),
    )


def run_id(path: Path) -> str:
    """A new run's id, which can be a label of Kubernetes objects.

    Its directory's name as far as a label takes it, and random letters: `--out run` of two people
    on one cluster are two runs. Kept in run.json; never made twice for one run.
    """
    plain = re.sub(r"[^A-Za-z0-9_.-]+", "-", path.resolve().name)
    suffix = secrets.token_hex(SUFFIX_BYTES)
    return f"{plain[: LABEL_MOST - len(suffix) - 1].strip('-_.') or 'run'}-{suffix}"


def resume_command(path: Path, spec: RunSpec) -> str:
    """The `bench resume` command that continues a run, quoted for the shell.

    Whether its cluster may be changed is asked at the terminal again. That a mode may be switched
    under everything that runs there only the command itself says.
    """
    words = ["bench", "resume", str(path)]
    if spec.cluster is not None and spec.method == "switch":
        words += ["--disrupt", spec.cluster.context]
    return shlex.join(words)


def node(laid: Node) -> NodeRecord:
    """A node with its pods, as it was deployed."""
    return NodeRecord(
        name=laid.name,
        address=laid.address,
        mtu_underlay=laid.mtu_underlay,
        pid=laid.pid,
        kernel=laid.kernel,
        cpu_model=laid.cpu_model,
        zone=laid.zone,
        region=laid.region,
        provider=laid.provider,
        kube_proxy_mode=laid.kube_proxy_mode,
        nic_bps=laid.nic_bps,
        clock_offset_ns=laid.clock_offset_ns,
        clock_error_ns=laid.clock_error_ns,
        pods=tuple(
            PodRecord(name=p.name, mode=p.mode, address=p.address, pid=p.pid, mtu=p.mtu)
            for p in laid.pods
        ),
    )


def refused(spec: RunSpec) -> list[ArmRecord]:
    """The modes that were refused before anything was created."""
    return [
        ArmRecord(mode=mode, implementation=None, pod_mtu=None, reason=why)
        for mode, why in spec.refused.items()
    ]


def with_mtu(arm: ArmRecord, nodes: Sequence[Node]) -> ArmRecord:
    """An arm with the smallest MTU its pods have; as it was where it has none."""
    found = [pod.mtu for each in nodes for pod in each.pods if pod.mode == arm.mode]
    return msgspec.structs.replace(arm, pod_mtu=min(found, default=arm.pod_mtu))


def lost(arm: ArmRecord, mode: Mode, reason: str) -> ArmRecord:
    """The arm, with the reason if it is the one that failed."""
    return msgspec.structs.replace(arm, reason=reason) if arm.mode == mode else arm


def versions_in(agents: Mapping[AgentId, AgentStatus]) -> dict[str, str | None]:
    """The agents' own versions; where they differ, all of them."""
    found = {
        "podbench_agent": {each.version for each in agents.values()},
        "iperf3": {each.capabilities.get("iperf3") or "" for each in agents.values()},
    }
    return {name: ", ".join(sorted(each - {""})) or None for name, each in found.items()}


def now() -> str:
    """UTC, RFC 3339, whole seconds."""
    return dt.datetime.now(dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def default_directory(spec: RunSpec) -> Path:
    """`runs/<UTC time>-<target>-<cni>`."""
    stamp = dt.datetime.now(dt.UTC).strftime("%Y%m%dT%H%M%SZ")
    return Path("runs") / f"{stamp}-{spec.target}-{spec.cni}"


def versions() -> dict[str, str | None]:
    """Versions of everything that affects the figures; null for an absent program."""
    return {
        "podbench": podbench.__version__,
        "python": platform.python_version(),
        "kernel": os.uname().release,
        "iperf3": _first_line("iperf3", "--version"),
        "bird": _first_line("bird", "--version"),
        "mosquitto": _first_line("mosquitto", "-h"),
        "nftables": _first_line("nft", "--version"),
    }


def _versions_of(spec: RunSpec, cluster: ClusterRecord) -> dict[str, str | None]:
    """On a cluster: versions known before the agents report theirs."""
    return {
        "podbench": podbench.__version__,
        "python": platform.python_version(),
        "kubernetes": cluster.kubernetes,
        spec.cni: cluster.cni_version,
    }


def _first_line(program: str, option: str) -> str | None:
    # Debian keeps daemons in sbin, which an ordinary user's PATH leaves out.
    path = shutil.which(program, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")
    if path is None:
        return None
    done = subprocess.run([path, option], capture_output=True, text=True, timeout=10, check=False)
    lines = (done.stdout + done.stderr).strip().splitlines()
    return lines[0].strip() if lines else None
