"""Checks that need a private namespace: devices, queues, filters, stamps, iperf3's JSON output.

The trials run in a separate process, isolated like a lab, and leave nothing behind; their results
come back through a pipe. `checks` says what they mean.
"""

import os
import subprocess
from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from podbench.doctor.checks import Check, Need
from podbench.model.errors import LabError, PodbenchError, PrerequisiteError
from podbench.target.lab.inside import with_netlink
from podbench.target.lab.ipip import dataplane
from podbench.target.lab.isolate import run_isolated
from podbench.transport import children

Trial = Callable[[], Check]

NUMGEN_RULES = """
table inet podbench_doctor {
    chain out {
        type filter hook output priority 0
        numgen random mod 1000 < 10 drop
    }
}
"""

STAMP_NEAR, STAMP_FAR = "192.0.2.1", "192.0.2.2"
"""RFC 5737 addresses, used in a private namespace only."""
STAMPS_MEAN = {
    "kernel": "at the driver (SND)",
    "sched": "at the queue (SCHED), a little before the driver",
    "user": "none: the time of the send call is used",
}


def lab_checks(more: Sequence[Trial] = ()) -> list[Check]:
    """Creates the lab's namespaces and tries everything a lab needs inside them.

    Args:
        more: Further trials to run inside (the agent provides the stamp self-test).
    """
    trials: list[Trial] = [vxlan, ipip_arm, *more, iperf3_json, link_rate, injected_loss]
    try:
        found = ask_inside(lambda: [trial() for trial in trials])
    except PodbenchError as error:
        return [_namespaces(error)]
    return [_namespaces(None), *found]


def ask_inside(work: Callable[[], list[Check]]) -> list[Check]:
    """Runs `work` in private namespaces and returns its result.

    Raises:
        LabError: The namespaces cannot be created, or the work failed.
    """
    reader, writer = os.pipe()

    def session() -> int:
        with os.fdopen(writer, "wb") as answers:
            answers.write(msgspec.json.encode(work()))
        return 0

    try:
        status = run_isolated(session)
    finally:
        os.close(writer)
        with os.fdopen(reader, "rb") as answers:
            text = answers.read()  # a pipe holds 64 KiB, the answers take about 3
    if status != 0 or not text:
        raise LabError(f"the trial inside the namespaces ended with status {status}")
    return msgspec.json.decode(text, type=list[Check])


def _namespaces(error: PodbenchError | None) -> Check:
    how = "created as root" if os.geteuid() == 0 else "created in a user namespace"
    return Check(
        name="namespaces",
        ok=error is None,
        found=f"mount, network and PID: {how}" if error is None else str(error),
        needed_for="the lab",
        need=Need.RUN,
        advice=error.advice if error is not None else None,
    )


def vxlan() -> Check:
    """A VXLAN device as Calico's: VNI 4096, UDP 4789, no learning."""

    def work(netlink: Any) -> None:
        netlink.link(
            "add",
            ifname="doctor-vxlan",
            kind="vxlan",
            vxlan_id=4096,
            vxlan_port=4789,
            vxlan_learning=False,
        )

    reason = _refused(lambda: with_netlink(None, work))
    return Check(
        name="VXLAN",
        ok=reason is None,
        found="kernel device" if reason is None else reason,
        needed_for="the mode vxlan",
        need=Need.PART,
        advice="sudo modprobe vxlan; without the module the mode is `not measured`",
    )


def ipip_arm() -> Check:
    """IPIP: the kernel's device, or the stand-in at tc."""
    found = dataplane.capability()
    return Check(
        name="IPIP",
        ok=found.implementation is not None,
        found=found.implementation or found.reason or "refused, no reason given",
        needed_for="the mode ipip",
        need=Need.PART,
        advice="sudo modprobe ipip where the kernel has the module; else run as root: eBPF at tc"
        " then puts the same bytes on the wire as the device",
    )


def veth_stamps(source_towards: Callable[[str], str]) -> Check:
    """Where the kernel stamps packets that leave through a veth, such as a pod's interface.

    Args:
        source_towards: The agent's self-test: sends to an address and names the stamps it got
            (`kernel` at the driver, `sched` at the queue, `user` none).
    """

    def work(netlink: Any) -> None:
        netlink.link("add", ifname="doctor-a", kind="veth", peer={"ifname": "doctor-b"})
        near = netlink.link_lookup(ifname="doctor-a")[0]
        for index in (near, netlink.link_lookup(ifname="doctor-b")[0]):
            netlink.link("set", index=index, state="up")
        netlink.addr("add", index=near, address=STAMP_NEAR, prefixlen=24)
        # Nobody lives behind the peer, so nobody would answer ARP.
        netlink.neigh("add", dst=STAMP_FAR, lladdr="02:00:00:00:00:02", ifindex=near)

    reason = _refused(lambda: with_netlink(None, work))
    source = None if reason is not None else source_towards(STAMP_FAR)
    return Check(
        name="veth stamps",
        ok=None if source is None else source in STAMPS_MEAN and source != "user",
        found=reason or STAMPS_MEAN.get(source or "", f"unknown source {source}"),
        needed_for="rtt_kernel_ns: network latency without host scheduling",
        need=Need.PART,
        advice="needs Linux 4.20 or newer; without stamps only rtt_app_ns is measured",
    )


def iperf3_json() -> Check:
    """Whether iperf3 prints JSON; a refused connection is enough to find out."""
    try:
        program = children.find("iperf3", "iperf3")
        done = subprocess.run(
            [program, "-J", "-c", "127.0.0.1", "-p", "9"],
            capture_output=True,
            text=True,
            timeout=10,
            check=False,
        )
        answer = msgspec.json.decode(done.stdout, type=dict[str, Any])
        ok = "error" in answer and "start" in answer
        found = "prints JSON" if ok else f"unexpected JSON: {sorted(answer)}"
    except (OSError, subprocess.TimeoutExpired, PrerequisiteError) as error:
        ok, found = False, str(error)
    except msgspec.DecodeError:
        ok, found = False, f"not JSON: {done.stdout[:60]!r} {done.stderr[:60]!r}"
    return Check(
        name="iperf3 JSON",
        ok=ok,
        found=found,
        needed_for="throughput",
        need=Need.RUN,
        package="iperf3",
    )


def link_rate() -> Check:
    """The HTB queue, which shapes the lab's links."""
    reason = _refused(
        lambda: with_netlink(
            None,
            lambda netlink: netlink.tc("add", "htb", netlink.link_lookup(ifname="lo")[0], "1:"),
        )
    )
    return Check(
        name="HTB",
        ok=reason is None,
        found="kernel queue" if reason is None else reason,
        needed_for="--lab-rate",
        need=Need.ADVICE,
        advice="sudo modprobe sch_htb, or run without --lab-rate",
    )


def injected_loss() -> Check:
    """Random numbers in nftables, which drop packets for --lab-loss."""
    package = None
    try:
        program = children.find("nft", "nftables")
        done = subprocess.run(
            [program, "-f", "-"],
            input=NUMGEN_RULES,
            capture_output=True,
            text=True,
            timeout=10,
            check=False,
        )
        ok = done.returncode == 0
        found = "random drop rules" if ok else _first_line(done.stderr)
    except PrerequisiteError as error:
        ok, found, package = False, str(error), "nftables"
    except (OSError, subprocess.TimeoutExpired) as error:
        ok, found = False, str(error)
    return Check(
        name="nftables",
        ok=ok,
        found=found,
        needed_for="--lab-loss",
        need=Need.ADVICE,
        advice="sudo modprobe nft_numgen, or run without --lab-loss",
        package=package,
    )


def _refused(attempt: Callable[[], object]) -> str | None:
    try:
        attempt()
    except LabError as error:
        return str(error)
    return None


def _first_line(text: str) -> str:
    lines = text.strip().splitlines()
    return lines[0].strip() if lines else "refused without a message"
