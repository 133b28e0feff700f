"""What is tried on which kernel: one row a capability. Tests and `python tests/kernels` read it."""

from collections.abc import Sequence

import msgspec

ALL = ("5.10", "6.1", "6.12")
INSIDE = "tests/kernels/inside"


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One capability and the tests that show it, which run in one guest."""

    name: str
    tests: tuple[str, ...]
    modules: tuple[str, ...] = ()
    """Loaded first; the kernel loads by itself what a device or queue asks for."""
    kernels: Sequence[str] = ALL
    short: Sequence[str] = ()
    """The kernels on which it belongs to the short set, which every `scripts/test` runs."""


ROWS = (
    Row(
        name="IPIP: same bytes by device and by eBPF",
        tests=(f"{INSIDE}/test_ipip_bytes.py",),
        modules=("ipip",),
        short=("6.12",),
    ),
    Row(
        name="IPIP by the kernel's device",
        tests=("tests/lab/test_ipip.py",),
        modules=("ipip",),
    ),
    Row(
        name="run of three modes by an ordinary user, counted",
        tests=(f"{INSIDE}/test_whole_run.py", "-k", "ordinary"),
        modules=("ipip",),
        short=("6.12",),
    ),
    Row(
        name="run of three modes by root, captured",
        tests=(f"{INSIDE}/test_whole_run.py", "-k", "root"),
        modules=("ipip",),
    ),
    Row(
        name="doctor: modules, socket buffer, ordinary user",
        tests=(f"{INSIDE}/test_doctor.py",),
    ),
    Row(
        name="netem: every fate, direction and size",
        tests=(f"{INSIDE}/test_netem.py",),
        modules=("sch_netem",),
    ),
    Row(
        name="all four kernel stamps, open and authenticated",
        tests=(f"{INSIDE}/test_stamps.py", "-k", "stamps"),
    ),
    Row(
        name="Flannel's and Calico's modes on the wire",
        tests=("tests/lab/test_modes_on_the_wire.py",),
        modules=("ipip",),
    ),
    Row(
        name="the lab with tunl0 in every namespace",
        tests=("tests/lab/test_lab_isolation.py", "tests/lab/test_lab_world.py"),
        modules=("ipip",),
    ),
    Row(
        name="labels against the seeded relay (TUN)",
        tests=("tests/lab/test_fates_on_the_wire.py",),
        modules=("tun",),
    ),
    Row(
        name="scheduling slice",
        tests=(f"{INSIDE}/test_slice.py",),
    ),
    Row(
        name="IPVS carries a Service",
        tests=(f"{INSIDE}/test_ipvs.py",),
        modules=("ip_vs", "ip_vs_rr", "nf_conntrack"),
    ),
    Row(
        name="loss by nftables, with its direction (QEMU)",
        tests=(f"{INSIDE}/test_stamps.py", "-k", "nftables"),
        kernels=("5.10-cloud", "6.1-cloud", "6.12-cloud"),
    ),
    Row(
        name="IPIP: same bytes (QEMU)",
        tests=(f"{INSIDE}/test_ipip_bytes.py",),
        modules=("ipip",),
        kernels=("5.10-cloud", "6.1-cloud", "6.12-cloud"),
    ),
)
