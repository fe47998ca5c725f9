"""Pods, nodes and a small API server for the tests of the engine process."""

import asyncio
import itertools
import json
from contextlib import asynccontextmanager

from aiohttp import web

from devcluster.engine.api import Api
from devcluster.engine.batcher import Pace
from devcluster.engine.feed import Feed
from devcluster.engine.fleet import Fleet
from devcluster.engine.kubeconfig import Access
from devcluster.engine.kubelet import Kubelet
from devcluster.engine.pods import pod_from
from devcluster.engine.servers import SimulatedServer

_addresses = itertools.count(1)

FAST = '{"prefillTokensPerSecond": 1e6, "decodeTokensPerSecond": 1e5}'
SLOW = '{"prefillTokensPerSecond": 1e6, "decodeTokensPerSecond": 1}'


def an_address():
    """Return a loopback address that no other test of this run uses."""
    number = next(_addresses)
    return f"127.88.{number // 250}.{number % 250 + 1}"


def a_pod(
    name="chat-0",
    engine="vllm",
    image="vllm/vllm-openai:v0.33.0",
    args=(),
    annotations=None,
    state="ready",
    address=None,
    port=18000,
    **container,
):
    """Return a pod as the API server shows it: state is waiting, running or ready."""
    address = address or an_address()
    running = {"running": {"startedAt": "2026-01-01T00:00:00Z"}}
    status = {
        "name": "engine",
        "ready": state == "ready",
        "started": state == "ready",
        "restartCount": 0,
        "state": running if state in ("running", "ready") else {"waiting": {"reason": "Pulling"}},
    }
    prefixed = {f"sim.modelfleet.dev/{k}": v for k, v in (annotations or {}).items()}
    return {
        "metadata": {
            "name": name,
            "namespace": "default",
            "uid": f"uid-{name}-{address}",
            "labels": {"modelfleet.dev/engine": engine, "modelfleet.dev/model": "chat"},
            "annotations": prefixed,
        },
        "spec": {
            "nodeName": "node-0",
            "containers": [
                {
                    "name": "engine",
                    "image": image,
                    "args": list(args),
                    "ports": [{"name": "http", "containerPort": port}],
                    **container,
                }
            ],
        },
        "status": {"phase": "Running", "podIP": address, "containerStatuses": [status]},
    }


def spec_of(**options):
    """Return the engine spec of a pod made by `a_pod`."""
    return pod_from(a_pod(**options)).engine


@asynccontextmanager
async def serving(pod=None, **options):
    """Give a server that is ready, and its URL."""
    seen = pod_from(pod or a_pod(**options))
    server = SimulatedServer(seen.engine, seen.ip, Pace())
    await server.serve()
    try:
        yield server, f"http://{seen.ip}:{seen.engine.ports[0]}"
    finally:
        await server.kill()


class FakeApi:
    """Pods and nodes, listed and watched. Deletions with a grace period wait for the kubelet."""

    def __init__(self):
        self.version = 1
        self.objects = {"pods": {}, "nodes": {}}
        self.history = []
        self.watchers = set()
        self.patches = []
        self.lists = 0
        self.refusals = 0
        self.forgotten = set()
        self.changed = asyncio.Event()

    def put(self, kind, document):
        known = document["metadata"]["name"] in self.objects[kind]
        self._store(kind, document, "MODIFIED" if known else "ADDED")

    def remove(self, kind, name):
        document = self.objects[kind].pop(name)
        self._tell(kind, document, "DELETED")

    def drop_watches(self):
        for queue in list(self.watchers):
            queue.put_nowait(None)

    async def until(self, condition):
        async with asyncio.timeout(5):
            while not condition():
                self.changed.clear()
                await self.changed.wait()

    def _store(self, kind, document, event):
        self.objects[kind][document["metadata"]["name"]] = document
        self._tell(kind, document, event)

    def _tell(self, kind, document, event):
        self.version += 1
        document["metadata"]["resourceVersion"] = str(self.version)
        line = json.dumps({"type": event, "object": document}).encode() + b"\n"
        self.history.append((self.version, kind, line))
        for queue in self.watchers:
            if queue.kind == kind:
                queue.put_nowait(line)
        self.changed.set()

    def app(self):
        app = web.Application()
        app.router.add_get("/api/v1/{kind}", self._read)
        path = "/api/v1/namespaces/{namespace}/pods/{name}"
        app.router.add_delete(path, self._delete)
        app.router.add_patch(path + "/status", self._patch)
        return app

    async def _read(self, request):
        kind = request.match_info["kind"]
        if "watch" in request.query:
            return await self._watch(request, kind)
        self.lists += 1
        self.changed.set()
        items = list(self.objects[kind].values())
        return web.json_response(
            {"items": items, "metadata": {"resourceVersion": str(self.version)}}
        )

    async def _watch(self, request, kind):
        if kind in self.forgotten:
            self.forgotten.discard(kind)
            return web.json_response({"code": 410}, status=410)
        queue = asyncio.Queue()
        queue.kind = kind
        for version, of_kind, line in self.history:
            if of_kind == kind and version > int(request.query["resourceVersion"]):
                queue.put_nowait(line)
        self.watchers.add(queue)
        self.changed.set()
        response = web.StreamResponse()
        await response.prepare(request)
        try:
            while (line := await queue.get()) is not None:
                await response.write(line)
        finally:
            self.watchers.discard(queue)
            self.changed.set()
        return response

    async def _patch(self, request):
        self.patches.append(await request.json())
        self.changed.set()
        return web.json_response({})

    async def _delete(self, request):
        if self.refusals:
            self.refusals -= 1
            return web.json_response({}, status=503)
        name, body = request.match_info["name"], await request.json()
        document = self.objects["pods"].get(name)
        if document is None:
            return web.json_response({}, status=404)
        if document["metadata"]["uid"] != body["preconditions"]["uid"]:
            return web.json_response({}, status=409)
        assert body["gracePeriodSeconds"] == 0
        if not document["metadata"].get("finalizers"):
            self.remove("pods", name)
        return web.json_response({})


@asynccontextmanager
async def playing(fake):
    """Run the engine process's feeds and fleet against a fake API server; give the fleet."""
    runner = web.AppRunner(fake.app(), handler_cancellation=True)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    async with Api(Access(f"http://127.0.0.1:{port}", {}, False)) as api:
        servers = []

        def server_for(pod, spec):
            servers.append(SimulatedServer(spec, pod.ip, Pace()))
            return servers[-1]

        fleet = Fleet(server_for, Kubelet(api))
        nodes = Feed(api, "/api/v1/nodes", fleet.node_seen, fleet.node_gone, metadata_only=True)
        pods = Feed(api, "/api/v1/pods", fleet.pod_seen, fleet.pod_gone)
        tasks = [asyncio.create_task(feed.run()) for feed in (nodes, pods)]
        try:
            await asyncio.gather(nodes.synced.wait(), pods.synced.wait())
            yield fleet
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            for server in servers:
                await server.kill()
    await runner.cleanup()
