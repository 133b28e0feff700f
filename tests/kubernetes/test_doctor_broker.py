"""`bench doctor --broker`: whether another broker lets bench in."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from support import calico, needs
from support.cluster import cluster

from podbench.doctor import broker
from podbench.doctor import cluster as doctor_cluster
from podbench.doctor.checks import Check
from podbench.model.errors import ConfigError
from podbench.target.kubernetes.deploy import credentials, other_broker
from podbench.transport import children, mqtt

pytestmark = needs.programs("mosquitto")


@asynccontextmanager
async def tls_broker(folder: Path) -> AsyncIterator[tuple[str, dict[str, str]]]:
    """A mosquitto with TLS on loopback that takes any account; its URL and what bench is told."""
    made = await credentials.make((), "127.0.0.1")
    certificate, key, config = (folder / each for each in ("ca.crt", "key", "mosquitto.conf"))
    certificate.write_text(made.certificate)
    key.write_text(made.key)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    config.write_text(
        f"listener {port} 127.0.0.1\ncertfile {certificate}\nkeyfile {key}\n"
        "allow_anonymous true\nuser root\n"
    )
    program = children.find("mosquitto", "mosquitto")
    process = await asyncio.create_subprocess_exec(
        *children.with_parent_death([str(program), "-c", str(config)]),
        stderr=asyncio.subprocess.DEVNULL,
    )
    told = {other_broker.USERNAME: "bench", other_broker.PASSWORD: "long-enough-secret"}
    try:
        yield f"mqtts://127.0.0.1:{port}", {**told, other_broker.CA_FILE: str(certificate)}
    finally:
        await children.end(process, 3.0)


def test_a_broker_that_lets_bench_in_is_good(tmp_path: Path) -> None:
    """By a session of its own, over TLS, with the account of the environment."""

    async def run() -> Check:
        async with tls_broker(tmp_path) as (url, told):
            return await asyncio.to_thread(broker.broker, url, told)

    found = asyncio.run(asyncio.wait_for(run(), 40))
    assert found.ok, found
    assert "lets bench in" in found.found
    assert "only a run shows" in found.needed_for


def test_a_broker_that_cannot_be_reached_is_told_with_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody listens; or nobody said how to get in. Neither keeps the cluster from being seen."""
    monkeypatch.setattr(mqtt, "REACH_S", 0.5)
    told = {other_broker.USERNAME: "bench", other_broker.PASSWORD: "long-enough-secret"}
    found = broker.broker("mqtts://127.0.0.1:9", told)
    assert found.ok is False
    assert "cannot be reached" in found.found
    assert other_broker.USERNAME in broker.broker("mqtts://127.0.0.1:9", {}).found

    async def run() -> list[Check]:
        async with cluster(tmp_path) as (server, _):
            calico.install(server)
            asked = doctor_cluster.Asked(image="i:1", broker="mqtts://127.0.0.1:9")
            return await asyncio.to_thread(doctor_cluster.examined_checks, asked)

    names = {each.name: each for each in asyncio.run(asyncio.wait_for(run(), 40))}
    assert names["broker"].ok is False
    assert names["API server"].ok
    assert "port 18883" not in names
    assert "portforward" not in names["rights to observe"].found


def test_a_url_that_is_none_is_the_user_s_error() -> None:
    """Before anything is looked at."""
    with pytest.raises(ConfigError, match="--broker"):
        doctor_cluster.examined_checks(doctor_cluster.Asked(broker="mqtt://plain.example"))
