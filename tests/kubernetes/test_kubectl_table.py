"""Kubeconfig rules, each run by the real kubectl beside: same context, server, identity, refusal.

kubectl is Debian's `kubernetes-client`, or any other on PATH; without one the rows are held to what
they say alone.
"""

import asyncio
import os
import re
import shutil
import ssl
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest
from aiohttp import web

from podbench.model.errors import ConfigError
from podbench.target.kubernetes.api.client import Api

KUBECTL = shutil.which("kubectl")
ASKED = "/api/v1/nodes"
PLUGIN = """import json, os
info = json.loads(os.environ["KUBERNETES_EXEC_INFO"])
told = info["spec"].get("cluster", {})
token = "exec-" + os.environ.get("WHO", "") + str("config" in told) + str("server" in told)
print(json.dumps({"apiVersion": info["apiVersion"], "kind": "ExecCredential",
                  "status": {"token": token}}))
"""


class Heard(msgspec.Struct, frozen=True):
    """One request as a server got it."""

    server: str
    path: str
    authorization: str | None
    impersonated: tuple[str, ...]
    name: str | None
    """The name that the client asked TLS for."""


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """Files by name, `{a}` and `{b}` the servers; what has to come of them."""

    files: dict[str, str]
    kubeconfig: str = "one"
    """KUBECONFIG: names of files joined by colons."""
    context: str | None = None
    explicit: str | None = None
    """`--kubeconfig`."""
    heard: Heard | None = None
    refused: str | None = None
    """A part of what bench says; kubectl refuses too."""


def config(
    user: str = "token: t", cluster: str = "server: {a}, certificate-authority: ca.crt"
) -> str:
    """A kubeconfig with one context."""
    return f"""
current-context: c
clusters: [{{name: k, cluster: {{{cluster}}}}}]
users: [{{name: u, user: {{{user}}}}}]
contexts: [{{name: c, context: {{cluster: k, user: u}}}}]
"""


def heard(
    server: str = "a",
    authorization: str | None = "Bearer t",
    impersonated: tuple[str, ...] = (),
    path: str = ASKED,
    name: str | None = None,
) -> Heard:
    """What a server ought to hear."""
    return Heard(server, path, authorization, impersonated, name)


TWO = config().replace("{a}", "{b}").replace("current-context: c", "current-context: d")
TWO = TWO.replace("name: c,", "name: d,").replace("name: k", "name: l")
TWO = TWO.replace("cluster: k", "cluster: l").replace("token: t", "token: other")
EXEC = (
    "exec: {apiVersion: client.authentication.k8s.io/v1, interactiveMode: Never,"
    " command: ./plugin, env: [{name: WHO, value: x}]"
)
ROWS = {
    "first file's current context": Row(
        files={
            "one": config(),
            "two": TWO.replace("name: u", "name: v").replace("user: u", "user: v"),
        },
        kubeconfig="one:two",
        heard=heard(),
    ),
    "first file's user of a name": Row(
        files={"one": config(), "two": TWO}, kubeconfig="one:two", context="d", heard=heard("b")
    ),
    "a current context of the second file": Row(
        files={"one": config().replace("current-context: c", "current-context: ''"), "two": TWO},
        kubeconfig="one:two",
        heard=heard("b"),
    ),
    "missing and empty files": Row(
        files={"empty": "", "one": config()}, kubeconfig="none:empty::one", heard=heard()
    ),
    "a file of comments": Row(
        files={"one": config(), "notes": "# nothing\n"}, kubeconfig="notes:one", heard=heard()
    ),
    "a byte order mark": Row(files={"one": "\ufeff" + config()}, heard=heard()),
    "JSON with tabs": Row(
        files={
            "one": '{\n\t"current-context": "c",\n\t"clusters": [{"name": "k", "cluster":'
            ' {"server": "{a}", "certificate-authority": "ca.crt"}}],\n\t"users": [{"name": "u",'
            ' "user": {"token": "t"}}], "contexts": [{"name": "c", "context": {"cluster": "k",'
            ' "user": "u"}}]}'
        },
        heard=heard(),
    ),
    "unknown fields": Row(files={"one": config() + "colour: red\n"}, heard=heard()),
    "a date that is a token": Row(
        files={"one": config("token: 2020-01-01")}, heard=heard(authorization="Bearer 2020-01-01")
    ),
    "explicit file": Row(
        files={"one": config(), "two": TWO}, explicit="two", heard=heard("b", "Bearer other")
    ),
    "paths from the file's folder": Row(
        files={"below/one": config(cluster="server: {a}, certificate-authority: ../ca.crt")},
        kubeconfig="below/one",
        heard=heard(),
    ),
    "a server's path": Row(
        files={
            "one": config(cluster="server: {a}/k8s/clusters/c-1/, certificate-authority: ca.crt")
        },
        heard=heard(path=f"/k8s/clusters/c-1{ASKED}"),
    ),
    "as": Row(
        files={"one": config("token: t, as: viewer, as-groups: [readers, x], as-uid: '7'")},
        heard=heard(impersonated=("group=readers", "group=x", "uid=7", "user=viewer")),
    ),
    "as-user-extra": Row(
        files={"one": config("token: t, as: viewer, as-user-extra: {scopes/a: [v, w]}")},
        heard=heard(impersonated=("extra-scopes%2fa=v", "extra-scopes%2fa=w", "user=viewer")),
    ),
    "tokenFile's newline": Row(
        files={"one": config("tokenFile: token"), "token": "t\n"}, heard=heard()
    ),
    "tokenFile over token": Row(
        files={"one": config("tokenFile: token, token: old"), "token": "t"}, heard=heard()
    ),
    "basic": Row(
        files={"one": config("username: a, password: b")}, heard=heard(authorization="Basic YTpi")
    ),
    "tls-server-name": Row(
        files={
            "one": config(
                cluster="server: {a}, certificate-authority: ca.crt,"
                " tls-server-name: kubernetes.test"
            )
        },
        heard=heard(name="kubernetes.test"),
    ),
    "insecure": Row(
        files={"one": config(cluster="server: {a}, insecure-skip-tls-verify: true")}, heard=heard()
    ),
    "exec": Row(
        files={"one": config(EXEC + "}"), "plugin": PLUGIN},
        heard=heard(authorization="Bearer exec-xFalseFalse"),
    ),
    "provideClusterInfo": Row(
        files={
            "one": config(
                EXEC + ", provideClusterInfo: true}",
                "server: {a}, certificate-authority: ca.crt, extensions:"
                " [{name: client.authentication.k8s.io/exec, extension: {a: b}}]",
            ),
            "plugin": PLUGIN,
        },
        heard=heard(authorization="Bearer exec-xTrueTrue"),
    ),
    "token over exec": Row(
        files={"one": config("token: t, " + EXEC + "}"), "plugin": PLUGIN}, heard=heard()
    ),
    "proxy": Row(
        files={
            "one": config(cluster="server: 'http://nowhere.test', proxy-url: {p}", user="as: v")
        },
        heard=heard("p", None, ("user=v",)),
    ),
    "http has no credentials": Row(
        files={"one": config(cluster="server: 'http://nowhere.test', proxy-url: {p}")},
        heard=heard("p", None),
    ),
    "http needs no user": Row(
        files={
            "one": config(cluster="server: 'http://nowhere.test', proxy-url: {p}").replace(
                ", user: u", ""
            )
        },
        heard=heard("p", None),
    ),
    # Refused by both.
    "no YAML": Row(files={"one": "clusters:\n\t- name: c\n"}, refused="one, line 2, column 1"),
    "one bad file of two": Row(
        files={"one": config(), "two": "a: ["}, kubeconfig="one:two", refused="two, line"
    ),
    "another kind": Row(
        files={"one": "apiVersion: v1\nkind: Pod\n"}, refused="v1 Pod, not a Config"
    ),
    "a number for a text": Row(
        files={"one": config(cluster="server: 5")}, refused="clusters[0].cluster.server"
    ),
    "a mapping for a list": Row(files={"one": "contexts: {a: b}"}, refused="line 1, contexts"),
    "no base64": Row(
        files={"one": config(cluster="server: {a}, certificate-authority-data: '%%%'")},
        refused="clusters[0].cluster.certificate-authority-data: no base64",
    ),
    "a name twice": Row(
        files={"one": config().replace("users: [", "users: [{name: u, user: {}}, ")},
        refused="users has 'u' twice",
    ),
    "no such current context": Row(
        files={"one": config().replace("current-context: c", "current-context: x")},
        refused="current context x",
    ),
    "no such context": Row(files={"one": config()}, context="x", refused="--context"),
    "no such cluster": Row(
        files={"one": config().replace("cluster: k", "cluster: z")}, refused="cluster z"
    ),
    "no server": Row(
        files={"one": config(cluster="tls-server-name: x")}, refused="without a server"
    ),
    "no authority file": Row(
        files={"one": config(cluster="server: {a}, certificate-authority: none.crt")},
        refused="none.crt",
    ),
    "authority and insecure": Row(
        files={
            "one": config(
                cluster="server: {a}, certificate-authority: ca.crt, insecure-skip-tls-verify: true"
            )
        },
        refused="insecure-skip-tls-verify",
    ),
    "an authority that is none": Row(
        files={"one": config(cluster="server: {a}, certificate-authority-data: bm90IGEgY2VydA==")},
        refused="certificate-authority-data",
    ),
    "certificate without key": Row(
        files={"one": config("client-certificate: ca.crt")}, refused="no client-key"
    ),
    "groups without a user": Row(
        files={"one": config("token: t, as-groups: [a]")}, refused="as-groups"
    ),
    "two ways to log in": Row(
        files={"one": config("token: t, username: a, password: b")}, refused="one way to log in"
    ),
    "a plugin that is not there": Row(
        files={"one": config(EXEC.replace("./plugin", "no-such-plugin") + "}")},
        refused="plugin no-such-plugin",
    ),
    "gcp": Row(files={"one": config("auth-provider: {name: gcp}")}, refused="auth-provider gcp"),
    "tokenFile missing": Row(files={"one": config("tokenFile: none")}, refused="tokenFile"),
    "explicit file missing": Row(files={"one": config()}, explicit="none", refused="--kubeconfig"),
    "proxy of a foreign kind": Row(
        files={"one": config(cluster="server: {a}, proxy-url: 'ftp://127.0.0.1:1'")},
        refused="no http, https or socks5",
    ),
}


class Servers:
    """Two API servers over TLS and a proxy, each noting who asked for nodes."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.heard: list[Heard] = []
        self.places: dict[str, str] = {}
        self._runners: list[web.AppRunner] = []
        self._names: dict[int, str | None] = {}

    async def start(self) -> None:
        """Listens."""
        subprocess.run(  # noqa: ASYNC221 - before anything runs
            [
                "openssl",
                "req",
                "-x509",
                "-newkey",
                "ec",
                "-pkeyopt",
                "ec_paramgen_curve:P-256",
                "-nodes",
                "-subj",
                "/CN=x",
                "-days",
                "1",
                "-addext",
                "subjectAltName=IP:127.0.0.1,DNS:kubernetes.test",
                "-keyout",
                self._folder / "s.key",
                "-out",
                self._folder / "s.crt",
            ],
            check=True,
            capture_output=True,
        )
        shutil.copy(self._folder / "s.crt", self._folder / "ca.crt")
        for name in "abp":
            self.places[name] = await self._listen(name, tls=name != "p")

    async def _listen(self, name: str, *, tls: bool) -> str:
        context = None
        if tls:
            context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
            context.load_cert_chain(self._folder / "s.crt", self._folder / "s.key")
            context.sni_callback = self._named

        async def answer(request: web.BaseRequest) -> web.StreamResponse:
            self._note(name, request)
            return web.json_response({"kind": "NodeList", "apiVersion": "v1", "items": []})

        handler = web.Server(answer)
        runner: Any = web.ServerRunner(handler)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context)
        await site.start()
        self._runners.append(runner)
        return f"http{'s' if tls else ''}://127.0.0.1:{runner.addresses[0][1]}"

    def _named(self, connection: Any, name: str | None, context: Any) -> None:
        del context
        self._names[id(connection)] = name

    def _note(self, name: str, request: web.BaseRequest) -> None:
        if not request.path.endswith(ASKED):
            return
        tls = request.transport and request.transport.get_extra_info("ssl_object")
        found = sorted(
            f"{key.lower().removeprefix('impersonate-')}={value}"
            for key, value in request.headers.items()
            if key.lower().startswith("impersonate-")
        )
        self.heard.append(
            Heard(
                name,
                request.path,
                request.headers.get("Authorization"),
                tuple(found),
                self._names.get(id(tls)),
            )
        )

    async def stop(self) -> None:
        """Ends."""
        for each in self._runners:
            await each.cleanup()


def filled(text: str, places: Mapping[str, str]) -> str:
    """With the servers' URLs in place of `{a}`, `{b}` and `{p}`."""
    return re.sub(r"\{([abp])\}", lambda found: places[found[1]], text)


@contextmanager
def laid(row: Row, folder: Path, places: Mapping[str, str]) -> Iterator[dict[str, str]]:
    """The row's files on disk; gives the environment."""
    for name, text in row.files.items():
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        shebang = f"#!{sys.executable}\n" if name == "plugin" else ""
        path.write_text(shebang + filled(text, places), "utf-8")
        path.chmod(0o755)
    named = ":".join(str(folder / each) if each else "" for each in row.kubeconfig.split(":"))
    before = os.environ.get("KUBECONFIG")
    os.environ["KUBECONFIG"] = named
    try:
        yield {**os.environ, "HOME": str(folder)}
    finally:
        os.environ.pop("KUBECONFIG")
        if before is not None:
            os.environ["KUBECONFIG"] = before


async def by_bench(row: Row, folder: Path) -> None:
    """Asks for nodes as bench does."""
    explicit = None if row.explicit is None else str(folder / row.explicit)
    async with Api(row.context, kubeconfig=explicit, patience_s=0.0) as api:
        await api.get(ASKED)


async def by_kubectl(row: Row, folder: Path, environment: Mapping[str, str]) -> int | None:
    """Asks for nodes as kubectl does; its exit code."""
    assert KUBECTL is not None
    # A raw request is sent to the path that it names, whatever path the server's URL has.
    command = [KUBECTL, "get", "--raw", ASKED if row.heard is None else row.heard.path]
    command += [] if row.context is None else ["--context", row.context]
    command += [] if row.explicit is None else ["--kubeconfig", str(folder / row.explicit)]
    process = await asyncio.create_subprocess_exec(
        *command,
        env=environment,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    await process.communicate()
    return process.returncode


@pytest.mark.parametrize("name", ROWS)
def test_a_kubeconfig_is_read_as_kubectl_reads_it(name: str, tmp_path: Path) -> None:
    """The row's server hears the row's identity, from bench and from kubectl; or both refuse."""
    row = ROWS[name]

    async def run() -> tuple[list[Heard], ConfigError | None, list[Heard], int | None]:
        servers = Servers(tmp_path)
        await servers.start()
        try:
            with laid(row, tmp_path, servers.places) as environment:
                refused = None
                try:
                    await by_bench(row, tmp_path)
                except ConfigError as error:
                    refused = error
                ours, servers.heard = servers.heard, []
                code = None if KUBECTL is None else await by_kubectl(row, tmp_path, environment)
                return ours, refused, servers.heard, code
        finally:
            await servers.stop()

    ours, refused, theirs, code = asyncio.run(asyncio.wait_for(run(), 60))
    if row.refused is not None:
        assert refused is not None
        assert row.refused in str(refused)
        assert refused.advice
        assert ours == []
        assert code != 0
        return
    assert refused is None
    assert ours == [row.heard]
    if KUBECTL is not None:
        assert theirs == ours
        assert code == 0
