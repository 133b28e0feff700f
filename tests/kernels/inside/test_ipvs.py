"""IPVS carries a Service of kube-proxy's kind between the lab's pods: this kernel has all of it."""

import asyncio
import socket
import subprocess
import threading
from pathlib import Path

from pyroute2 import IPVS, IPVSDest, IPVSService
from support.inlab import in_lab

from podbench.model.arms import Mode
from podbench.target.lab.inside import inside
from podbench.target.lab.world import LabWorld

SERVICE, PORT = "198.51.100.10", 8080
"""A cluster IP; RFC 5737."""
MASQUERADE = 0
"""IP_VS_CONN_F_MASQ (linux/ip_vs.h), the forwarding that kube-proxy asks for."""


def _serve(listener: socket.socket) -> None:
    connection, peer = listener.accept()
    with connection:
        connection.sendall(f"for {peer[0]}".encode())


def _connect(address: str) -> str:
    with socket.create_connection((address, PORT), timeout=30) as connection:
        return connection.makefile().read()


def _program(backend: str) -> None:
    """What kube-proxy does on a node: the address on a device, one service, one real server."""
    subprocess.run(["ip", "addr", "add", f"{SERVICE}/32", "dev", "lo"], check=True)
    with IPVS() as ipvs:
        service = IPVSService(addr=SERVICE, port=PORT, protocol=socket.IPPROTO_TCP, sched_name="rr")
        ipvs.service("add", service=service)
        ipvs.dest(
            "add", service=service, dest=IPVSDest(addr=backend, port=PORT, fwd_method=MASQUERADE)
        )


def _through_ipvs(world: LabWorld) -> list[str]:
    client, server = (node.pod(Mode.BGP) for node in world.nodes)
    with inside(server.name, lambda: socket.create_server((server.address, PORT))) as listener:
        answering = threading.Thread(target=_serve, args=(listener,))
        answering.start()
        inside("n1", lambda: _program(server.address))
        said = inside(client.name, lambda: _connect(SERVICE))
        answering.join()
    table = inside("n1", Path("/proc/thread-self/net/ip_vs").read_text)
    return [said, f"for {client.address}", table]


def test_a_connection_to_a_service_reaches_the_other_nodes_pod() -> None:
    """The client's address is kept, and the node's IPVS table holds the real server."""

    async def scenario(world: LabWorld) -> list[str]:
        return await asyncio.to_thread(_through_ipvs, world)

    said, right, table = in_lab(scenario, list[str], modes=(Mode.BGP,))
    assert said == right
    assert "Masq" in table
