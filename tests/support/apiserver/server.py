"""An API server stand-in on loopback: real HTTP for the real client, held to recorded exchanges.

It keeps objects with versions and managed fields, serves watches with bookmarks and 410 Gone,
answers access reviews, refuses as Pod Security does, and forwards ports over websockets. What runs
in pods is the kubelet's matter (`kubelet.py`, `lab_kubelet.py`), what follows from objects the
controllers'. Faults are set in `faults`.
"""

import asyncio
import json
import ssl
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qs

import msgspec
from aiohttp import web
from support.apiserver import admission, fields, kinds
from support.apiserver.admission import Refused
from support.apiserver.controllers import Controllers
from support.apiserver.forward import forward
from support.apiserver.kubelet import Kubelet
from support.apiserver.store import Object, Place, Store, now
from support.apiserver.watching import matches, serve_watch

SPACES = ("default", "kube-system")
"""What every cluster has."""
HANGS_S = 60.0
VERBS = {"POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}


class Faults(msgspec.Struct):
    """What is wrong with the server, from now on."""

    away: bool = False
    """Connections are reset without an answer."""
    delay_s: float = 0.0
    expired_tokens: set[str] = set()
    calico_api_away: bool = False
    """Calico's own API server, which runs in pods, is out of reach of the aggregator."""
    calico_api_hangs: bool = False
    """It is reached, and never answers."""
    watch_s: float | None = None
    """Every watch is closed after this."""
    cuts: list[int] = []
    """Port-forwards are cut after so many octets came down, one after the other."""
    forwarded_bytes: int = 0
    """What came down through all of them."""
    pages_gone: int = 0
    """So many times the version that a list's next page belongs to is compacted."""


class ApiServer:
    """An async context manager. `url` is where it listens."""

    def __init__(
        self,
        kubelet: Kubelet | None = None,
        *,
        tokens: dict[str, str] | None = None,
        groups: set[str] | None = None,
        bookmark_s: float = 0.2,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._tls = tls
        self.store = Store()
        for name in SPACES:
            space: Object = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
            space |= {"spec": {"finalizers": ["kubernetes"]}, "status": {"phase": "Active"}}
            self.store.put(Place("v1", "namespaces", "", name), space)
        self.faults = Faults()
        self.kubelet = kubelet or Kubelet()
        self.tokens = tokens if tokens is not None else {"admin": "admin"}
        self.groups = (
            groups if groups is not None else {"projectcalico.org", "crd.projectcalico.org"}
        )
        self.bookmark_s = bookmark_s
        self.denied: set[tuple[str, str, str]] = set()
        """User, verb and plural that the authorizer refuses."""
        self.controllers = Controllers(self.store, self.kubelet)
        self.requests: list[str] = []
        self._runner: web.AppRunner | None = None
        self.url = ""

    async def __aenter__(self) -> Self:
        """Listens, and starts the controllers."""
        app = web.Application(client_max_size=2**24)
        app.router.add_route("*", "/{path:.*}", self._handle)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0, ssl_context=self._tls)
        await site.start()
        address: Any = self._runner.addresses[0]
        self.url = f"http{'s' if self._tls else ''}://127.0.0.1:{address[1]}"
        self.controllers.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Ends everything."""
        await self.controllers.stop()
        assert self._runner is not None
        await self._runner.cleanup()

    def kubeconfig(self, token: str = "admin", name: str = "stand-in") -> Object:
        """What a user of it would have in ~/.kube/config."""
        return {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": name,
            "clusters": [{"name": name, "cluster": {"server": self.url}}],
            "users": [{"name": name, "user": {"token": token}}],
            "contexts": [{"name": name, "context": {"cluster": name, "user": name}}],
        }

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        if self.faults.delay_s:
            await asyncio.sleep(self.faults.delay_s)
        if self.faults.away:
            return self._reset(request)
        self.requests.append(f"{request.method} {request.path}")
        try:
            return await self._answer(request)
        except Refused as refused:
            return web.json_response(refused.status, status=refused.status["code"])

    def _reset(self, request: web.Request) -> web.StreamResponse:
        if request.transport is not None:
            request.transport.abort()
        return web.Response(status=500)

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        user = self._user(request)
        path = request.path.removesuffix("/")
        if self.faults.calico_api_hangs and path.startswith("/apis/projectcalico.org/"):
            await asyncio.sleep(HANGS_S)
        if self.faults.calico_api_away and path.startswith("/apis/projectcalico.org/"):
            raise Refused(admission.status(503, "ServiceUnavailable", "service unavailable"))
        if path in ("/apis", "/version"):
            return web.json_response(self._about(path))
        if path.endswith("selfsubjectaccessreviews"):
            return await self._review(request, user)
        asked = kinds.read(path, self.groups)
        query = {key: value[0] for key, value in parse_qs(request.query_string).items()}
        verb = VERBS.get(request.method) or self._reading(asked, query)
        if not self.allowed(user, verb, asked.place.plural):
            raise admission.forbidden(
                user, verb, asked.place.plural, asked.group, asked.place.namespace
            )
        if asked.subresource == "portforward":
            return await forward(request, self, self.store.get(asked.place))
        if verb == "watch":
            return await serve_watch(request, self, asked.place, query)
        if verb in ("get", "list"):
            return web.json_response(self._read(asked, query))
        return await self._write(request, asked, query, verb)

    def _about(self, path: str) -> Object:
        if path == "/version":
            return {"major": "1", "minor": "36", "gitVersion": "v1.36.2"}
        groups = {group.partition("/")[0] for group, _ in kinds.KINDS if "/" in group}
        served = [each for each in sorted(groups) if kinds.served(each, self.groups)]
        return {"kind": "APIGroupList", "groups": [{"name": name} for name in served]}

    def _user(self, request: web.Request) -> str:
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        token = token if scheme.lower() == "bearer" else _common_name(request)
        if token not in self.tokens or token in self.faults.expired_tokens:
            raise Refused(admission.status(401, "Unauthorized", "Unauthorized"))
        return self.tokens[token]

    def _reading(self, asked: kinds.Asked, query: dict[str, str]) -> str:
        if query.get("watch") in ("true", "1"):
            return "watch"
        return "get" if asked.place.name else "list"

    def allowed(self, user: str, verb: str, plural: str) -> bool:
        """What the authorizer says."""
        return (user, verb, plural) not in self.denied

    async def _review(self, request: web.Request, user: str) -> web.Response:
        body = await request.json()
        asked = body["spec"]["resourceAttributes"]
        allowed = self.allowed(user, asked["verb"], asked["resource"])
        body = fields.updated(None, {**body, "metadata": {}}, _agent(request), time=now())
        body["status"] = {"allowed": allowed}
        return web.json_response(body, status=201)

    def _read(self, asked: kinds.Asked, query: dict[str, str]) -> Object:
        place = asked.place
        if place.name:
            found = self.store.get(place)
            if found is None:
                raise admission.not_found(place.plural, place.name, asked.group)
            return found
        bodies = [
            {key: value for key, value in body.items() if key not in ("kind", "apiVersion")}
            for _, body in self.store.all(place.group, place.plural, place.namespace)
            if matches(body, query)
        ]
        start, limit = int(query.get("continue") or 0), int(query.get("limit") or 0)
        if start and self.faults.pages_gone:
            self.faults.pages_gone -= 1
            raise admission.page_gone()
        meta: Object = {"resourceVersion": str(self.store.version)}
        if limit and len(bodies) > start + limit:
            meta |= {
                "continue": str(start + limit),
                "remainingItemCount": len(bodies) - start - limit,
            }
        page = bodies[start : start + limit] if limit else bodies
        whole = {"kind": f"{kinds.kind(place)}List", "apiVersion": place.group}
        return {**whole, "metadata": meta, "items": page}

    async def _write(
        self, request: web.Request, asked: kinds.Asked, query: dict[str, str], verb: str
    ) -> web.Response:
        text = await request.text()
        body = json.loads(text) if text else {}
        if verb == "delete":
            return web.json_response(self._delete(asked, body))
        manager = query.get("fieldManager") or _agent(request)
        place = asked.place
        if not place.name:
            place = msgspec.structs.replace(place, name=body["metadata"]["name"])
        live = self.store.get(place)
        if verb == "create":
            new = self._created(asked, place, live, body, manager)
        elif verb == "update":
            new = self._replaced(asked, live, body, manager)
        else:
            new = self._applied(place, live, body, query, manager)
        new["metadata"] |= {"namespace": place.namespace} if place.namespace else {}
        admission.validate(new)
        if place.plural == "pods" and live is None:
            admission.pod_security(self.controllers.level(place), place.name, new["spec"])
        if query.get("dryRun") != "All":
            new = self.store.put(place, self.controllers.defaulted(live, new))
        return web.json_response(new, status=201 if live is None else 200)

    def _created(
        self, asked: kinds.Asked, place: Place, live: Object | None, body: Object, manager: str
    ) -> Object:
        if live is not None:
            raise admission.exists(place.plural, place.name, asked.group)
        self._needs_namespace(place)
        return fields.updated(None, self.controllers.completed(body), manager, time=now())

    def _replaced(
        self, asked: kinds.Asked, live: Object | None, body: Object, manager: str
    ) -> Object:
        place = asked.place
        if live is None:
            uid = body["metadata"].get("uid")
            if uid is not None:
                raise admission.no_such_uid(place.plural, place.name, asked.group, uid)
            raise admission.not_found(place.plural, place.name, asked.group)
        version = body["metadata"].get("resourceVersion")
        if version and version != live["metadata"]["resourceVersion"]:
            raise admission.stale(place.plural, place.name, asked.group)
        kept = {k: live["metadata"][k] for k in ("uid", "creationTimestamp", "resourceVersion")}
        body["metadata"] |= kept
        return fields.updated(live, body, manager, time=now())

    def _applied(
        self, place: Place, live: Object | None, body: Object, query: dict[str, str], manager: str
    ) -> Object:
        if live is None:
            self._needs_namespace(place)
            body = self.controllers.completed(body)
        try:
            return fields.apply(live, body, manager, force=query.get("force") == "true", time=now())
        except fields.Conflict as conflict:
            raise admission.conflicts(conflict.found) from None

    def _needs_namespace(self, place: Place) -> None:
        if not place.namespace:
            return
        space = self.store.get(Place("v1", "namespaces", "", place.namespace))
        if space is None:
            raise admission.not_found("namespaces", place.namespace, "")
        if "deletionTimestamp" in space["metadata"]:
            text = (
                f"unable to create new content in namespace {place.namespace} because it is being "
                "terminated"
            )
            raise Refused(admission.status(403, "Forbidden", text))

    def _delete(self, asked: kinds.Asked, options: Object) -> Object:
        place = asked.place
        live = self.store.get(place)
        if live is None:
            raise admission.not_found(place.plural, place.name, asked.group)
        uid = (options.get("preconditions") or {}).get("uid")
        if uid is not None and uid != live["metadata"]["uid"]:
            raise admission.stale(place.plural, place.name, asked.group)
        return self.controllers.deleted(place, live, options)


def _common_name(request: web.Request) -> str:
    """Who a client's certificate names; empty without one."""
    shown = request.transport and request.transport.get_extra_info("peercert")
    names = [value for part in (shown or {}).get("subject", ()) for _, value in part]
    return names[0] if names else ""


def _agent(request: web.Request) -> str:
    return request.headers.get("User-Agent", "unknown").split("/")[0]
