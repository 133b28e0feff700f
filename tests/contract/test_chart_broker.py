"""The chart's broker, run from its own objects: who is let in, and who may say and hear what."""

import asyncio
import base64
import contextlib
import socket
import ssl
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiomqtt
import msgspec
import pytest
from support import needs
from support.chart_settings import settings

from podbench.model.nodes import AgentId
from podbench.target.kubernetes.deploy import credentials
from podbench.target.kubernetes.deploy.objects import objects
from podbench.target.kubernetes.deploy.settings import ORCHESTRATOR, Broker, Settings, agents
from podbench.transport.base import Reply
from podbench.transport.endpoint import Credentials, parse_broker
from podbench.transport.mqtt import MqttFleet, serve_agent
from podbench.wire import messages, topics

pytestmark = needs.programs("mosquitto", "openssl")

N1, N2 = AgentId("n1-vxlan"), AgentId("ip-10-0-0-2.ec2.internal-vxlan")
ADDRESS = "127.0.0.2"
"""In the place of a node's InternalIP."""


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("", 0))
        port: int = probe.getsockname()[1]
        return port


async def _settings() -> Settings:
    usual = settings(broker=Broker(node="n1", address=ADDRESS, port=_free_port()))
    made = await credentials.make(agents(usual), ADDRESS)
    return msgspec.structs.replace(usual, credentials=made)


def _mount(case: Settings, root: Path) -> Path:
    """The broker's files where the pod's volumes would put them; its configuration's path."""
    made = {(each["kind"], each["metadata"]["name"]): each for each in objects(case)}
    pod = made["Deployment", "podbench-broker"]["spec"]["template"]["spec"]
    places = {each["name"]: each["mountPath"] for each in pod["containers"][0]["volumeMounts"]}
    for volume in pod["volumes"]:
        folder = root / places[volume["name"]].lstrip("/")
        folder.mkdir(parents=True)
        for name, text in _files(volume, made).items():
            # The paths within are the pod's: here they have the root before them.
            moved = text.replace(b" /etc/podbench/", f" {root}/etc/podbench/".encode())
            (folder / name).write_bytes(moved)
            (folder / name).chmod(0o600)
    (program, option, path) = pod["containers"][0]["command"]
    assert (program, option) == ("/usr/sbin/mosquitto", "-c")
    config = root / str(path).lstrip("/")
    with config.open("a", encoding="ascii") as file:
        file.write("user root\n")  # the pod's is not root; here it would lose its files
    return config


def _files(volume: dict[str, Any], made: dict[tuple[str, str], Any]) -> dict[str, bytes]:
    if "configMap" in volume:
        data = made["ConfigMap", volume["configMap"]["name"]]["data"]
        return {name: text.encode() for name, text in data.items()}
    data = made["Secret", volume["secret"]["secretName"]]["data"]
    return {name: base64.b64decode(text) for name, text in data.items()}


@contextlib.asynccontextmanager
async def _broker(root: Path) -> AsyncIterator[Settings]:
    """A run's broker while the context lasts."""
    case = await _settings()
    config = _mount(case, root)
    process = await asyncio.create_subprocess_exec("/usr/sbin/mosquitto", "-c", str(config))
    try:
        async with asyncio.timeout(10):
            await _until_let_in(case, ORCHESTRATOR, process)
        yield case
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        await process.wait()


async def _until_let_in(
    case: Settings, name: str, process: asyncio.subprocess.Process | None = None
) -> None:
    """Whoever only knocks, or speaks no TLS, may end the next one's connection: so once more."""
    while True:
        assert process is None or process.returncode is None, "mosquitto refused its configuration"
        try:
            async with _client(case, name, address=ADDRESS):
                return
        except aiomqtt.MqttError:
            await asyncio.sleep(0.02)


def _client(
    case: Settings,
    name: str,
    *,
    password: str | None = None,
    address: str = "127.0.0.1",
    identifier: str | None = None,
) -> aiomqtt.Client:
    """Somebody at the broker by way of the loopback, where a port-forward ends."""
    context = ssl.create_default_context(cadata=case.credentials.ca)
    return aiomqtt.Client(
        address,
        case.broker.port,
        identifier=identifier,
        username=name,
        password=password or case.credentials.passwords[name],
        protocol=aiomqtt.ProtocolVersion.V5,
        tls_context=context,
        timeout=5,
    )


async def _say(
    case: Settings, name: str, topic: str, payload: bytes, *, retain: bool = False
) -> None:
    """Over a connection of its own, for a refusal may end it."""
    with contextlib.suppress(aiomqtt.MqttError):
        async with _client(case, name) as client:
            await client.publish(topic, payload, qos=1, retain=retain)


async def _first(client: aiomqtt.Client) -> tuple[str, bytes]:
    async with asyncio.timeout(10):
        async for message in client.messages:
            assert isinstance(message.payload, bytes)
            return str(message.topic), message.payload
    raise AssertionError("the connection ended")


def test_agents_and_orchestrator_find_each_other(tmp_path: Path) -> None:
    """By TLS and their own passwords, the agent at the node's address, a command and its answer."""

    async def handler(command: messages.Command) -> Reply:
        return Reply(messages.Done(facts={"command": type(command).__name__}), {})

    async def scene() -> Reply:
        async with _broker(tmp_path) as case:
            known, port = case.credentials, case.broker.port
            stop = asyncio.Event()
            own = Credentials(known.ca, N1, known.passwords[N1])
            agent = asyncio.create_task(
                serve_agent(
                    parse_broker(case.broker.url, own),
                    run_id=case.run_id,
                    status=messages.AgentStatus(agent=N1, online=True),
                    handler=handler,
                    stop=stop,
                )
            )
            theirs = Credentials(known.ca, ORCHESTRATOR, known.passwords[ORCHESTRATOR])
            forwarded = parse_broker(f"mqtts://127.0.0.1:{port}", theirs)
            async with MqttFleet(forwarded, run_id=case.run_id) as fleet:
                await fleet.wait_ready([N1], 20)
                reply = await fleet.ask(N1, messages.KeepWatch(), 20)
            stop.set()
            await agent
            return reply

    assert asyncio.run(scene()).answer == messages.Done(facts={"command": "KeepWatch"})


def test_strangers_are_refused(tmp_path: Path) -> None:
    """Another's password, an unknown name, no name, and no encryption."""

    async def scene() -> list[str]:
        refused = []
        async with _broker(tmp_path) as case:
            wrong = case.credentials.passwords[N2]
            plain = aiomqtt.Client("127.0.0.1", case.broker.port, timeout=2)
            context = ssl.create_default_context(cadata=case.credentials.ca)
            nameless = aiomqtt.Client("127.0.0.1", case.broker.port, tls_context=context, timeout=5)
            attempts = {
                "another's password": _client(case, N1, password=wrong),
                "unknown": _client(case, "somebody", password=wrong),
                "nameless": nameless,
                "plain": plain,
            }
            for name, client in attempts.items():
                try:
                    async with client:
                        pass
                except aiomqtt.MqttError:
                    refused.append(name)
            async with asyncio.timeout(10):
                await _until_let_in(case, N1)
            refused.append("the last one was let in")
        return refused

    assert asyncio.run(scene()) == [
        "another's password",
        "unknown",
        "nameless",
        "plain",
        "the last one was let in",
    ]


@pytest.mark.parametrize(
    "topic",
    [
        topics.status("20261123T091200Z-kubernetes-calico", N2),
        topics.answer("20261123T091200Z-kubernetes-calico", N2),
        topics.command("20261123T091200Z-kubernetes-calico", N1),
        topics.answer("another-run", N1),
        "podbench",
        "$SYS/broker/x",
    ],
)
def test_an_agent_speaks_for_itself_only(tmp_path: Path, topic: str) -> None:
    """What it says elsewhere reaches nobody: its own status, sent after, is the first to arrive."""

    async def scene() -> tuple[str, bytes]:
        async with _broker(tmp_path) as case, _client(case, ORCHESTRATOR) as orchestrator:
            await orchestrator.subscribe("#", qos=1)
            await _say(case, N1, topic, b"forged")
            await _say(case, N1, topics.status(case.run_id, N1), b"own")
            return await _first(orchestrator)

    assert asyncio.run(scene()) == (topics.status(settings().run_id, N1), b"own")


def test_an_agent_hears_its_own_commands_only(tmp_path: Path) -> None:
    """Subscribed to everything, it gets neither another's command nor another's answer."""

    async def scene() -> tuple[str, bytes]:
        async with (
            _broker(tmp_path) as case,
            _client(case, ORCHESTRATOR) as orchestrator,
            _client(case, N1) as curious,
            _client(case, N2) as other,
        ):
            with contextlib.suppress(aiomqtt.MqttError):
                await curious.subscribe("#", qos=1)
            await curious.subscribe(topics.command(case.run_id, N1), qos=1)
            await other.publish(topics.answer(case.run_id, N2), b"secret", qos=1)
            await orchestrator.publish(topics.command(case.run_id, N2), b"secret", qos=1)
            await orchestrator.publish(topics.command(case.run_id, N1), b"for you", qos=1)
            return await _first(curious)

    assert asyncio.run(scene()) == (topics.command(settings().run_id, N1), b"for you")


def test_nobody_takes_another_s_connection_over(tmp_path: Path) -> None:
    """A client id is its user's name, whatever a client calls itself: the other one stays."""

    async def scene() -> tuple[str, bytes]:
        async with _broker(tmp_path) as case, _client(case, N1) as victim:
            await victim.subscribe(topics.command(case.run_id, N1), qos=1)
            async with _client(case, N2, identifier=victim.identifier) as thief:
                await thief.publish(topics.answer(case.run_id, N2), b"x", qos=1)
                async with _client(case, N2, identifier=N1):
                    pass
            async with _client(case, ORCHESTRATOR) as orchestrator:
                await orchestrator.publish(topics.command(case.run_id, N1), b"alive", qos=1)
                return await _first(victim)

    assert asyncio.run(scene()) == (topics.command(settings().run_id, N1), b"alive")


def test_the_broker_takes_no_message_larger_than_any_of_ours(tmp_path: Path) -> None:
    """One of 17 MiB reaches nobody; one of 4 MiB, as a program's JSON can be, does."""

    async def scene() -> list[int]:
        sizes = []
        async with _broker(tmp_path) as case, _client(case, ORCHESTRATOR) as orchestrator:
            await orchestrator.subscribe("podbench/#", qos=1)
            for mib in (17, 4):
                await _say(case, N1, topics.answer(case.run_id, N1), bytes(mib << 20))
            sizes.append(len((await _first(orchestrator))[1]))
        return sizes

    assert asyncio.run(scene()) == [4 << 20]


def test_the_broker_s_memory_has_bounds() -> None:
    """Queues, packets, connections and the heap, in the rendered configuration."""
    (config,) = (
        each["data"]["mosquitto.conf"]
        for each in objects(settings())
        if each["kind"] == "ConfigMap" and each["metadata"]["name"] == "podbench-broker"
    )
    lines = dict(line.split(" ", 1) for line in config.splitlines() if line and line[0] != "#")
    limits = ("max_queued_bytes", "message_size_limit", "max_packet_size", "memory_limit")
    assert all(int(lines[name]) > 0 for name in limits)
    assert config.count("use_username_as_clientid true") == config.count("listener ") == 2
    assert config.count("max_connections") == 2


def test_the_orchestrator_does_not_speak_as_an_agent(tmp_path: Path) -> None:
    """Nor to agents of another run."""

    async def scene() -> tuple[str, bytes]:
        async with _broker(tmp_path) as case:
            for topic in (topics.answer(case.run_id, N1), topics.command("another-run", N1)):
                # Kept, so that it would be the first thing that is heard.
                await _say(case, ORCHESTRATOR, topic, b"forged", retain=True)
            async with _client(case, ORCHESTRATOR) as orchestrator:
                await orchestrator.subscribe("podbench/#", qos=1)
                await _say(case, N1, topics.answer(case.run_id, N1), b"own")
                return await _first(orchestrator)

    assert asyncio.run(scene()) == (topics.answer(settings().run_id, N1), b"own")


def test_nobody_knocks_at_the_broker_while_agents_measure() -> None:
    """A probe that hangs up ends somebody else's large message (mosquitto 2.0.11): start only."""
    (deployment,) = (each for each in objects(settings()) if each["kind"] == "Deployment")
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    assert container["startupProbe"]["tcpSocket"] == {"port": "mqtts"}
    assert not {"readinessProbe", "livenessProbe"} & set(container)
