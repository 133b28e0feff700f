"""Kernel modules in each state, from files as kernels and distributions write them."""

import gzip
from pathlib import Path

import pytest

from podbench.doctor import modules
from podbench.doctor.modules import GROUPS, State

RELEASE = "6.1.0-test"
IP_VS = next(group for group in GROUPS if group.name == "modules ip_vs")
IPIP = next(group for group in GROUPS if group.name == "module ipip")


class Machine:
    """A folder with what a kernel shows of its modules."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder = folder
        monkeypatch.setattr(modules, "SYS_MODULES", folder / "sys")
        monkeypatch.setattr(modules, "MODULES", folder / "lib")
        monkeypatch.setattr(modules, "CONFIGURATIONS", (f"{folder}/config.gz",))
        monkeypatch.setattr("os.uname", lambda: type("Uname", (), {"release": RELEASE}))

    def listed(self, file: str, *paths: str) -> None:
        """Writes a list of /lib/modules."""
        folder = self.folder / "lib" / RELEASE
        folder.mkdir(parents=True, exist_ok=True)
        (folder / file).write_text("".join(f"{path}\n" for path in paths))

    def configured(self, *lines: str) -> None:
        """Writes the kernel's configuration."""
        (self.folder / "config.gz").write_bytes(gzip.compress("\n".join(lines).encode()))


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    """A machine that shows nothing yet."""
    return Machine(tmp_path, monkeypatch)


def test_a_loaded_module_is_present(machine: Machine) -> None:
    """/sys/module has a folder for each."""
    (machine.folder / "sys/ipip").mkdir(parents=True)
    assert modules.state("ipip", "NET_IPIP") is State.PRESENT


def test_a_built_in_module_is_present(machine: Machine) -> None:
    """By the list of built-in ones, or by the configuration where there is no list."""
    machine.listed("modules.builtin", "kernel/net/ipv4/ipip.ko")
    assert modules.state("ipip", "NET_IPIP") is State.PRESENT
    machine.configured("CONFIG_VXLAN=y")
    assert modules.state("vxlan", "VXLAN") is State.PRESENT


def test_a_module_whose_file_is_there_is_loadable(machine: Machine) -> None:
    """Compressed or not, with dashes or not; the way to get it is named."""
    files = ("ip_vs.ko.xz: kernel/lib/libcrc32c.ko", "ip_vs_rr.ko:", "ip-vs-wrr.ko.zst:")
    machine.listed("modules.dep", *(f"kernel/net/netfilter/ipvs/{file}" for file in files))
    machine.configured("CONFIG_IP_VS=m", "CONFIG_IP_VS_RR=m", "CONFIG_IP_VS_SH=m")
    found = modules.check(IP_VS)
    assert found.ok is False
    assert found.found == "ip_vs, ip_vs_rr, ip_vs_wrr loadable; ip_vs_sh missing"
    assert found.advice is not None
    assert "has no ip_vs_sh" in found.advice
    assert "sudo modprobe -a ip_vs ip_vs_rr ip_vs_wrr ip_vs_sh" in found.advice


def test_what_the_kernel_loads_by_itself_needs_nobody(machine: Machine) -> None:
    """A loadable tunnel is as good as a present one; IPVS has to be loaded by hand."""
    paths = ["kernel/net/ipv4/ipip.ko:"]
    paths += [f"kernel/net/netfilter/ipvs/{module}.ko:" for module in IP_VS.modules]
    machine.listed("modules.dep", *paths)
    assert (modules.check(IPIP).found, modules.check(IPIP).ok) == ("loadable", True)
    assert (modules.check(IP_VS).found, modules.check(IP_VS).ok) == ("loadable", False)


def test_a_kernel_built_without_it_misses_it(machine: Machine) -> None:
    """Said by the configuration, or by a list of all modules that does not name it."""
    machine.configured("# CONFIG_NET_IPIP is not set")
    assert modules.state("ipip", "NET_IPIP") is State.MISSING
    assert modules.state("ip_vs_rr", "IP_VS_RR") is State.MISSING
    machine.listed("modules.dep", "kernel/drivers/net/vxlan/vxlan.ko:")
    assert modules.state("ip_vs", "IP_VS") is State.MISSING


def test_a_container_without_any_of_it_cannot_tell(machine: Machine) -> None:
    """Nothing to read is neither present nor missing."""
    assert machine.folder.exists()
    found = modules.check(IPIP)
    assert (found.found, found.ok) == ("unknown", None)
    assert found.advice == "/lib/modules is not visible here; on the host: sudo modprobe -a ipip"
