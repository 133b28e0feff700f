"""Programs that a run needs, checked before anything is created."""

import os
import shutil
from collections.abc import Iterable

from podbench.campaign.spec import RunSpec
from podbench.model.errors import PrerequisiteError

SEARCH_PATH = os.environ.get("PATH", "") + ":/usr/local/sbin:/usr/sbin:/sbin"
"""Debian keeps daemons in sbin, which an ordinary user's PATH leaves out."""

PACKAGES = {
    "ip": "iproute2",
    "mosquitto": "mosquitto",
    "bird": "bird2",
    "iperf3": "iperf3",
    "nft": "nftables",
    "openssl": "openssl",
}
"""Program -> Debian package."""


def needed(spec: RunSpec) -> list[str]:
    """The programs this run needs here; on a cluster the agents' image brings its own."""
    if spec.cluster is not None:
        return ["openssl"]
    programs = ["ip", "mosquitto"]
    if spec.cni == "calico":
        programs.append("bird")
    if any(probe.startswith("throughput") for probe in spec.probes):
        programs.append("iperf3")
    if spec.lab.losses:
        programs.append("nft")
    return programs


def require(programs: Iterable[str]) -> None:
    """Checks that the programs are installed.

    Raises:
        PrerequisiteError: Some cannot; the advice is one apt line for all of them.
    """
    missing = [p for p in programs if shutil.which(p, path=SEARCH_PATH) is None]
    if missing:
        packages = " ".join(PACKAGES[p] for p in missing)
        raise PrerequisiteError(
            f"this machine lacks {', '.join(missing)}",
            advice=f"apt-get install -y --no-install-recommends {packages}",
        )
