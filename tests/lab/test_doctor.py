"""`bench doctor` on this very machine: what it tries really happens, and leaves nothing behind."""

import json
import os
import shutil
from pathlib import Path

import pytest
from support import needs
from support.bench import bench

pytestmark = [
    pytest.mark.lab,
    needs.lab(),
]


def _devices() -> set[str]:
    return {path.name for path in Path("/sys/class/net").iterdir()}


def test_a_machine_that_builds_labs_is_told_so() -> None:
    """Namespaces, VXLAN, stamps and programs are found; the exit code follows from the checks."""
    before = _devices()
    done = bench("doctor", "--json", "--instrument", timeout_s=60)
    document = json.loads(done.stdout)
    by_name = {check["name"]: check for check in document["checks"]}
    assert done.returncode == document["exit_code"]
    assert done.returncode in {0, 3}
    for name in ("namespaces", "VXLAN", "veth stamps", "iperf3 JSON", "BIRD", "mosquitto", "HTB"):
        assert by_name[name]["ok"] is True, by_name[name]
    assert ("root" in by_name["namespaces"]["found"]) is (os.geteuid() == 0)
    assert {"clock step", "sleep lateness", "loopback"} <= set(by_name)
    for floor in ("loopback floor", "veth floor"):
        assert "1000 of 1000 answered, stamps: kernel; network p50" in by_name[floor]["found"]
        assert {f"{floor}: timer error", f"{floor}: cost"} <= set(by_name)
    for tool in ("irtt", "sockperf", "ping"):
        found = by_name[f"veth floor by {tool}"]["found"]
        assert found.startswith("p50 " if shutil.which(tool) else "not installed"), found
    assert _devices() == before


def test_ipip_is_not_claimed_without_an_implementation() -> None:
    """All three modes means that IPIP is real here: a kernel device or the programs at tc."""
    done = bench("doctor", "--json", timeout_s=60)
    document = json.loads(done.stdout)
    (ipip,) = [check for check in document["checks"] if check["name"] == "IPIP"]
    if ipip["ok"]:
        assert ipip["found"] in {"kernel device", "eBPF at tc"}
    else:
        assert document["exit_code"] != 0
        assert "IPIP" in ipip["found"]
