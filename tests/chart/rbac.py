"""What roles allow, what was asked of the API server, and how the two differ."""

import asyncio
import re
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import product
from typing import Any

from aiohttp import web

from modelfleet.cluster.kubeconfig import Connection
from support.proxy import Proxy

EVERYWHERE = "*"
PATH = re.compile(
    r"/(?:api/v1|apis/(?P<group>[^/]+)/[^/]+)"
    r"(?:/namespaces/(?P<namespace>[^/]+)(?=/))?"
    r"/(?P<plural>[^/]+)(?:/(?P<name>[^/]+)(?:/(?P<subresource>[^/]+))?)?"
)
"""Of an object or a collection. Discovery has none, and is open to every account."""


@dataclass(frozen=True, slots=True, order=True)
class Permission:
    """A verb on a resource, as a role grants it and as a request needs it."""

    group: str
    resource: str
    """With its subresource, as in `models/status`."""
    verb: str
    namespace: str
    """`*` for all, and for what belongs to none; a request to all needs it all."""
    name: str = ""
    """Empty in a role: any."""

    def __str__(self) -> str:
        return f"{self.verb} {self.group}/{self.resource} {self.name} in {self.namespace}"

    def covers(self, need: "Permission") -> bool:
        """Whether a grant allows a request."""
        same = (self.group, self.resource, self.verb) == (need.group, need.resource, need.verb)
        near = self.namespace in (EVERYWHERE, need.namespace)
        return same and near and self.name in ("", need.name)


def granted(objects: Iterable[dict[str, Any]]) -> set[Permission]:
    """Return what the bindings among rendered objects give, as single permissions."""
    found = list(objects)
    roles = {_key(one): one for one in found if one["kind"] in ("Role", "ClusterRole")}
    made: set[Permission] = set()
    for binding in found:
        if binding["kind"] not in ("RoleBinding", "ClusterRoleBinding"):
            continue
        where = binding["metadata"].get("namespace", "")
        role = binding["roleRef"]
        rules = roles[role["kind"], where if role["kind"] == "Role" else "", role["name"]]["rules"]
        for rule in rules:
            made |= set(_single(rule, where or EVERYWHERE))
    return made


def _key(one: dict[str, Any]) -> tuple[str, str, str]:
    return one["kind"], one["metadata"].get("namespace", ""), one["metadata"]["name"]


def _single(rule: dict[str, Any], namespace: str) -> Iterator[Permission]:
    names = rule.get("resourceNames", [""])
    for group, resource, verb, name in product(
        rule["apiGroups"], rule["resources"], rule["verbs"], names
    ):
        yield Permission(group, resource, verb, namespace, name)


def needed(method: str, path: str, watches: bool, status: int | None) -> list[Permission]:
    """Return what a request needs. An apply that creates needs to be allowed that, too."""
    found = PATH.fullmatch(path)
    if not found:
        return []
    name = found["name"] or ""
    verbs = {"POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}
    reading = "watch" if watches else "get" if name else "list"
    verb = verbs.get(method, reading)
    resource = "/".join(filter(None, (found["plural"], found["subresource"])))
    made = Permission(found["group"] or "", resource, verb, found["namespace"] or EVERYWHERE, name)
    if (method, status) == ("PATCH", 201):
        # Who creates is not asked for the name.
        return [made, Permission(made.group, resource, "create", made.namespace)]
    return [made]


class Recorder(Proxy):
    """Passes everything on with the credentials of its connection, and keeps what that needed."""

    def __init__(self, connection: Connection) -> None:
        super().__init__(connection)
        self.needs: set[Permission] = set()
        self.denied: set[Permission] = set()
        self.version: dict[str, str] | None = None
        """What the server says of its version, where that is to be another one."""

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        if request.path == "/version" and self.version:
            return web.json_response(self.version)
        watches = request.query.get("watch") in ("1", "true")
        # Before the answer: that of a watch is not over while the operator runs.
        self.needs |= set(needed(request.method, request.path, watches, None))
        answer = await super()._handle(request)
        needs = set(needed(request.method, request.path, watches, answer.status))
        self.needs |= needs
        self.denied |= needs if answer.status == 403 else set()
        return answer


@contextmanager
def recording(connection: Connection) -> Iterator[Recorder]:
    """Record in a thread of its own, so that no wait of the test holds up the operator."""
    recorder, ready = Recorder(connection), threading.Event()
    loop, over = asyncio.new_event_loop(), asyncio.Event()

    async def serve() -> None:
        async with recorder:
            ready.set()
            await over.wait()

    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),))
    thread.start()
    try:
        assert ready.wait(30)
        yield recorder
    finally:
        loop.call_soon_threadsafe(over.set)
        thread.join()
        loop.close()
