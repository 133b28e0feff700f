"""A path to the broker that dies without a word: noticed, and the connection is made anew."""

import asyncio
import subprocess
from pathlib import Path

import pytest
from support import vxlan_path
from support.bench import wait_for
from support.inlab import needs_namespaces

from podbench.model.errors import TransportError
from podbench.target.lab import namespaces
from podbench.target.lab.isolate import run_isolated
from podbench.transport import children, mqtt_link
from podbench.transport.endpoint import Endpoint
from podbench.transport.mqtt_link import Link

pytestmark = [pytest.mark.lab, needs_namespaces()]


def _ip(netns: str, *commands: str) -> None:
    batch = "\n".join(commands).encode()
    subprocess.run(["ip", "-n", netns, "-batch", "-"], input=batch, check=True)


def _broker(folder: Path) -> None:
    """Mosquitto in `far`; packets between it and `near` cross the namespace `way`."""
    for name in ("near", "way", "far"):
        namespaces.create(name)
    for side, name in enumerate(("near", "far")):
        _ip("way", f"link add v{side} type veth peer name e0 netns {name}", f"link set v{side} up")
        _ip(name, f"addr add 10.0.{side}.2/24 dev e0", "link set e0 up")
        _ip("way", f"addr add 10.0.{side}.1/24 dev v{side}")
        _ip(name, f"route add default via 10.0.{side}.1")
    _forwarding(yes=True)
    config = folder / "mosquitto.conf"
    config.write_text("listener 1883 10.0.1.2\nallow_anonymous true\n")
    namespaces.spawn("far", [str(children.find("mosquitto", "mosquitto")), "-c", str(config)])
    wait_for(lambda: b":1883" in _listeners(), 20)


def _listeners() -> bytes:
    found = subprocess.run(
        ["ip", "netns", "exec", "far", "ss", "-ltnH"], capture_output=True, check=True
    )
    return found.stdout


def _forwarding(*, yes: bool) -> None:
    """Without it packets vanish on the way, and nobody tells either end."""
    namespaces.configure("way", {"ipv4/ip_forward": str(int(yes))})


async def _scene() -> list[str]:
    told: list[str] = []
    link = Link(Endpoint("tcp", "10.0.1.2"), "test", (), lambda *_: None)
    down = asyncio.Event()
    link.when_down = down.set
    running = asyncio.create_task(link.run())
    await asyncio.wait_for(link.up.wait(), 20)
    await link.publish("t", b"before")
    _forwarding(yes=False)
    with pytest.raises(TransportError):
        await link.publish("t", b"lost")
    await asyncio.wait_for(down.wait(), 30)
    told.append("down")
    _forwarding(yes=True)
    await asyncio.wait_for(link.up.wait(), 30)
    await link.publish("t", b"after")
    told.append("up")
    running.cancel()
    return told


def test_a_path_that_dies_silently_is_noticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By what is out and never acknowledged; the kernel alone would wait for 15 minutes."""
    monkeypatch.setattr(mqtt_link, "DEAD_PATH_MS", 1_000)

    def inside() -> int:
        _broker(tmp_path)
        with vxlan_path.entered("near"):
            return 0 if asyncio.run(_scene()) == ["down", "up"] else 1

    assert run_isolated(inside) == 0
