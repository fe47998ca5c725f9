"""An API server in this process, over real HTTP, with faults to order.

It lists in pages, watches with bookmarks, streams lists, applies by server-side apply, and forgets
its history when told to. Everything that a test may do to it from outside is a method of `FakeApi`.
"""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import orjson
from aiohttp import web
from aiohttp.test_utils import TestServer

from modelfleet.cluster.kubeconfig import Connection
from support.api_objects import Change, Object, Objects, Refusal
from support.api_places import Selector, Watch, Where, locate

APPLY = "application/apply-patch+yaml"
MERGE = "application/merge-patch+json"


@dataclass
class Fault:
    """What to answer instead, and how many more times. Code 0: hang up without an answer."""

    code: int
    times: int
    reason: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    after: bool = False
    """Do what was asked, and only then fail: the answer is lost."""


class FakeApi:
    """The server, and the hands of whatever else lives in the cluster."""

    def __init__(self, *, version: tuple[int, int] = (1, 33), bookmarks: float = 0.02) -> None:
        self.objects = Objects()
        self.version = version
        self.bookmarks = bookmarks
        """Seconds between bookmarks."""
        self.page = 500
        """Items that a page of a list has at most, whatever a client asks for."""
        self.token: str | None = None
        """What requests must carry; None: nothing."""
        self.requests: list[tuple[str, str]] = []
        """Verb and path of every request; a watch is a WATCH."""
        self.queries: list[str] = []
        """What each of them asked for."""
        self.watches: list[Watch] = []
        self._snapshots: dict[str, list[Object]] = {}
        """What lists saw, for their next pages."""
        self._faults: dict[str, list[Fault]] = defaultdict(list)
        self._server: TestServer | None = None
        self.objects.listeners.append(self._changed)

    # --- faults --------------------------------------------------------------

    def fail(self, verb: str, code: int, times: int = 1, **fault: Any) -> None:
        """Answer the next requests with this verb (LIST and WATCH apart from GET) so."""
        self._faults[verb].append(Fault(code, times, **fault))

    def mend(self) -> None:
        """Stop failing."""
        self._faults.clear()

    def break_watches(self) -> None:
        """Hang up on every open watch."""
        for watch in self.watches:
            watch.queue.put_nowait(None)

    def send(self, kind: str, obj: Object) -> None:
        """Send an event to every open watch, whatever the objects are."""
        for watch in self.watches:
            watch.send(kind, obj)

    async def hang_up(self) -> None:
        """Close every connection, also those of watches that hear nothing."""
        assert self._server is not None
        assert self._server.runner is not None
        assert self._server.runner.server is not None
        for connection in list(self._server.runner.server.connections):
            if connection.transport is not None:
                connection.transport.abort()

    def deafen(self) -> None:
        """Let open watches miss all that happens from now on, without hanging up."""
        self.watches.clear()

    # --- serving -------------------------------------------------------------

    @property
    def connection(self) -> Connection:
        assert self._server is not None, "not started"
        return Connection(str(self._server.make_url("")).rstrip("/"))

    @asynccontextmanager
    async def running(self) -> AsyncIterator["FakeApi"]:
        """Serve while inside."""
        app = web.Application(client_max_size=8 << 20)
        app.router.add_route("*", "/{path:.*}", self._handle)
        self._server = TestServer(app)
        await self._server.start_server(shutdown_timeout=0.1)
        try:
            yield self
        finally:
            self.break_watches()
            await self._server.close()

    def _changed(self, change: Change) -> None:
        for watch in self.watches:
            watch.take(change)

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        try:
            return await self._answer(request)
        except Refusal as refusal:
            return _json(refusal.status, refusal.code)

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        self._authenticate(request)
        if request.path == "/version":
            return _json({"major": str(self.version[0]), "minor": f"{self.version[1]}+"})
        where = locate(request.path)
        verb = _verb(request, where)
        self.requests.append((verb, request.path))
        self.queries.append(request.query_string)
        fault = self._next_fault(verb)
        if fault is not None and not fault.after:
            return self._fail(request, fault)
        answer = await self._serve(request, verb, where)
        return self._fail(request, fault) if fault is not None else answer

    def _authenticate(self, request: web.Request) -> None:
        if self.token and request.headers.get("Authorization") != f"Bearer {self.token}":
            raise Refusal(401, "Unauthorized", "Unauthorized")

    def _next_fault(self, verb: str) -> Fault | None:
        faults = self._faults[verb]
        if not faults:
            return None
        faults[0].times -= 1
        return faults[0] if faults[0].times > 0 else faults.pop(0)

    def _fail(self, request: web.Request, fault: Fault) -> web.StreamResponse:
        if fault.code == 0:
            assert request.transport is not None
            request.transport.abort()
        refusal = Refusal(fault.code, fault.reason or "InternalError", "ordered by the test")
        return _json(refusal.status, fault.code or 500, fault.headers)

    async def _serve(self, request: web.Request, verb: str, where: Where) -> web.StreamResponse:
        if verb == "WATCH":
            return await self._watch(request, where)
        if verb == "LIST":
            return self._list(request, where)
        if verb == "GET":
            return _json(self.objects.get(where.resource, *where.object))
        body = orjson.loads(await request.read() or b"{}")
        manager = request.query.get("fieldManager", "test")
        if verb == "POST":
            return _json(self.objects.create(where.resource, body, manager), 201)
        if verb == "PUT":
            return _json(self.objects.replace(where.resource, body, where.subresource, manager))
        if verb == "DELETE":
            preconditions = body.get("preconditions")
            return _json(self.objects.delete(where.resource, where.object, preconditions))
        return self._patch(request, where, body, manager)

    def _patch(
        self, request: web.Request, where: Where, body: Object, manager: str
    ) -> web.StreamResponse:
        if request.content_type == MERGE:
            return _json(
                self.objects.merge(where.resource, where.object, body, where.subresource, manager)
            )
        if request.content_type != APPLY:
            raise Refusal(415, "UnsupportedMediaType", request.content_type)
        if "fieldManager" not in request.query:
            raise Refusal(422, "Invalid", "fieldManager: Required value")
        force = request.query.get("force") == "true"
        found, created = self.objects.apply(where.resource, where.object, body, manager, force)
        return _json(found, 201 if created else 200)

    def _list(self, request: web.Request, where: Where) -> web.StreamResponse:
        token = request.query.get("continue", "")
        version, _, offset = token.partition(":")
        version = version or str(self.objects.version)
        if int(version) < self.objects.oldest:
            raise Refusal(410, "Expired", "The provided continue parameter is too old")
        if not token:
            self._snapshots[version] = self._matching(where, _selector(request))
        found = self._snapshots[version]
        first = int(offset or 0)
        end = first + min(self.page, int(request.query.get("limit") or len(found)))
        metadata = {"resourceVersion": version}
        if end < len(found):
            metadata["continue"] = f"{version}:{end}"
        items = [_without_kind(obj) for obj in found[first:end]]
        if "PartialObjectMetadataList" in request.headers.get("Accept", ""):
            items = [{"metadata": item["metadata"]} for item in items]
        return _json({"kind": f"{where.resource.kind}List", "metadata": metadata, "items": items})

    def _matching(self, where: Where, selector: Selector) -> list[Object]:
        objects = self.objects.of(where.resource)
        return [
            objects[name]
            for name in sorted(objects)
            if (not where.namespace or name[0] == where.namespace)
            and selector.matches(objects[name])
        ]

    async def _watch(self, request: web.Request, where: Where) -> web.StreamResponse:
        watch = Watch(where.resource, where.namespace, _selector(request))
        since = request.query.get("resourceVersion")
        streams = request.query.get("sendInitialEvents") == "true"
        if streams and self.version < (1, 34):
            raise Refusal(422, "Invalid", "sendInitialEvents is forbidden for watch")
        if since is not None and int(since) < self.objects.oldest:
            watch.send("ERROR", Refusal(410, "Expired", "too old resource version").status)
            watch.queue.put_nowait(None)
        elif streams:
            self._send_initial(watch, where)
        else:
            self._replay(watch, int(since or self.objects.version))
        self.watches.append(watch)
        return await self._stream(request, watch)

    def _replay(self, watch: Watch, since: int) -> None:
        for change in self.objects.history:
            if change.version > since:
                watch.take(change)

    def _send_initial(self, watch: Watch, where: Where) -> None:
        for obj in self._matching(where, watch.selector):
            watch.send("ADDED", obj)
        self._bookmark(watch, {"k8s.io/initial-events-end": "true"})

    def _bookmark(self, watch: Watch, annotations: Mapping[str, str] | None = None) -> None:
        metadata: Object = {"resourceVersion": str(self.objects.version)}
        if annotations:
            metadata["annotations"] = annotations
        obj = {"kind": watch.resource.kind, "apiVersion": watch.resource.api_version}
        watch.send("BOOKMARK", {**obj, "metadata": metadata})

    async def _stream(self, request: web.Request, watch: Watch) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        await response.prepare(request)
        with suppress(ConnectionResetError):
            while (line := await self._next_line(watch)) is not None:
                await response.write(line)
        if watch in self.watches:
            self.watches.remove(watch)
        return response

    async def _next_line(self, watch: Watch) -> bytes | None:
        while True:
            with suppress(TimeoutError):
                return await asyncio.wait_for(watch.queue.get(), self.bookmarks)
            if watch in self.watches:
                self._bookmark(watch)


def _verb(request: web.Request, where: Where) -> str:
    if request.method == "GET" and not where.name:
        return "WATCH" if request.query.get("watch") in ("1", "true") else "LIST"
    return request.method


def _selector(request: web.Request) -> Selector:
    return Selector(request.query.get("labelSelector", ""), request.query.get("fieldSelector", ""))


def _without_kind(obj: Object) -> Object:
    return {key: value for key, value in obj.items() if key not in ("kind", "apiVersion")}


def _json(body: Object, code: int = 200, headers: Mapping[str, str] | None = None) -> web.Response:
    return web.Response(
        body=orjson.dumps(body), status=code, headers=headers, content_type="application/json"
    )
