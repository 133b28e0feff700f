"""A run with somebody else's broker: a real mosquitto with TLS and a password, beside the nodes."""

import asyncio
import contextlib
import shutil
import socket
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest
from support.apiserver.lab_kubelet import DEFAULT_POOL
from support.inlab import in_lab, needs_namespaces
from support.lab_cluster import lab_cluster

from podbench.campaign import latency
from podbench.campaign.agents import Crew
from podbench.cni import registry
from podbench.model.arms import Mode
from podbench.target.kubernetes.deploy import credentials, other_broker
from podbench.target.kubernetes.request import Cluster
from podbench.target.kubernetes.target import KubernetesTarget
from podbench.target.kubernetes.world import Method
from podbench.target.lab import layout, namespaces
from podbench.target.lab.inside import inside, with_netlink
from podbench.target.lab.world import LabWorld

pytestmark = [pytest.mark.lab, needs_namespaces()]

ADDRESS, PORT = str(layout.UNDERLAY_NETWORK[1]), 18884
PASSWORD = "a foreign service's own secret"
CONFIG = """\
listener {port} {address}
certfile {folder}/tls.crt
keyfile {folder}/tls.key
allow_anonymous false
password_file {folder}/passwords
max_queued_messages 0
user root
"""


class Seen(msgspec.Struct):
    """What a run with it saw."""

    answered: int
    requests: list[str]
    commands: list[str]
    left: list[str]


@contextlib.contextmanager
def _service(folder: Path, certificate: str, key: str) -> Iterator[None]:
    """Mosquitto on the underlay, which every node and, by the loopback's address, we reach."""
    folder.mkdir()
    for name, text in (("tls.crt", certificate), ("tls.key", key)):
        (folder / name).write_text(text, "utf-8")
        (folder / name).chmod(0o600)
    (folder / "passwords").write_text("", "utf-8")
    (folder / "passwords").chmod(0o600)
    text = CONFIG.format(port=PORT, address=ADDRESS, folder=folder)
    (folder / "mosquitto.conf").write_text(text, "utf-8")
    program = shutil.which("mosquitto", path="/usr/sbin:/usr/bin")
    maker = shutil.which("mosquitto_passwd", path="/usr/sbin:/usr/bin")
    assert program is not None
    assert maker is not None
    made = namespaces.spawn(
        layout.UNDERLAY, [maker, "-b", str(folder / "passwords"), "bench", PASSWORD]
    )
    assert made.wait(10) == 0
    server = namespaces.spawn(layout.UNDERLAY, [program, "-c", str(folder / "mosquitto.conf")])
    try:
        yield
    finally:
        namespaces.end(server)


def _answer_for_it() -> None:
    """Gives this namespace the broker's address: what we call there is passed on."""

    def work(netlink: Any) -> None:
        (loopback,) = netlink.link_lookup(ifname="lo")
        netlink.addr("add", index=loopback, address=ADDRESS, prefixlen=32)

    with_netlink(None, work)


def _answer_pods(cidrs: Sequence[str], nodes: int) -> None:
    """Leads what the broker answers to pods back to their nodes, as their NAT would."""
    driver = registry.driver("calico")
    usual = driver.pool(Mode.VXLAN, underlay_mtu=1500, equal_mtu=True)
    plans = layout.plan_nodes(nodes)

    def work(netlink: Any) -> None:
        for cidr in cidrs:
            pool = msgspec.structs.replace(usual, cidr=cidr)
            for pod in layout.plan_pods(pool, plans, "calico"):
                netlink.route("add", dst=pod.block, gateway=pod.node.address)

    with_netlink(layout.UNDERLAY, work)


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    sock = inside(layout.UNDERLAY, lambda: socket.create_connection((ADDRESS, PORT), 5))
    sock.setblocking(False)
    back, forth = await asyncio.open_connection(sock=sock)

    async def copy(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await source.read(65536):
                sink.write(data)
                await sink.drain()
        sink.close()

    await asyncio.gather(copy(reader, forth), copy(back, writer))


def _command_lines() -> list[str]:
    """Of every process here."""
    paths = Path("/proc").glob("[0-9]*/cmdline")
    return [path.read_bytes().replace(b"\0", b" ").decode() for path in paths]


async def _run(world: LabWorld, folder: Path) -> Seen:
    made = await credentials.make([], ADDRESS)
    (folder / "ca.crt").write_text(made.certificate, "utf-8")
    access = other_broker.access(
        f"mqtts://{ADDRESS}:{PORT}",
        {
            other_broker.USERNAME: "bench",
            other_broker.PASSWORD: PASSWORD,
            other_broker.CA_FILE: str(folder / "ca.crt"),
        },
    )
    _answer_for_it()
    async with lab_cluster(world, folder) as (server, kubelet):
        before = set(server.store.places())
        relay = await asyncio.start_server(_pass_on, ADDRESS, PORT)
        asked = Cluster(
            run_id="r",
            image="i",
            method=Method(name="pools"),
            folder=folder,
            patience_s=5.0,
            broker=access,
        )
        with _service(folder / "service", made.certificate, made.key):
            async with KubernetesTarget(asked, lambda _: None).up() as laid:
                await registry.driver("calico").lay(laid.world, [Mode.VXLAN])
                planned = laid.world.taken[Mode.VXLAN]
                assert planned is not None
                _answer_pods((planned.cidr, DEFAULT_POOL.cidr), len(world.nodes))
                try:
                    async with laid.deploy() as (nodes, fleet):
                        first, second = (each.pod(Mode.VXLAN) for each in nodes[:2])
                        crew = Crew(nodes, fleet)
                        answered = await latency.answered(crew, first, second, 50, 2000.0)
                        lines = _command_lines()
                except Exception as error:
                    raise AssertionError(kubelet.log("podbench")) from error
        relay.close()
        return Seen(
            answered=answered.answered,
            requests=server.requests,
            # Others' agents show here, too, where /proc is the machine's.
            commands=[line for line in lines if access.broker.url in line],
            left=[str(each) for each in set(server.store.places()) - before],
        )


def test_a_run_on_another_broker(tmp_path: Path) -> None:
    """No broker is made and nothing is forwarded; its password stands on no command line."""

    async def scenario(world: LabWorld) -> Seen:
        return await _run(world, tmp_path)

    seen = in_lab(scenario, Seen)
    assert seen.answered == 50
    assert not [each for each in seen.requests if "portforward" in each]
    assert not [each for each in seen.requests if each.startswith("P") and "broker" in each]
    assert seen.commands
    assert not [line for line in seen.commands if PASSWORD in line]
    assert all("--username=bench" in line for line in seen.commands)
    assert seen.left == []
