"""The instrument's floor on this machine: podbench itself over loopback and over one veth.

Beside it what irtt, sockperf and ping show on the same veth, where they are installed. Everything
happens in private namespaces and goes with them; takes about ten seconds. `instrument` has the
checks that need no network; what is printed comes as checks like theirs.
"""

import contextlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Protocol

import numpy as np

from podbench.campaign import prerequisites
from podbench.doctor.checks import Check, Need
from podbench.doctor.peers import TOOLS, Ends, Seen, quantiles
from podbench.model import units
from podbench.model.errors import PodbenchError
from podbench.model.units import show_ratio
from podbench.target.lab import namespaces, syscalls
from podbench.target.lab.inside import NETNS_DIR
from podbench.wire import fates
from podbench.wire.columns import Table

RATE_PPS = 1000.0
SECONDS = 1.0
VETH = Ends(near="floor-near", far="floor-far", address="192.0.2.2")
"""RFC 5737 addresses, in namespaces of their own."""
MUCH_CPU_US = 1000.0 * 0.25
"""Both ends at a quarter of a core for 1,000 probes a second: then probing loads the machine."""


class Stretch(Protocol):
    """What the agent's self-test gives: rows as in a run, and what they cost."""

    @property
    def rows(self) -> Table:
        """The latency columns the instrument knows."""

    @property
    def sender_cpu_us(self) -> float:
        """Per probe."""

    @property
    def reflector_cpu_us(self) -> float:
        """Per probe."""

    @property
    def stamp_source(self) -> str:
        """Where the sender's kernel stamps."""


Measure = Callable[[tuple[str | None, str | None, str], float, float], Stretch]
"""(near namespace, far namespace, address), rate, seconds: the agent's self-test."""


def floors(measure: Measure) -> list[Check]:
    """Measures; to be run inside private namespaces (`doctor_lab.ask_inside`)."""
    _lay()
    found = []
    for name, ends in (
        ("loopback floor", (None, None, "127.0.0.1")),
        ("veth floor", (VETH.near, VETH.far, VETH.address)),
    ):
        try:
            stretch = measure(ends, RATE_PPS, SECONDS)
        except PodbenchError as error:
            found.append(failed(name, error))
            continue
        found += [_floor(name, stretch), _lateness(name, stretch), _cost(name, stretch)]
    return [*found, *_beside()]


def _lay() -> None:
    """Two namespaces and a veth between them."""
    for name in (VETH.near, VETH.far):
        namespaces.create(name)
    commands = "\n".join(
        [
            f"link add v0 type veth peer name v0 netns {VETH.far}",
            "addr add 192.0.2.1/24 dev v0",
            "link set v0 up",
        ]
    )
    far = f"addr add {VETH.address}/24 dev v0\nlink set v0 up"
    for netns, text in ((VETH.near, commands), (VETH.far, far)):
        subprocess.run(["ip", "-n", netns, "-batch", "-"], input=text.encode(), check=True)


@contextlib.contextmanager
def entered(netns: str | None) -> Iterator[None]:
    """The calling thread is in a namespace: processes started here belong to it."""
    if netns is None:
        yield
        return
    home = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    there = os.open(NETNS_DIR / netns, os.O_RDONLY | os.O_CLOEXEC)
    try:
        syscalls.setns(there, syscalls.CLONE_NEWNET)
        yield
    finally:
        syscalls.setns(home, syscalls.CLONE_NEWNET)
        os.close(home)
        os.close(there)


def _floor(name: str, stretch: Stretch) -> Check:
    """What the instrument shows where there is next to no network."""
    rows = stretch.rows
    kernel, app = (np.ma.compressed(rows[c]) for c in ("rtt_kernel_ns", "rtt_app_ns"))
    answered = int((rows["status"] == "ok").sum())
    text = f"{answered} of {len(rows['seq'])} answered, stamps: {stretch.stamp_source}"
    for label, values in (("network", kernel), ("program", app)):
        if len(values):
            text += f"; {label} {_trips(quantiles(values))}"
    return Check(
        name=name,
        ok=answered == len(rows["seq"]) and len(kernel) > 0,
        found=text,
        needed_for="what differences mean: below this it is the instrument's own",
        need=Need.ADVICE,
        advice="probes were lost or unstamped where nothing can lose them: look at the receive "
        "buffer and at veth stamps above",
    )


def _lateness(name: str, stretch: Stretch) -> Check:
    filled = np.ma.filled(stretch.rows["late_ns"], np.iinfo(np.int64).max)
    late = np.asarray(filled, dtype=np.int64)
    missed = int((late > 5e8 / RATE_PPS).sum())
    invalid = int((~np.asarray(stretch.rows["valid"], dtype=bool)).sum())
    return Check(
        name=f"{name}: timer error",
        ok=fates.wilson_lower(missed, len(late)) <= fates.LATE_SHARE_LIMIT,
        found=f"probes left late by {_trips(quantiles(late))}; {show_ratio(missed / len(late))} by "
        f"more than half a period; {invalid} not valid",
        needed_for="probes that leave on time at 1 kHz",
        need=Need.ADVICE,
        advice="something else wants the CPU: stop it, or use a machine with more CPUs",
    )


def _cost(name: str, stretch: Stretch) -> Check:
    both = stretch.sender_cpu_us + stretch.reflector_cpu_us
    return Check(
        name=f"{name}: cost",
        ok=both <= MUCH_CPU_US,
        found=f"{stretch.sender_cpu_us:.0f} µs of CPU a probe at the sender, "
        f"{stretch.reflector_cpu_us:.0f} µs at the reflector",
        needed_for="an instrument that does not load what it measures",
        need=Need.ADVICE,
        advice="probe at a lower rate here",
    )


def _beside() -> list[Check]:
    """The same veth as other tools see it."""
    found = []
    with tempfile.TemporaryDirectory() as folder:
        for name, tool in TOOLS.items():
            if shutil.which(name, path=prerequisites.SEARCH_PATH) is None:
                found.append(_peer(name, None, "not installed"))
                continue
            try:
                found.append(_peer(name, tool(VETH, RATE_PPS, SECONDS, Path(folder)), None))
            except (PodbenchError, OSError, ValueError, KeyError) as error:
                found.append(_peer(name, None, str(error)))
    return found


def _peer(name: str, seen: Seen | None, why: str | None) -> Check:
    parts = [why] if why else []
    if seen is not None:
        parts.append("no round trips" if seen.rtt_ns is None else _trips(seen.rtt_ns))
        cpu = [c for c in (seen.sender_cpu_us, seen.reflector_cpu_us) if c is not None]
        parts.append("CPU a probe " + " + ".join(f"{c:.0f}" for c in cpu) + " µs")
        if seen.missed_ratio is not None:
            parts.append(f"{show_ratio(seen.missed_ratio)} of its send times missed")
    return Check(
        name=f"veth floor by {name}",
        ok=None if seen is None else seen.rtt_ns is not None,
        found="; ".join(parts),
        needed_for="comparison: what programs feel there by another tool",
        need=Need.ADVICE,
    )


def failed(name: str, error: PodbenchError) -> Check:
    """A floor that could not be had, with the reason."""
    return Check(
        name=name,
        ok=False,
        found=str(error),
        needed_for="what differences mean",
        need=Need.ADVICE,
        advice=error.advice,
    )


def _trips(values: tuple[float, ...]) -> str:
    p50, p99, p999 = (units.show_ns(v) for v in values)
    return f"p50 {p50}, p99 {p99}, p99.9 {p999}"
