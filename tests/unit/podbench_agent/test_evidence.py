"""Facts of the agent's own namespace, firmware and CPU."""

import pytest

from podbench.wire import messages
from podbench_agent import evidence


@pytest.mark.parametrize(
    ("maker", "product", "expected"),
    [
        ("Amazon EC2\n", "c6in.4xlarge\n", "Amazon EC2 c6in.4xlarge"),
        ("QEMU\n", "", "QEMU"),
        ("", "", None),
    ],
)
def test_machines(maker: str, product: str, expected: str | None) -> None:
    """Boards without such firmware have none."""
    assert evidence.machine(maker, product) == expected


@pytest.mark.parametrize(
    ("cpuinfo", "expected"),
    [
        ("processor\t: 0\nflags\t\t: fpu hypervisor lahf_lm\n", True),
        ("processor\t: 0\nflags\t\t: fpu lahf_lm\n", False),
        ("processor\t: 0\nFeatures\t: fp asimd\n", None),
        ("", None),
    ],
)
def test_hypervisors_by_the_cpu_s_flag(cpuinfo: str, *, expected: bool | None) -> None:
    """Arm has no such flag: not known, rather than bare metal."""
    assert evidence.hypervisor(cpuinfo) is expected


def test_this_namespace_is_read_whole() -> None:
    """Devices with what their drivers say, but for the loopback; kernel and CPU as ever."""
    answer = evidence.answer(messages.ReadFacts(node="n1"))
    assert isinstance(answer, messages.Facts)
    links = {link.name: link for link in answer.read.links}
    assert links.pop("lo").nic is None
    assert all(link.nic is not None for link in links.values())
    assert answer.read.kernel
