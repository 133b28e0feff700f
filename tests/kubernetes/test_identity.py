"""Who we are to the server: contexts, plugins, service accounts, and what runs out in mid-run."""

import asyncio
import ssl
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import yaml
from kubernetes.aio.config import incluster_config
from support.apiserver.server import ApiServer
from support.cluster import Object, at, cluster, kubeconfig, node, put, until

from podbench.model.errors import ConfigError
from podbench.target.kubernetes.api import port_forward
from podbench.target.kubernetes.api.client import Api, ApiError
from podbench.target.kubernetes.api.identity import IN_CLUSTER
from podbench.target.kubernetes.api.refs import Ref, collection
from podbench.target.kubernetes.api.watch import changes
from podbench.target.kubernetes.deploy import credentials

PLUGIN = """
import json, pathlib, sys
folder = pathlib.Path(sys.argv[1])
(folder / "asked").open("a").write("x")
status = {"token": (folder / "token").read_text(), "expirationTimestamp": "2000-01-01T00:00:00Z"}
print(json.dumps({"apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential",
                  "status": status}))
"""


class Plugin:
    """A credential plugin: gives what stands in a file, and notes how often it was asked."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        (folder / "plugin.py").write_text(PLUGIN)
        self.give("first")

    def give(self, token: str) -> None:
        """What it gives from now on."""
        (self._folder / "token").write_text(token)

    @property
    def asked(self) -> int:
        """How often it ran."""
        return len((self._folder / "asked").read_text())

    @property
    def user(self) -> Object:
        """The kubeconfig's user."""
        told = {
            "apiVersion": "client.authentication.k8s.io/v1",
            "command": sys.executable,
            "args": [str(self._folder / "plugin.py"), str(self._folder)],
            "interactiveMode": "Never",
        }
        return {"exec": told}


@asynccontextmanager
async def by_plugin(folder: Path) -> AsyncIterator[tuple[ApiServer, Api, Plugin]]:
    """A server that takes two tokens, and a client whose plugin gives the first."""
    plugin = Plugin(folder)
    async with ApiServer(tokens={"first": "admin", "second": "admin"}) as server:
        put(server, node(1))
        config = server.kubeconfig()
        config["users"][0]["user"] = plugin.user
        with kubeconfig(folder / "kubeconfig", config):
            async with Api(patience_s=2.0) as api:
                yield server, api, plugin


def test_a_token_that_runs_out_is_fetched_once_for_all(tmp_path: Path) -> None:
    """Twenty requests refused at the same time: the plugin runs once more, all are answered."""

    async def run() -> tuple[int, int]:
        async with by_plugin(tmp_path) as (server, api, plugin):
            await api.get("/version")
            server.faults.expired_tokens = {"first"}
            plugin.give("second")
            found = await asyncio.gather(*(api.get(collection("Node")) for _ in range(20)))
            return sum(len(each["items"]) for each in found), plugin.asked

    assert asyncio.run(asyncio.wait_for(run(), 30)) == (20, 2)


def test_a_watch_goes_on_over_a_token_that_ran_out(tmp_path: Path) -> None:
    """The server closes the watch, takes the old token no more, and the next one sees changes."""

    async def run() -> list[str]:
        async with by_plugin(tmp_path) as (server, api, plugin):
            server.faults.watch_s = 0.1
            seen: set[str] = set()

            async def follow() -> None:
                async for held in changes(api, collection("Node")):
                    seen.update(held)

            following = asyncio.create_task(follow())
            await until(lambda: "/n1" in seen)
            server.faults.expired_tokens = {"first"}
            plugin.give("second")
            put(server, node(2))
            await until(lambda: "/n2" in seen or following.done())
            following.cancel()
            await asyncio.gather(following, return_exceptions=True)
            return sorted(seen)

    assert asyncio.run(asyncio.wait_for(run(), 30)) == ["/n1", "/n2"]


def test_the_way_to_the_broker_goes_on_over_a_token_that_ran_out(tmp_path: Path) -> None:
    """A new connection through the API server is let in with the renewed one."""

    async def run() -> tuple[bytes, int]:
        async with by_plugin(tmp_path) as (server, api, plugin):
            meta = {"name": "p", "namespace": "default"}
            spec = {"nodeName": "n1", "containers": []}
            put(server, {"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": spec})
            server.faults.expired_tokens = {"first"}
            plugin.give("second")
            path = f"{Ref('Pod', 'p', 'default').path}/portforward"
            async with api.websocket(path, {"ports": "18883"}, port_forward.PROTOCOL) as socket:
                return await socket.receive_bytes(), plugin.asked

    # The first message of a channel names the port.
    told, asked = asyncio.run(asyncio.wait_for(run(), 20))
    assert (told, asked) == (b"\x00" + (18883).to_bytes(2, "little"), 2)


def test_a_plugin_that_has_nothing_new_is_asked_once_and_told(tmp_path: Path) -> None:
    """Logged out for good: the server's word is the error, and nothing loops."""

    async def run() -> int:
        async with by_plugin(tmp_path) as (server, api, plugin):
            server.faults.expired_tokens = {"first"}
            with pytest.raises(ApiError, match="Unauthorized") as caught:
                await api.get("/version")
            assert caught.value.status == 401
            return plugin.asked

    assert asyncio.run(asyncio.wait_for(run(), 30)) == 2


@pytest.mark.parametrize("moved", ["current", "server", "gone"])
def test_credentials_are_renewed_for_the_same_cluster_only(tmp_path: Path, moved: str) -> None:
    """Whoever points the kubeconfig elsewhere in mid-run gives this server none of that's."""

    async def run() -> None:
        tokens = {"first": "admin", "second": "admin", "other": "admin"}
        async with ApiServer(tokens=tokens) as server:
            put(server, node(1))
            config = server.kubeconfig("first")
            with kubeconfig(tmp_path / "kubeconfig", config):
                async with Api(patience_s=2.0) as api:
                    await api.get("/version")
                    server.faults.expired_tokens = {"first"}
                    config["users"].append({"name": "b", "user": {"token": "other"}})
                    config["users"][0]["user"]["token"] = "second"
                    config["clusters"].append(
                        {"name": "b", "cluster": {"server": "https://192.0.2.1:6443"}}
                    )
                    config["contexts"].append(
                        {"name": "b", "context": {"cluster": "b", "user": "b"}}
                    )
                    config["current-context"] = "b"
                    if moved == "server":
                        config["contexts"][0]["context"]["cluster"] = "b"
                    if moved == "gone":
                        del config["contexts"][0]
                    (tmp_path / "kubeconfig").write_text(yaml.safe_dump(config), "utf-8")
                    server.requests.clear()
                    if moved == "current":
                        assert await api.get("/version")
                        assert (await api._identity.headers())["Authorization"] == "Bearer second"
                        return
                    said = {"server": "leads to https://192.0.2.1:6443 now", "gone": "stand-in"}
                    with pytest.raises(ApiError, match=said[moved]) as caught:
                        await api.get("/version")
                    assert caught.value.status == 401
                    assert "cannot be read anew" in str(caught.value)
                    # Refused once, and nothing sent with anybody else's credentials.
                    assert len(server.requests) == 1

    asyncio.run(asyncio.wait_for(run(), 30))


def test_a_plugin_that_fails_is_told_before_anything_is_asked(tmp_path: Path) -> None:
    """The client would go on as nobody, and the server's word would be about that nobody."""

    async def run() -> None:
        async with ApiServer() as server:
            config = server.kubeconfig()
            told = {"apiVersion": "client.authentication.k8s.io/v1", "command": "no-such-plugin"}
            config["users"][0]["user"] = {"exec": told}
            with kubeconfig(tmp_path / "kubeconfig", config):
                async with Api():
                    pass

    with pytest.raises(ConfigError, match="plugin no-such-plugin gave no credentials") as caught:
        asyncio.run(asyncio.wait_for(run(), 20))
    assert "log in" in str(caught.value.advice)


def test_a_create_that_was_refused_for_its_token_is_sent_again(tmp_path: Path) -> None:
    """Who is not known has changed nothing: this is no second create of the same object."""

    async def run() -> bool:
        async with by_plugin(tmp_path) as (server, api, plugin):
            server.faults.expired_tokens = {"first"}
            plugin.give("second")
            meta = {"name": "a", "namespace": "default"}
            body: Object = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": {}}
            await api.create(collection("ConfigMap", "default"), body)
            return at(server, "ConfigMap", "a", "default") is not None

    assert asyncio.run(asyncio.wait_for(run(), 20))


def test_an_unknown_context_is_told_with_those_that_there_are(tmp_path: Path) -> None:
    """A slip of the finger is named, and the right name with it."""

    async def run() -> None:
        async with ApiServer() as server:
            with kubeconfig(tmp_path / "kubeconfig", server.kubeconfig(name="prod-eu")):
                async with Api("prod-ue"):
                    pass

    with pytest.raises(ConfigError, match="did you mean 'prod-eu'") as caught:
        asyncio.run(asyncio.wait_for(run(), 20))
    assert "--context" in str(caught.value)
    assert caught.value.advice == "valid: prod-eu"


@asynccontextmanager
async def in_a_pod(
    folder: Path, monkeypatch: pytest.MonkeyPatch, token: str = "mounted"
) -> AsyncIterator[tuple[ApiServer, Path]]:
    """What a pod with a service account has: two variables, a token file, the cluster's CA."""
    made = await credentials.make((), "127.0.0.1")
    certificate, key, mounted = (folder / each for each in ("ca.crt", "key", "token"))
    certificate.write_text(made.certificate)
    key.write_text(made.key)
    mounted.write_text(token)
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(certificate, key)
    monkeypatch.delenv("KUBECONFIG", raising=False)
    monkeypatch.setenv("HOME", str(folder))
    monkeypatch.setattr(incluster_config, "SERVICE_TOKEN_FILENAME", str(mounted))
    monkeypatch.setattr(incluster_config, "SERVICE_CERT_FILENAME", str(certificate))
    tokens = {"mounted": "system:serviceaccount:a:b", "rotated": "system:serviceaccount:a:b"}
    async with ApiServer(tokens=tokens, tls=tls) as server:
        host, _, port = server.url.removeprefix("https://").partition(":")
        monkeypatch.setenv("KUBERNETES_SERVICE_HOST", host)
        monkeypatch.setenv("KUBERNETES_SERVICE_PORT", port)
        yield server, mounted


def test_in_a_pod_its_service_account_speaks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Over TLS, trusting the cluster's own authority; a rotated token is read when it is needed."""

    async def run() -> tuple[str, str]:
        async with in_a_pod(tmp_path, monkeypatch) as (server, mounted), Api() as api:
            await api.get("/version")
            server.faults.expired_tokens = {"mounted"}
            mounted.write_text("rotated")
            return api.context.name, str((await api.get("/version"))["gitVersion"])

    assert asyncio.run(asyncio.wait_for(run(), 20)) == (IN_CLUSTER, "v1.36.2")


def test_in_a_pod_a_kubeconfig_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As with kubectl; the service account can still be named."""

    async def run() -> tuple[str, str]:
        async with (
            in_a_pod(tmp_path, monkeypatch),
            cluster(tmp_path),
            Api() as usual,
            Api(IN_CLUSTER) as named,
        ):
            return usual.context.name, named.context.name

    assert asyncio.run(asyncio.wait_for(run(), 20)) == ("stand-in", IN_CLUSTER)


def test_a_pod_without_a_token_is_told_what_to_mount(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`automountServiceAccountToken: false` leaves nothing to speak with."""

    async def run() -> None:
        async with in_a_pod(tmp_path, monkeypatch) as (_, mounted):
            mounted.unlink()
            async with Api():
                pass

    with pytest.raises(ConfigError, match="no credentials for its cluster") as caught:
        asyncio.run(asyncio.wait_for(run(), 20))
    assert "service account" in str(caught.value.advice)


def certificate_of(folder: Path, name: str) -> tuple[Path, Path]:
    """A certificate and its key, in files; its own authority."""
    certificate, key = folder / f"{name}.crt", folder / f"{name}.key"
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
    command += [
        "-nodes",
        "-subj",
        f"/CN={name}",
        "-days",
        "1",
        "-addext",
        "subjectAltName=IP:127.0.0.1",
    ]
    subprocess.run([*command, "-out", certificate, "-keyout", key], check=True, capture_output=True)
    return certificate, key


def test_a_client_certificate_that_was_renewed_reaches_new_connections(tmp_path: Path) -> None:
    """A certificate belongs to the connection: what is open with the old one is not used again."""
    served, first, second = (certificate_of(tmp_path, each) for each in ("s", "first", "second"))
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(*served)
    tls.verify_mode = ssl.CERT_OPTIONAL
    for trusted, _ in (first, second):
        tls.load_verify_locations(trusted)
    shown = [tmp_path / each for each in ("mine.crt", "mine.key")]

    def show(pair: tuple[Path, Path]) -> None:
        for source, place in zip(pair, shown, strict=True):
            place.write_bytes(source.read_bytes())

    async def run() -> str:
        async with ApiServer(tokens={"first": "a", "second": "a"}, tls=tls) as server:
            config = server.kubeconfig()
            config["clusters"][0]["cluster"]["certificate-authority"] = str(served[0])
            mine = dict(zip(("client-certificate", "client-key"), map(str, shown), strict=True))
            config["users"][0]["user"] = mine
            show(first)
            with kubeconfig(tmp_path / "kubeconfig", config):
                async with Api(patience_s=1.0) as api:
                    await api.get("/version")
                    server.faults.expired_tokens = {"first"}
                    show(second)
                    return str((await api.get("/version"))["gitVersion"])

    assert asyncio.run(asyncio.wait_for(run(), 20)) == "v1.36.2"
