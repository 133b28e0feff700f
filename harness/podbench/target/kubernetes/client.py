"""The API server over HTTP; the only module that imports the `kubernetes` package.

Of the official client its authentication and transport are used (kubeconfig contexts, exec plugins,
service accounts, TLS); objects stay plain JSON, so that what we apply is what we read in the chart.
Reads and repeatable writes are tried again while the server is away, up to `patience_s`.
"""

import asyncio
import contextlib
import json
import os
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlencode

import aiohttp
import msgspec
from kubernetes.aio import config
from kubernetes.aio.client import ApiClient, Configuration
from kubernetes.aio.config.config_exception import ConfigException

from podbench.model.errors import ClusterError, ConfigError

Object = dict[str, Any]

PATIENCE_S = 60.0
"""A control plane that is upgraded or elects a leader is away for half a minute."""
REQUEST_S = 30.0
STREAM_IDLE_S = 90.0
"""Bookmarks come about once a minute: a stream silent for longer is taken for dead."""
PAUSE_MIN_S, PAUSE_MAX_S = 0.2, 5.0
AGAIN = frozenset({429, 500, 502, 503, 504})
"""Statuses that pass: throttled, or a server that is not all there (etcd's leader, a proxy)."""
GONE = 410
"""The version that a watch or a list's next page starts from is compacted."""
APPLY = "application/apply-patch+yaml"
IN_CLUSTER = "in-cluster"


class ApiError(ClusterError):
    """The server's answer to a request that it refused; `status` 0: it could not be reached."""

    def __init__(self, message: str, *, status: int, reason: str | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.reason = reason


class Context(msgspec.Struct, frozen=True):
    """Which cluster: shown before anything is changed."""

    name: str
    server: str


class Api:
    """One API server; an async context manager. `context` null: the kubeconfig's current one."""

    def __init__(self, context: str | None = None, *, patience_s: float = PATIENCE_S) -> None:
        self._asked = context
        self._patience_s = patience_s
        self._configuration = Configuration()
        self._client: ApiClient | None = None
        self.context = Context(context or "", "")

    async def __aenter__(self) -> Self:
        """Reads the credentials; nothing is asked yet.

        Raises:
            ConfigError: There is no usable kubeconfig, or it has no such context.
        """
        name = await self._authenticate()
        # Ours are the retries: the client's know nothing of what may be repeated.
        self._configuration.retries = 0
        self._client = ApiClient(configuration=self._configuration)
        self.context = Context(name, self._configuration.host)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Closes the connections."""
        if self._client is not None:
            await self._client.close()

    async def _authenticate(self) -> str:
        if self._asked in (None, IN_CLUSTER) and _inside_a_pod():
            config.load_incluster_config(client_configuration=self._configuration)
            return IN_CLUSTER
        files = _kubeconfigs()
        try:
            loader = await config.load_kube_config(
                config_file=files,
                context=self._asked,
                client_configuration=self._configuration,
                persist_config=False,
            )
        except (ConfigException, OSError, TypeError, ValueError) as error:
            raise ConfigError(
                f"--context: no usable kubeconfig: {error}",
                advice="`kubectl config get-contexts` lists the names; KUBECONFIG says where",
            ) from error
        return str(loader.current_context["name"])

    async def get(self, path: str, query: Mapping[str, str] | None = None) -> Object:
        """Reads an object or a list.

        Raises:
            ApiError: The server refuses (`status` 404: it is not there) or stays away.
        """
        return await self._patiently("GET", path, query, None)

    async def find(self, path: str) -> Object | None:
        """Reads an object; null where there is none, or no such kind of object.

        Raises:
            ApiError: The server refuses otherwise, or stays away.
        """
        try:
            return await self.get(path)
        except ApiError as error:
            if error.status == 404:
                return None
            raise

    async def items(self, path: str, query: Mapping[str, str] | None = None) -> list[Object]:
        """All objects of a list, page by page; empty where the server has no such kind.

        Raises:
            ApiError: The server refuses, or stays away.
        """
        found: list[Object] = []
        page: dict[str, str] = {"limit": "500", **(query or {})}
        while True:
            try:
                answer = await self.get(path, page)
            except ApiError as error:
                if error.status == 404:
                    return []
                if error.status == GONE and page.pop("continue", None) is not None:
                    # What the next page belonged to is compacted: only a new list is whole.
                    found = []
                    continue
                raise
            found += answer.get("items") or []
            more = answer.get("metadata", {}).get("continue")
            if not more:
                return found
            page["continue"] = more

    async def apply(self, path: str, body: Object, query: Mapping[str, str]) -> Object:
        """Server-side apply; may be repeated, so a lost answer does no harm.

        Raises:
            ApiError: Refused; `status` 409: another manager owns a field.
        """
        return await self._patiently("PATCH", path, query, body, APPLY)

    async def create(self, path: str, body: Object, *, dry_run: bool = False) -> Object:
        """Creates once: never sent twice, since a second 409 would say nothing.

        With `dry_run` only admission and validation happen.

        Raises:
            ApiError: Refused; `status` 409: it exists already; 0: whether it was made is unknown.
        """
        return await self._once("POST", path, {"dryRun": "All"} if dry_run else None, body)

    async def replace(self, path: str, body: Object) -> Object:
        """Replaces an object as it was read: refused when somebody changed it meanwhile.

        Raises:
            ApiError: Refused; `status` 409: its resourceVersion is no longer the newest.
        """
        return await self._once("PUT", path, None, body)

    async def delete(self, path: str, uid: str | None = None) -> None:
        """Deletes; gone already is as good. With `uid` only that very object.

        Raises:
            ApiError: Refused; `status` 409: an object of that name, but not this one.
        """
        body: Object = {"propagationPolicy": "Background"}
        if uid is not None:
            body["preconditions"] = {"uid": uid}
        try:
            await self._patiently("DELETE", path, None, body)
        except ApiError as error:
            if error.status != 404:
                raise

    async def stream(self, path: str, query: Mapping[str, str]) -> AsyncIterator[Object]:
        """The events of a watch, until the server ends it.

        Raises:
            ApiError: Refused, out of reach, reset, or silent for too long.
        """
        answer = await self._send("GET", path, query, None, stream=True)
        try:
            async for line in answer.content:
                if line.strip():
                    yield json.loads(line)
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            raise ApiError(f"watch of {path}: {_why(error)}", status=0) from error
        finally:
            answer.close()

    @contextlib.asynccontextmanager
    async def websocket(
        self, path: str, query: Mapping[str, str], protocol: str
    ) -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
        """A websocket to a subresource (`portforward`).

        Raises:
            ApiError: Refused, or out of reach.
        """
        session = self._session()
        url = f"{self._configuration.host}{path}?{urlencode(query)}"
        # A stream has no media type: asked for JSON, a server answers 406.
        headers = {**await self._headers(), "Accept": "*/*"}
        try:
            async with session.ws_connect(
                url, protocols=[protocol], headers=headers, max_msg_size=0
            ) as socket:
                yield socket
        except aiohttp.WSServerHandshakeError as error:
            raise ApiError(f"{path}: {error.message}", status=error.status) from error
        except (aiohttp.ClientError, OSError) as error:
            raise ApiError(f"{path}: {_why(error)}", status=0) from error

    async def _patiently(
        self,
        method: str,
        path: str,
        query: Mapping[str, str] | None,
        body: Object | None,
        content: str = "application/json",
    ) -> Object:
        deadline = asyncio.get_running_loop().time() + self._patience_s
        pause_s = PAUSE_MIN_S
        while True:
            try:
                return await self._once(method, path, query, body, content)
            except ApiError as error:
                passing = error.status == 0 or error.status in AGAIN
                if not passing or asyncio.get_running_loop().time() + pause_s > deadline:
                    raise
            await asyncio.sleep(pause_s)
            pause_s = min(2 * pause_s, PAUSE_MAX_S)

    async def _once(
        self,
        method: str,
        path: str,
        query: Mapping[str, str] | None,
        body: Object | None,
        content: str = "application/json",
    ) -> Object:
        try:
            return await self._exchange(method, path, query, body, content)
        except ApiError as error:
            if error.status != 401:
                raise
        # A token that ran out in mid-run: the exec plugin or the file has a newer one.
        with contextlib.suppress(ConfigError):
            await self._authenticate()
        return await self._exchange(method, path, query, body, content)

    async def _exchange(
        self,
        method: str,
        path: str,
        query: Mapping[str, str] | None,
        body: Object | None,
        content: str,
    ) -> Object:
        answer = await self._send(method, path, query, body, content)
        try:
            return _decoded(await answer.read(), path)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise ApiError(f"{method} {path}: {_why(error)}", status=0) from error

    async def _send(
        self,
        method: str,
        path: str,
        query: Mapping[str, str] | None,
        body: Object | None,
        content: str = "application/json",
        *,
        stream: bool = False,
    ) -> aiohttp.ClientResponse:
        url = f"{self._configuration.host}{path}" + (f"?{urlencode(query)}" if query else "")
        total_s = None if stream else REQUEST_S
        limit = aiohttp.ClientTimeout(total=total_s, connect=10.0, sock_read=STREAM_IDLE_S)
        try:
            answer = await self._session().request(
                method,
                url,
                data=None if body is None else json.dumps(body),
                headers={**await self._headers(), "Content-Type": content},
                timeout=limit,
            )
            if answer.status >= 400:
                raise _refusal(answer.status, await answer.read(), f"{method} {path}")
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise ApiError(
                f"the API server at {self.context.server} cannot be reached: {_why(error)}",
                status=0,
            ) from error
        return answer

    def _session(self) -> aiohttp.ClientSession:
        assert self._client is not None, "used outside its context"
        rest = self._client.rest_client
        if rest.pool_manager is None:
            rest.pool_manager = rest._create_pool_manager()  # noqa: SLF001 - the client's own factory: its TLS, proxy and buffer settings
        session = rest.pool_manager
        assert isinstance(session, aiohttp.ClientSession)
        return session

    async def _headers(self) -> dict[str, str]:
        settings = await self._configuration.auth_settings()
        token = settings.get("BearerToken")
        known = {"Accept": "application/json", "User-Agent": "podbench"}
        secret = None if token is None else token["value"]
        return known if secret is None else {**known, "Authorization": secret}


def _inside_a_pod() -> bool:
    kubeconfig = os.environ.get("KUBECONFIG")
    return not kubeconfig and "KUBERNETES_SERVICE_HOST" in os.environ


def _kubeconfigs() -> str:
    """The files kubectl would use, as KUBECONFIG lists them.

    Raises:
        ConfigError: None of them exists.
    """
    files = os.environ.get("KUBECONFIG") or str(Path.home() / ".kube" / "config")
    if any(Path(each).expanduser().is_file() for each in files.split(":") if each):
        return files
    raise ConfigError(
        f"there is no kubeconfig at {files}",
        advice="set KUBECONFIG to the file that kubectl uses",
    )


def _decoded(data: bytes, path: str) -> Object:
    try:
        found = json.loads(data)
    except ValueError as error:
        raise ApiError(f"{path}: the answer is no JSON: {error}", status=0) from error
    if not isinstance(found, dict):
        raise ApiError(f"{path}: the answer is no object", status=0)
    return found


def _refusal(status: int, data: bytes, what: str) -> ApiError:
    """What the server said: a Status object, or whatever a proxy before it made up."""
    message, reason = data[:300].decode("utf-8", "replace"), None
    with contextlib.suppress(ValueError, AttributeError):
        told = json.loads(data)
        message, reason = told.get("message", message), told.get("reason")
    return ApiError(f"{what}: {message or status}", status=status, reason=reason)


def _why(error: Exception) -> str:
    return str(error) or type(error).__name__
