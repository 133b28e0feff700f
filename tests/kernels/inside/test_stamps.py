"""Kernel stamps at all four points, and losses by nftables, at a rate a slow guest can keep."""

import asyncio
import subprocess
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support import vxlan_path
from support.inlab import needs_namespaces

from podbench.transport import children
from podbench.wire import fates
from podbench.wire.messages import LatencySession
from podbench_agent.probes.latency.process import ProbeWorker
from podbench_agent.probes.reflector.process import ReflectorWorker
from podbench_agent.probes.reflector.rules import Rules

pytestmark = [pytest.mark.lab, needs_namespaces()]

PROBES, RATE = 200, 50.0
SSIDS = (100, 101)
KEY = b"a key of sixteen"
RULES = """
table ip faults {{
  chain c {{ type filter hook forward priority 0;
    udp {match} {port} numgen inc mod 10 0 drop
  }}
}}
"""
LOSSES = {"dport": "lost_forward", "sport": "lost_backward"}


def _measured(key: bytes | None) -> Any:
    """The rows of one measurement from pod a to pod b."""
    with vxlan_path.entered("pb"):
        reflector = ReflectorWorker(vxlan_path.POD_B, vxlan_path.PORT, Rules(key=key))
        reflector.start()
    with vxlan_path.entered("pa"):
        probe = ProbeWorker(key)
        probe.start()

    async def ask() -> Any:
        session = LatencySession(
            session_id=SSIDS[0],
            peer_address=vxlan_path.POD_B,
            peer_port=vxlan_path.PORT,
            source_ports=len(SSIDS),
            rate_pps=RATE,
            duration_s=PROBES / RATE,
            udp_payload_bytes=64 if key is None else 152,
        )
        await reflector.admit(SSIDS)
        sender = (await probe.measure((session,)))[SSIDS[0]]
        log, counters = await reflector.collect(SSIDS)
        whole = {name: value for name, value in counters.items() if isinstance(value, int)}
        return fates.resolve(sender, log, whole)

    try:
        return asyncio.run(ask())
    finally:
        probe.stop()
        reflector.stop()


@pytest.mark.parametrize("key", [None, KEY], ids=["open", "authenticated"])
def test_every_answered_probe_has_all_stamps(key: bytes | None, tmp_path: Path) -> None:
    """The parts of a round trip add up exactly, from the kernel's stamps alone."""

    def scenario() -> dict[str, Any]:
        rows = _measured(key)
        ok = rows["status"] == "ok"
        parts = rows["rtt_kernel_ns"] + rows["reflector_ns"] + rows["host_ns"]
        return {
            "status": dict(Counter(rows["status"].tolist())),
            "stamped": int(rows["rtt_kernel_ns"][ok].count()),
            "exact": bool((parts == rows["rtt_app_ns"])[ok].all()),
            "sources": np.unique(rows["stamp_source"][ok]).tolist(),
            "ttl": np.unique(np.ma.compressed(rows["ttl"][ok])).tolist(),
        }

    found = vxlan_path.on_path(scenario, dict[str, Any], tmp_path / "answer.json")
    assert found["status"] == {"ok": PROBES}
    assert found["stamped"] == PROBES
    assert found["exact"]
    assert found["sources"] == ["kernel"]
    assert found["ttl"] == [62]  # two nodes routed it


@pytest.mark.parametrize("match", LOSSES)
def test_a_loss_by_nftables_has_its_direction(match: str, tmp_path: Path) -> None:
    """Every tenth packet dropped one way is lost in that direction, and nothing else is."""

    def scenario() -> dict[str, int]:
        rules = RULES.format(match=match, port=vxlan_path.PORT)
        nft = str(children.find("nft", "nftables"))
        done = subprocess.run(
            ["ip", "netns", "exec", "nb", nft, "-f", "-"],
            input=rules,
            text=True,
            capture_output=True,
            check=False,
        )
        if "not supported" in done.stderr:
            return {"refused": 1}
        assert done.returncode == 0, done.stderr
        return dict(Counter(_measured(None)["status"].tolist()))

    found = vxlan_path.on_path(scenario, dict[str, int], tmp_path / "answer.json")
    if "refused" in found:
        pytest.skip("needs nftables for IPv4")
    # The last packets of a session are for its counters and not in its rows.
    lost = found.pop(LOSSES[match])
    assert found == {"ok": PROBES - lost}
    assert abs(lost - PROBES // 10) <= 2
