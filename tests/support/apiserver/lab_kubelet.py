"""Pods of the stand-in as real processes in lab namespaces: agents and mosquitto as in the chart.

A container's program and arguments are the chart's own. What a kubelet does around it is done here:
the downward API, Secrets and ConfigMaps as files (in a folder of the pod's, which takes the place
of /etc/podbench in arguments and configuration), the namespace. Calico's part is the lab's: a pool
becomes one of the lab, `cni.projectcalico.org/ipv4pools` chooses the pod's namespace.
"""

import asyncio
import base64
import json
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import msgspec
from support.apiserver.kubelet import Kubelet, status
from support.apiserver.store import Object, Place, Store
from support.lab_in_place import InPlace

from podbench.cni import registry
from podbench.cni.base import Origin, Pool
from podbench.model.arms import Mode
from podbench.target.lab import namespaces
from podbench.target.lab.inside import inside
from podbench.target.lab.world import LabWorld

MOUNTED = "/etc/podbench"
ROOT = Path("/run/pods")
LISTEN_S = 10.0
DEFAULT_POOL = Pool(
    # CrossSubnet, as `support.calico` installs one, so that Felix routes it within one subnet.
    mode=Mode.HOST_GW,
    cidr="10.245.0.0/16",
    pod_mtu=1450,
    origin=Origin.FELIX,
    route_protocol=3,
)
"""The cluster's own pool, which no arm uses: the canary's pods get it."""


class LabKubelet(Kubelet):
    """`found` is the mode of pods that name no pool: it is laid from the start.

    With `in_place` those pods are there for every mode, and the cluster's pool carries them all.
    """

    def __init__(
        self, world: LabWorld, found: Mode | None = None, in_place: InPlace | None = None
    ) -> None:
        super().__init__()
        self._in_place = in_place
        self._world = world
        self._found = found
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._pools: dict[str, Pool] = {}
        self.store: Store | None = None
        self.disorder: list[str] = []
        """What was done in an order that would harm on a real cluster."""

    async def pool_made(self, pool: Object) -> None:
        """Lays the pool's mode, with its CIDR."""
        spec, mode = pool["spec"], _mode_of(pool)
        if self._in_place is not None:
            await self._in_place.carry(mode)
            return
        driver = registry.driver("calico")
        asked = driver.pool(mode, underlay_mtu=1500, equal_mtu=True)
        asked = msgspec.structs.replace(asked, cidr=spec["cidr"])
        laid = await self._world.apply(asked)
        assert laid.implementation is not None, laid.reason
        self._pools[pool["metadata"]["name"]] = asked

    async def pool_changed(self, pool: Object) -> None:
        """Carries the pods that are there in another mode, as Felix and BIRD do."""
        if self._in_place is not None:
            await self._in_place.carry(_mode_of(pool))

    async def pool_gone(self, pool: Object) -> None:
        """Removes the pool; pods in it would have lost their network."""
        name = pool["metadata"]["name"]
        asked = self._pools.pop(name)
        alive = [
            each for each in self._processes if each.startswith(f"podbench-agent-{asked.mode}")
        ]
        if alive:
            self.disorder.append(f"{name} went while {', '.join(alive)} ran in it")
        await self._world.remove(asked)

    async def start(self, pod: Object) -> Object:
        """Starts the pod's one container in its namespace."""
        name, spec = pod["metadata"]["name"], pod["spec"]
        # Known already, but for the first.
        await self._world.apply(DEFAULT_POOL)
        node = next(each for each in self._world.nodes if each.name == spec["nodeName"])
        netns, own = node.name, node.address
        if not spec.get("hostNetwork"):
            chosen = node.pod(await self._mode(pod))
            netns, own = chosen.name, chosen.address
        folder = ROOT / name
        self._mount(pod, folder)
        known = {"$(NODE_NAME)": node.name, "$(BIND_ADDRESS)": own, MOUNTED: str(folder)}
        container = spec["containers"][0]
        program = container.get("command") or [sys.executable, "-P", "-m", "podbench_agent"]
        command = [*program, *(container.get("args") or [])]
        for word, value in known.items():
            command = [each.replace(word, value) for each in command]
        with (folder / "log").open("wb") as log:
            self._processes[name] = namespaces.spawn(netns, command, output=log)
        if "podbench-broker" in name:
            await self._until_listening(netns, container["ports"][0]["containerPort"])
        return status(node.address, own, ready=True)

    async def _mode(self, pod: Object) -> Mode:
        if pod["metadata"]["labels"].get("podbench.io/component") == "canary":
            return DEFAULT_POOL.mode
        text = pod["metadata"].get("annotations", {}).get("cni.projectcalico.org/ipv4pools")
        if text is None and self._in_place is not None:
            return Mode(pod["metadata"]["labels"]["podbench.io/component"])
        if text is None:
            assert self._found is not None, "a pod without a pool, and no pool of the cluster's own"
            return self._found
        return self._pools[json.loads(text)[0]].mode

    def _mount(self, pod: Object, folder: Path) -> None:
        folder.mkdir(parents=True)
        volumes = {each["name"]: each for each in pod["spec"]["volumes"]}
        for mount in pod["spec"]["containers"][0]["volumeMounts"]:
            data = self._data(pod["metadata"]["namespace"], volumes[mount["name"]])
            if not mount["mountPath"].startswith(MOUNTED):
                continue
            place = folder / mount["mountPath"].removeprefix(MOUNTED).strip("/")
            if "subPathExpr" in mount:
                place.write_bytes(data[pod["spec"]["nodeName"]])
                continue
            place.mkdir()
            for key, value in data.items():
                text = value.replace(MOUNTED.encode(), str(folder).encode())
                if key == "mosquitto.conf":
                    # As root it would become another user, who may not read its files.
                    text += b"\nuser root\n"
                (place / key).write_bytes(text)
                (place / key).chmod(0o600)

    def _data(self, namespace: str, volume: Object) -> dict[str, bytes]:
        assert self.store is not None
        if "secret" in volume:
            found = self.store.get(
                Place("v1", "secrets", namespace, volume["secret"]["secretName"])
            )
            assert found is not None
            return {key: base64.b64decode(text) for key, text in found["data"].items()}
        if "configMap" in volume:
            found = self.store.get(
                Place("v1", "configmaps", namespace, volume["configMap"]["name"])
            )
            assert found is not None
            return {key: text.encode() for key, text in found["data"].items()}
        return {}

    async def _until_listening(self, netns: str, port: int) -> None:
        async with asyncio.timeout(LISTEN_S):
            while True:
                try:
                    connection = inside(netns, lambda: _connected(port))
                except OSError:
                    await asyncio.sleep(0.05)
                else:
                    connection.close()
                    return

    def bird(self, node: str) -> subprocess.Popen[bytes]:
        """A node's BGP daemon, for those who inject faults."""
        return self._world.mesh.daemons[node]

    async def node_status(self, node: str) -> Object:
        """The lab's BIRD, as Calico would tell of its own."""
        found = await self._world.facts(node)
        learned = [
            {
                "type": "FIB",
                "destination": route.dst,
                "gateway": route.gateway,
                "interface": route.device,
                "learnedFrom": {"sourceType": "NodeMesh", "peerIP": route.gateway},
            }
            for route in found.routes
            if route.protocol == 12
        ]
        peers = [
            {"peerIP": each.peer, "type": "NodeMesh", "state": each.state, "since": each.since}
            for each in found.bgp or ()
        ]
        return {"bgp": {"peersV4": peers}, "routes": {"routesV4": learned}}

    async def stop(self, pod: Object) -> None:
        """Ends the pod's process."""
        name = pod["metadata"]["name"]
        process = self._processes.pop(name, None)
        if process is not None:
            await asyncio.to_thread(namespaces.end, process, 3.0)
        shutil.rmtree(ROOT / name, ignore_errors=True)

    def kill(self, name: str) -> None:
        """Ends a pod's process as an eviction or a crash would."""
        for each, process in self._processes.items():
            if each.startswith(name):
                process.kill()
                process.wait()

    def log(self, name: str) -> str:
        """The last of what a pod said."""
        found = [each for each in self._processes if each.startswith(name)]
        return "".join(
            (ROOT / each / "log").read_text("utf-8", "replace")[-2000:] for each in found
        )

    async def connect(
        self, pod: Object, port: int
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Connects to the loopback of the pod's namespace, as a kubelet does."""
        connection = inside(pod["spec"]["nodeName"], lambda: _connected(port))
        connection.setblocking(False)
        return await asyncio.open_connection(sock=connection)


def _mode_of(pool: Object) -> Mode:
    spec = pool["spec"]
    if spec["vxlanMode"] != "Never":
        return Mode.VXLAN
    return Mode.IPIP if spec.get("ipipMode", "Never") != "Never" else Mode.BGP


def _connected(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), timeout=2.0)
