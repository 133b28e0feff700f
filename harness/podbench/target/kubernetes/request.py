"""What a run on a cluster is asked to be, and who runs it."""

import os
import secrets
import socket
from collections.abc import Mapping
from pathlib import Path

import msgspec

from podbench.model.taints import Toleration
from podbench.target.kubernetes.api.client import PATIENCE_S
from podbench.target.kubernetes.deploy.other_broker import Access
from podbench.target.kubernetes.world import Method

LEASE_S = 60
_MARK = secrets.token_hex(4)
"""In containers process numbers repeat, and on the host network names do, too."""


class Cluster(msgspec.Struct, frozen=True, kw_only=True):
    """What a run on a cluster is asked to be."""

    run_id: str
    image: str
    method: Method = Method(name="observe")
    context: str | None = None
    server: str | None = None
    """Where the context led when the change was consented to; null: nobody was asked."""
    nodes: tuple[str, ...] = ()
    """Those that take part, by name; empty: all that can."""
    folder: Path | None = None
    """The run directory: where changes are written down before they are made."""
    lease_s: int = LEASE_S
    patience_s: float = PATIENCE_S
    most_bps: int | None = None
    saturate: bool = False
    broker: Access | None = None
    """Somebody else's; null: the run brings its own."""
    kubeconfig: str | None = None
    """A file to read instead of KUBECONFIG's."""
    node_selector: Mapping[str, str] = {}
    tolerations: tuple[Toleration, ...] = ()
    pull_secrets: tuple[str, ...] = ()
    """`NAMESPACE/NAME` each."""
    canary: bool = True
    """Whether the cluster's own network is watched."""
    capture: bool = False
    """Whether proofs take captures (`--proof capture`): then host agents hold NET_RAW."""


def holder() -> str:
    """Who we are, for a lease: host, process, and what tells it from others called the same."""
    return f"{socket.gethostname()}/{os.getpid()}/{_MARK}"
