"""`run.json`: what was asked, what it was resolved to, where it ran, and how far it came."""

import datetime as dt
import os
import platform
import shutil
import subprocess
from pathlib import Path

import msgspec

import podbench
from podbench.model.arms import Mode
from podbench.run.spec import RunSpec

FORMAT = 1


class PodRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A lab pod; `pid` is the process that holds its namespace, as the host sees it."""

    name: str
    mode: Mode
    address: str
    pid: int | None


class NodeRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A node; on the lab with the process that holds its namespace."""

    name: str
    address: str
    mtu_underlay: int
    pid: int | None
    kernel: str | None = None
    cpu_model: str | None = None
    zone: str | None = None
    region: str | None = None
    provider: str | None = None
    nic_bps: int | None = None
    """Speed of its link on the underlay; null where no driver tells one."""
    pods: tuple[PodRecord, ...] = ()


class ArmRecord(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a mode: its implementation, or why there is none."""

    mode: Mode
    implementation: str | None
    pod_mtu: int
    reason: str | None = None


class RunRecord(msgspec.Struct, frozen=True, kw_only=True):
    """The whole of run.json.

    `status`: `running`, `interrupted`, `failed`, `measured` (report to come) or `complete`.
    """

    format: int = FORMAT
    run_id: str
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
    most_bps: int | None = None
    """The most one transfer sent; null: as much as it could."""
    proof_warnings: tuple[str, ...] = ()
    error: str | None = None


def now() -> str:
    """UTC, RFC 3339, whole seconds."""
    return dt.datetime.now(dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def default_directory(spec: RunSpec) -> Path:
    """`runs/<UTC time>-<target>-<cni>`."""
    stamp = dt.datetime.now(dt.UTC).strftime("%Y%m%dT%H%M%SZ")
    return Path("runs") / f"{stamp}-{spec.target}-{spec.cni}"


def versions() -> dict[str, str | None]:
    """Versions of everything that has a part in the figures; null where a program is absent."""
    return {
        "podbench": podbench.__version__,
        "python": platform.python_version(),
        "kernel": os.uname().release,
        "iperf3": _first_line("iperf3", "--version"),
        "bird": _first_line("bird", "--version"),
        "mosquitto": _first_line("mosquitto", "-h"),
        "nftables": _first_line("nft", "--version"),
    }


def cpu_model() -> str | None:
    """The first CPU's name from /proc/cpuinfo, null where it has none."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return None
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else None


def _first_line(program: str, option: str) -> str | None:
    # Debian keeps daemons in sbin, which an ordinary user's PATH leaves out.
    path = shutil.which(program, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")
    if path is None:
        return None
    done = subprocess.run([path, option], capture_output=True, text=True, timeout=10, check=False)
    lines = (done.stdout + done.stderr).strip().splitlines()
    return lines[0].strip() if lines else None
