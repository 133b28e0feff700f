"""The API server over HTTP; beside `identity` the only importer of the `kubernetes` package.

Of the official client its authentication and transport are used (kubeconfig contexts, exec plugins,
service accounts, TLS); objects stay plain JSON, so that what we apply is what we read in the chart.
Credentials that ran out are read anew, and what was refused for it is sent once more.
Reads and repeatable writes are tried again while the server is away, up to `patience_s`.
"""

import asyncio
import contextlib
import json
import logging
from collections.abc import AsyncIterator, Mapping
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlencode

import aiohttp
import msgspec
from kubernetes.aio.client import ApiClient

from podbench.model.errors import ClusterError, ConfigError
from podbench.target.kubernetes.api.identity import Identity
from podbench.target.kubernetes.api.refs import Object

logger = logging.getLogger(__name__)


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
UNAUTHORIZED = 401


class ApiError(ClusterError):
    """The server's answer to a request that it refused; `status` 0: it could not be reached."""

    def __init__(self, message: str, *, status: int, reason: str | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.reason = reason


class GroupDownError(ApiError):
    """An aggregated API is registered, and the server behind it does not answer; others do."""

    def __init__(self, group_version: str, why: str) -> None:
        group, _, version = group_version.partition("/")
        service = f"APIService {version}.{group}"
        super().__init__(
            f"{group}/{version} is registered ({service}), and nobody answers for it: {why}",
            status=503,
        )
        self.advice = f"`kubectl describe apiservice {version}.{group}` says why"


class Context(msgspec.Struct, frozen=True):
    """Which cluster: shown before anything is changed."""

    name: str
    server: str


class Api:
    """One API server; an async context manager. `context` null: the kubeconfig's current one."""

    def __init__(
        self,
        context: str | None = None,
        *,
        kubeconfig: str | None = None,
        patience_s: float = PATIENCE_S,
        group_patience_s: float | None = None,
    ) -> None:
        """Reads nothing yet.

        Args:
            context: The kubeconfig's context.
            kubeconfig: A file to read instead of KUBECONFIG's.
            patience_s: How long a server that is away is waited for.
            group_patience_s: The same for an aggregated API, whose server runs in pods: once it was
                waited for in vain it is taken to be down. Null: no difference is made.
        """
        self._patience_s = patience_s
        self._group_patience_s = group_patience_s
        self._down: dict[str, GroupDownError] = {}
        self._identity = Identity(context, kubeconfig)
        self._clients: list[ApiClient] = []
        """The last is in use; earlier ones, whose certificates ran out, end what they began."""
        self.context = Context(context or "", "")

    async def __aenter__(self) -> Self:
        """Reads the credentials; nothing is asked yet.

        Raises:
            ConfigError: There is no usable kubeconfig, or it has no such context.
        """
        try:
            name = await self._identity.read()
            self._clients.append(self._identity.connected())
        except BaseException:
            self._identity.close()
            raise
        self.context = Context(name, self._identity.configuration.host)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Closes the connections."""
        for each in self._clients:
            await each.close()
        self._identity.close()

    async def _renew(self, before: int) -> None:
        """After a refusal: the plugin, the file or the kubeconfig may have newer credentials.

        Raises:
            ApiError: `status` 401: there are none for this context and this server.
        """
        try:
            await self._identity.renew(before)
        except ConfigError as error:
            refused = ApiError(
                f"{self.context.server} takes the credentials of context {self.context.name} no"
                f" more (Unauthorized), and they cannot be read anew: {error}",
                status=UNAUTHORIZED,
            )
            refused.advice = error.advice
            raise refused from error
        if self._identity.configuration.cert_file:
            # A certificate belongs to the connection, and is not looked at again.
            try:
                self._clients.append(self._identity.connected())
            except ConfigError as error:
                raise ApiError(str(error), status=UNAUTHORIZED) from error

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
        while True:
            try:
                return [each async for page in self.pages(path, query) for each in page]
            except ApiError as error:
                # What the next page belonged to is compacted: only a new list is whole.
                if error.status != GONE:
                    raise

    async def pages(
        self, path: str, query: Mapping[str, str] | None = None
    ) -> AsyncIterator[list[Object]]:
        """The same, a page at a time, for lists that are better not held whole.

        Raises:
            ApiError: The server refuses, or stays away; `status` 410: it took too long, begin anew.
        """
        page: dict[str, str] = {"limit": "500", **(query or {})}
        while True:
            try:
                answer = await self.get(path, page)
            except ApiError as error:
                if error.status == 404:
                    return
                raise
            yield answer.get("items") or []
            more = answer.get("metadata", {}).get("continue")
            if not more:
                return
            page["continue"] = more

    async def apply(
        self, path: str, body: Object, query: Mapping[str, str], *, patient: bool = True
    ) -> Object:
        """Server-side apply; may be repeated, so a lost answer does no harm.

        Raises:
            ApiError: Refused; `status` 409: another manager owns a field.
        """
        send = self._patiently if patient else self._once
        return await send("PATCH", path, query, body, APPLY)

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
        before = self._identity.readings
        try:
            socket = await self._connect(path, query, protocol)
        except ApiError as error:
            if error.status != UNAUTHORIZED:
                raise
            await self._renew(before)
            socket = await self._connect(path, query, protocol)
        try:
            yield socket
        except (aiohttp.ClientError, OSError) as error:
            raise ApiError(f"{path}: {_why(error)}", status=0) from error
        finally:
            await socket.close()

    async def _connect(
        self, path: str, query: Mapping[str, str], protocol: str
    ) -> aiohttp.ClientWebSocketResponse:
        url = f"{self.context.server}{path}?{urlencode(query)}"
        # A stream has no media type: asked for JSON, a server answers 406.
        headers = await self._identity.headers()
        headers["Accept"] = "*/*"
        try:
            socket: aiohttp.ClientWebSocketResponse = await self._session().ws_connect(
                url,
                protocols=[protocol],
                headers=headers,
                max_msg_size=0,
                **self._way(),
            )
        except aiohttp.WSServerHandshakeError as error:
            raise ApiError(f"{path}: {error.message}", status=error.status) from error
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise ApiError(f"{path}: {_why(error)}", status=0) from error
        return socket

    async def _patiently(
        self,
        method: str,
        path: str,
        query: Mapping[str, str] | None,
        body: Object | None,
        content: str = "application/json",
    ) -> Object:
        group = self._apart(path)
        patience_s = self._patience_s
        if group is not None and self._group_patience_s is not None:
            patience_s = self._group_patience_s
        deadline = asyncio.get_running_loop().time() + patience_s
        pause_s = PAUSE_MIN_S
        while True:
            try:
                return await self._once(method, path, query, body, content)
            except GroupDownError:
                raise
            except ApiError as error:
                passing = error.status == 0 or error.status in AGAIN
                if not passing or asyncio.get_running_loop().time() + pause_s > deadline:
                    if passing and group is not None:
                        await self._require_up(group, error)
                    raise
            await asyncio.sleep(pause_s)
            pause_s = min(2 * pause_s, PAUSE_MAX_S)

    def _apart(self, path: str) -> str | None:
        """The aggregated API that a path belongs to, where these are told apart."""
        parts = path.split("/")
        if self._group_patience_s is None or len(parts) < 4 or parts[1] != "apis":
            return None
        group = parts[2]
        # Kubernetes' own groups have no dot, or are k8s.io's.
        own = "." not in group or group.endswith(".k8s.io")
        return None if own else f"{group}/{parts[3]}"

    async def _require_up(self, group: str, error: ApiError) -> None:
        """Takes an aggregated API for down, if the API server itself answers.

        Raises:
            GroupDownError: So it is.
        """
        try:
            await self._once("GET", "/version", None, None)
        except ApiError:
            return
        self._down[group] = GroupDownError(group, str(error).partition(": ")[2] or str(error))
        raise self._down[group] from error

    async def _once(
        self,
        method: str,
        path: str,
        query: Mapping[str, str] | None,
        body: Object | None,
        content: str = "application/json",
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
        if (down := self._down.get(self._apart(path) or "")) is not None:
            raise down
        before = self._identity.readings
        try:
            return await self._request(method, path, query, body, content, stream=stream)
        except ApiError as error:
            if error.status != UNAUTHORIZED:
                raise
        # It ran out in mid-run; whoever is not known has changed nothing, so it is sent again.
        await self._renew(before)
        return await self._request(method, path, query, body, content, stream=stream)

    async def _request(
        self,
        method: str,
        path: str,
        query: Mapping[str, str] | None,
        body: Object | None,
        content: str,
        *,
        stream: bool,
    ) -> aiohttp.ClientResponse:
        url = f"{self.context.server}{path}" + (f"?{urlencode(query)}" if query else "")
        total_s = None if stream else REQUEST_S
        if self._apart(path) is not None and self._group_patience_s is not None and not stream:
            total_s = self._group_patience_s
        limit = aiohttp.ClientTimeout(total=total_s, connect=10.0, sock_read=STREAM_IDLE_S)
        headers = await self._identity.headers()
        headers["Content-Type"] = content
        try:
            answer = await self._session().request(
                method,
                url,
                data=None if body is None else json.dumps(body),
                headers=headers,
                timeout=limit,
                **self._way(),
            )
            for told in answer.headers.getall("Warning", []):
                # Deprecated versions, fields that are unknown or set twice, Pod Security's advice.
                what = {"why": _warning(told), "request": f"{method} {path}"}
                logger.warning("the API server warns", extra=what)
            if answer.status >= 400:
                raise _refusal(answer.status, await answer.read(), f"{method} {path}")
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise ApiError(
                f"the API server at {self.context.server} cannot be reached: {_why(error)}",
                status=0,
            ) from error
        return answer

    def _way(self) -> dict[str, Any]:
        """What belongs to each request: the name that the certificate has, and the proxy."""
        asked = self._identity.configuration
        way = {"server_hostname": asked.tls_server_name, "proxy": asked.proxy}
        return {name: value for name, value in way.items() if value}

    def _session(self) -> aiohttp.ClientSession:
        assert self._clients, "used outside its context"
        rest = self._clients[-1].rest_client
        if rest.pool_manager is None:
            rest.pool_manager = rest._create_pool_manager()  # noqa: SLF001 - the client's own factory: its TLS, proxy and buffer settings
        session = rest.pool_manager
        assert isinstance(session, aiohttp.ClientSession)
        return session


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


def _warning(header: str) -> str:
    """The text of a Warning header, `299 - "text"` (RFC 7234)."""
    text = header.partition('"')[2].rpartition('"')[0]
    return text.replace('\\"', '"') or header


def _why(error: Exception) -> str:
    return str(error) or type(error).__name__
