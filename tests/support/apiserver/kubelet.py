"""What runs in pods: nothing, in this one. `lab_kubelet` runs real agents in lab namespaces."""

import asyncio

from support.apiserver.store import Object


class Kubelet:
    """Gives pods addresses and says they are ready."""

    def __init__(self) -> None:
        self._given = 1
        self.refused: dict[str, str] = {}
        """Nodes whose pods never become ready, with the reason."""

    async def start(self, pod: Object) -> Object:
        """Starts a pod; returns its status."""
        node = pod["spec"]["nodeName"]
        host = f"172.18.0.{10 + int(''.join(c for c in node if c.isdigit()) or 0)}"
        self._given += 1
        own = host if pod["spec"].get("hostNetwork") else f"10.244.0.{self._given}"
        return status(host, own, ready=node not in self.refused)

    async def stop(self, pod: Object) -> None:
        """Ends a pod."""

    async def pool_made(self, pool: Object) -> None:
        """A Calico pool came to be."""

    async def pool_changed(self, pool: Object) -> None:
        """A Calico pool was changed in place, under its pods."""

    async def pool_gone(self, pool: Object) -> None:
        """A Calico pool went."""

    async def node_status(self, node: str) -> Object:
        """What calico-node tells of its BGP: here it has no peers."""
        return {"bgp": {"peersV4": []}, "routes": {"routesV4": []}}

    async def connect(
        self, pod: Object, port: int
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """A connection to a pod's port, from inside the pod."""
        raise ConnectionRefusedError(f"nothing listens on {port} in {pod['metadata']['name']}")


def status(host: str, own: str, *, ready: bool) -> Object:
    """A pod's status as its kubelet writes it."""
    return {
        "phase": "Running",
        "hostIP": host,
        "podIP": own,
        "podIPs": [{"ip": own}],
        "conditions": [{"type": "Ready", "status": "True" if ready else "False"}],
        "containerStatuses": [{"name": "agent", "ready": ready, "restartCount": 0, "state": {}}],
    }
