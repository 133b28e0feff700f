"""`bench doctor` in a guest: modules by their state, and the socket buffer that a probe gets."""

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
from support import outsider
from support.bench import bench

RMEM_MAX = Path("/proc/sys/net/core/rmem_max")


def _checks() -> dict[str, dict[str, Any]]:
    document = json.loads(bench("doctor", "--json", timeout_s=300).stdout)
    return {check["name"]: check for check in document["checks"]}


def _modprobe(*arguments: str) -> None:
    subprocess.run(["modprobe", *arguments], check=True, timeout=60)


def test_modules_are_present_loadable_or_missing(tmp_path: Path) -> None:
    """The same kernel before and after a module is loaded, and with one that it does not have."""
    _modprobe("-r", "ipip", "ip_vs_rr", "ip_vs")
    before = _checks()
    assert before["modules ip_vs"]["found"] == "loadable"
    assert before["modules ip_vs"]["ok"] is False
    assert before["modules ip_vs"]["advice"].startswith("sudo modprobe -a ip_vs ip_vs_rr")
    # Another check tried the device, and the kernel loaded its module.
    assert before["IPIP"]["found"] == "kernel device"

    subprocess.run(before["modules ip_vs"]["advice"].split()[1:], check=True, timeout=60)
    after = _checks()
    assert (after["modules ip_vs"]["found"], after["modules ip_vs"]["ok"]) == ("present", True)
    assert after["module ipip"]["found"] == "present"
    for name in ("module vxlan", "module nf_conntrack"):
        assert after[name]["ok"] is True

    hidden = tmp_path / "modules"
    hidden.mkdir()
    release = os.uname().release
    (hidden / release).mkdir()
    dep = Path("/lib/modules", release, "modules.dep").read_text().splitlines()
    kept = [line for line in dep if "/ip_vs_sh.ko" not in line.partition(":")[0]]
    (hidden / release / "modules.dep").write_text("\n".join(kept))
    _modprobe("-r", "ip_vs_sh")
    subprocess.run(["mount", "--bind", hidden, "/lib/modules"], check=True)
    try:
        without = _checks()["modules ip_vs"]
    finally:
        subprocess.run(["umount", "/lib/modules"], check=True)
    assert without["found"] == "ip_vs, ip_vs_rr, ip_vs_wrr present; ip_vs_sh missing"
    assert without["ok"] is False


@pytest.mark.parametrize(("who", "granted"), [("root", 4 << 20), ("nobody", 212_992)])
def test_the_socket_buffer_is_what_a_socket_got(who: str, granted: int) -> None:
    """With the kernel's default limit: root passes it, an ordinary user is told of it."""
    RMEM_MAX.write_text("212992")
    command = outsider.python(outsider.OURSELVES if who == "root" else outsider.ORDINARY)
    done = subprocess.run(
        [*command, "-m", "podbench.cli", "doctor", "--json"],
        env=outsider.environment(),
        cwd="/",
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    (found,) = [c for c in json.loads(done.stdout)["checks"] if c["name"] == "socket buffer"]
    assert found["found"] == f"{granted} of 4194304 octets; net.core.rmem_max is 212992"
    assert found["ok"] is (who == "root")


def test_an_ordinary_user_has_the_kernels_ipip() -> None:
    """Where `tunl0` is in every namespace, a trial device must not collide with it."""
    _modprobe("ipip")
    done = subprocess.run(
        [*outsider.python(outsider.ORDINARY), "-m", "podbench.cli", "doctor", "--json"],
        env=outsider.environment(),
        cwd="/",
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    (found,) = [c for c in json.loads(done.stdout)["checks"] if c["name"] == "IPIP"]
    assert (found["ok"], found["found"]) == (True, "kernel device")
