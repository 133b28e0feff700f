"""Kernel modules that a run needs: present, loadable or missing, and how to get each.

Only files are read, so a check loads nothing. `lab` creates real VXLAN and IPIP devices; this room
explains a failure there, and covers what Services and idle connections need.
"""

import gzip
import os
import re
import shlex
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path

import msgspec

from podbench.doctor.checks import Check, Need

SYS_MODULES = Path("/sys/module")
MODULES = Path("/lib/modules")
CONFIGURATIONS = ("/proc/config.gz", "/boot/config-{release}", "/lib/modules/{release}/config")
"""Where a kernel or its package keeps its build configuration."""


class State(StrEnum):
    """The state of a module in the running kernel."""

    PRESENT = "present"
    """Loaded, or built in."""
    LOADABLE = "loadable"
    MISSING = "missing"
    UNKNOWN = "unknown"
    """Neither /lib/modules nor the kernel's configuration is readable, as in a container."""


class Group(msgspec.Struct, frozen=True):
    """Modules that work together."""

    name: str
    modules: tuple[str, ...]
    options: tuple[str, ...]
    """Their names in a kernel's configuration."""
    needed_for: str
    loads_itself: bool
    """The kernel loads it on demand."""


GROUPS = (
    Group("module vxlan", ("vxlan",), ("VXLAN",), "the mode vxlan", loads_itself=True),
    Group(
        "module ipip",
        ("ipip",),
        ("NET_IPIP",),
        "the mode ipip by the kernel's device",
        loads_itself=True,
    ),
    Group(
        "module nf_conntrack",
        ("nf_conntrack",),
        ("NF_CONNTRACK",),
        "Services (kube-proxy), idle connections, conntrack_count in the host counters",
        loads_itself=True,
    ),
    Group(
        "modules ip_vs",
        ("ip_vs", "ip_vs_rr", "ip_vs_wrr", "ip_vs_sh"),
        ("IP_VS", "IP_VS_RR", "IP_VS_WRR", "IP_VS_SH"),
        "Services by kube-proxy in IPVS mode",
        loads_itself=False,
    ),
)


def module_checks() -> list[Check]:
    """One check for each group."""
    return [check(group) for group in GROUPS]


def check(group: Group) -> Check:
    """Which modules of a group the running kernel has, and how to get the rest."""
    states = {
        module: state(module, option)
        for module, option in zip(group.modules, group.options, strict=True)
    }
    loadable = _having(states, State.LOADABLE)
    missing = _having(states, State.MISSING)
    unknown = _having(states, State.UNKNOWN)
    ok: bool | None = not missing and (group.loads_itself or not loadable)
    if not missing and unknown:
        ok = None
    return Check(
        name=group.name,
        ok=ok,
        found=_found(states),
        needed_for=group.needed_for,
        need=Need.ADVICE,
        advice=_advice(missing, loadable, unknown),
    )


def state(module: str, option: str) -> State:
    """The state of one module in the running kernel.

    Args:
        module: Its name, with underscores.
        option: Its name in the kernel's configuration, without CONFIG_.
    """
    folder = MODULES / os.uname().release
    builtin, loadable = _listed(folder / "modules.builtin"), _listed(folder / "modules.dep")
    built = _built(option)
    if (SYS_MODULES / module).exists() or module in builtin or built == "y":
        return State.PRESENT
    if module in loadable:
        return State.LOADABLE
    if loadable or built in {"n", "m"}:
        return State.MISSING
    return State.UNKNOWN


def _having(states: dict[str, State], wanted: State) -> list[str]:
    return [module for module, found in states.items() if found == wanted]


def _found(states: dict[str, State]) -> str:
    """`present`, or which modules are in which state where they differ."""
    kinds = list(dict.fromkeys(states.values()))
    if len(kinds) == 1:
        return str(kinds[0])
    return "; ".join(f"{', '.join(_having(states, kind))} {kind}" for kind in kinds)


def _advice(missing: Sequence[str], loadable: Sequence[str], unknown: Sequence[str]) -> str:
    load = shlex.join(["sudo", "modprobe", "-a", *loadable, *missing, *unknown])
    if missing:
        release = os.uname().release
        return (
            f"this kernel has no {', '.join(missing)}: on Ubuntu install linux-modules-extra-"
            f"{release}, then {load}; elsewhere boot a distribution's own kernel (Debian's "
            "linux-image-cloud-amd64 has it)"
        )
    if unknown:
        return f"/lib/modules is not visible here; on the host: {load}"
    return load


def _listed(path: Path) -> set[str]:
    """Names of the modules that a file of /lib/modules lists; empty where there is no such file."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError:
        return set()
    files = (line.partition(":")[0] for line in lines)
    return {Path(file).name.partition(".")[0].replace("-", "_") for file in files}


def _built(option: str) -> str | None:
    """`y`, `m` or `n` as the kernel was configured; null where no configuration can be read."""
    text = _configuration()
    if text is None:
        return None
    # An option is absent where the one that it depends on is not set.
    match = re.search(rf"^CONFIG_{option}=([ym])$", text, re.MULTILINE)
    return match.group(1) if match else "n"


def _configuration() -> str | None:
    for place in CONFIGURATIONS:
        path = Path(place.format(release=os.uname().release))
        try:
            data = path.read_bytes()
            text = gzip.decompress(data) if path.suffix == ".gz" else data
        except (OSError, EOFError):
            continue
        return text.decode("utf-8", "replace")
    return None
