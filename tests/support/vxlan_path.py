"""Two pods behind two nodes, as small as can be: a path for tests and figures of the instrument.

    pa e0 ── va na u0 ═══ u0 nb vb ── e0 pb

Between the nodes VXLAN (as Calico lays it) or plain routing. Built with `ip` in private namespaces
(`run_isolated`), so nothing is left behind. The real lab is podbench.target.lab; this one has two
pods, no CNI and no agents, and starts in a tenth of a second.
"""

import contextlib
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import msgspec

from podbench.campaign import prerequisites
from podbench.target.lab import namespaces, syscalls
from podbench.target.lab.isolate import run_isolated
from podbench_agent import timestamping

T = TypeVar("T")

POD_A, POD_B = "10.1.0.2", "10.2.0.2"
PORT = 8620
DEFAULT_RMEM_MAX = 212_992
"""net.core.rmem_max as kernels come."""
_CLONE_NEWNET = 0x40000000


def _ip(netns: str, *commands: str) -> None:
    batch = "\n".join(commands)
    subprocess.run(["ip", "-n", netns, "-batch", "-"], input=batch.encode(), check=True)


def with_default_buffers() -> None:
    """Probes started from here on get the receive buffer that an unchanged kernel grants.

    Machines differ in net.core.rmem_max; figures are taken as in a pod on one nobody has tuned.
    """
    timestamping.RECEIVE_BUFFER_BYTES = DEFAULT_RMEM_MAX


def build(*, vxlan: bool = True) -> None:
    """Makes the four namespaces and the path between the pods."""
    for name in ("pa", "pb", "na", "nb"):
        namespaces.create(name)
    _ip("na", "link add u0 type veth peer name u0 netns nb")
    for side, (node, pod) in enumerate((("na", "pa"), ("nb", "pb")), start=1):
        other = 3 - side
        device = f"v{pod[1]}"
        _ip(node, f"link add {device} type veth peer name e0 netns {pod}")
        _ip(pod, f"addr add 10.{side}.0.2/24 dev e0", "link set e0 up")
        _ip(pod, f"route add default via 10.{side}.0.1")
        _ip(node, f"addr add 10.{side}.0.1/24 dev {device}", f"link set {device} up")
        _ip(node, f"addr add 192.0.2.{side}/24 dev u0", "link set u0 up")
        namespaces.configure(node, {"ipv4/ip_forward": "1"})
        if vxlan:
            _tunnel(node, side, other)
        else:
            _ip(node, f"route add 10.{other}.0.0/24 via 192.0.2.{other}")


def _tunnel(node: str, side: int, other: int) -> None:
    _ip(
        node,
        f"link add vx type vxlan id 4096 dstport 4789 dev u0 local 192.0.2.{side} nolearning",
        f"link set vx address 02:00:00:00:00:0{side}",
        f"addr add 10.{side}.0.0/32 dev vx",
        "link set vx mtu 1450 up",
        f"neigh add 10.{other}.0.0 lladdr 02:00:00:00:00:0{other} dev vx nud permanent",
        f"route add 10.{other}.0.0/24 via 10.{other}.0.0 dev vx onlink",
    )
    fdb = f"02:00:00:00:00:0{other} dev vx dst 192.0.2.{other} self permanent"
    # Debian keeps `bridge` where an ordinary user's PATH does not look.
    bridge = shutil.which("bridge", path=prerequisites.SEARCH_PATH) or "bridge"
    subprocess.run(["ip", "netns", "exec", node, bridge, "fdb", "append", *fdb.split()], check=True)


def on_path(scenario: Callable[[], T], kind: type[T], answer: Path, *, vxlan: bool = True) -> T:
    """Builds the path, runs the scenario beside it and gives back what it returned.

    The scenario runs in a process of its own, in private namespaces, with the pods' processes to
    start; its result comes back as JSON through the file `answer`.
    """

    def inside() -> int:
        build(vxlan=vxlan)
        answer.write_bytes(msgspec.json.encode(scenario()))
        return 0

    status = run_isolated(inside)
    assert status == 0, f"the scenario ended with {status}"
    return msgspec.json.decode(answer.read_bytes(), type=kind)


@contextlib.contextmanager
def entered(netns: str) -> Iterator[None]:
    """The calling thread is in a namespace: processes and sockets made here belong to it."""
    home = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    there = os.open(Path("/run/netns") / netns, os.O_RDONLY)
    try:
        syscalls.setns(there, _CLONE_NEWNET)
        yield
    finally:
        syscalls.setns(home, _CLONE_NEWNET)
        os.close(home)
        os.close(there)
