"""An API of external metrics, as an adapter gives one to HorizontalPodAutoscalers.

It is registered with the API server like any aggregated API, and tells what a test sets.
"""

import asyncio
import os
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from aiohttp import web

from support.running import apply, kubectl

GROUP, VERSION = "external.metrics.k8s.io", "v1beta1"
API = f"/apis/{GROUP}/{VERSION}"
ADDRESS = "172.20.255.250"
"""Of a node that nobody has."""


class Gauge:
    """What the metric says now, whatever it is called and wherever it is asked for."""

    def __init__(self) -> None:
        self.value = 0
        self.asked = 0

    async def resources(self, _: web.Request) -> web.Response:
        """Answer to discovery."""
        found = {"name": "requests", "namespaced": True, "kind": "ExternalMetricValueList"}
        return web.json_response(
            {
                "kind": "APIResourceList",
                "apiVersion": "v1",
                "groupVersion": f"{GROUP}/{VERSION}",
                "resources": [{**found, "singularName": "", "verbs": ["get"]}],
            }
        )

    async def values(self, request: web.Request) -> web.Response:
        """Answer to an HPA."""
        self.asked += 1
        one = {
            "metricName": request.match_info["metric"],
            "metricLabels": {},
            "timestamp": "2026-11-24T12:00:00Z",
            "value": str(self.value),
        }
        body = {
            "kind": "ExternalMetricValueList",
            "apiVersion": f"{GROUP}/{VERSION}",
            "metadata": {},
            "items": [one],
        }
        return web.json_response(body)


@asynccontextmanager
async def external_metrics(namespace: str) -> AsyncIterator[Gauge]:
    """Serve and register the API while open."""
    gauge, app = Gauge(), web.Application()
    app.router.add_get(API, gauge.resources)
    app.router.add_get(f"{API}/namespaces/{{namespace}}/{{metric}}", gauge.values)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, ADDRESS, 0, ssl_context=_tls())
    await site.start()
    port = runner.addresses[0][1]
    await asyncio.to_thread(apply, *_manifests(namespace, port))
    try:
        await asyncio.to_thread(
            kubectl, "wait", "--for=condition=Available", "apiservice", f"{VERSION}.{GROUP}"
        )
        yield gauge
    finally:
        await asyncio.to_thread(kubectl, "delete", "apiservice", f"{VERSION}.{GROUP}")
        await runner.cleanup()


def _tls() -> ssl.SSLContext:
    """Return any certificate of the cluster: nobody checks it."""
    pki = Path(os.environ["KUBECONFIG"]).parent / "pki"
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pki / "apiserver.crt", pki / "apiserver.key")
    return context


def _manifests(namespace: str, port: int) -> list[dict[str, Any]]:
    meta = {"name": "external-metrics", "namespace": namespace}
    return [
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": meta,
            "spec": {"ports": [{"port": 443, "targetPort": port}]},
        },
        {
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "metadata": {**meta, "labels": {"kubernetes.io/service-name": meta["name"]}},
            "addressType": "IPv4",
            "ports": [{"port": port}],
            "endpoints": [{"addresses": [ADDRESS], "conditions": {"ready": True}}],
        },
        {
            "apiVersion": "apiregistration.k8s.io/v1",
            "kind": "APIService",
            "metadata": {"name": f"{VERSION}.{GROUP}"},
            "spec": {
                "group": GROUP,
                "version": VERSION,
                "groupPriorityMinimum": 100,
                "versionPriority": 100,
                "insecureSkipTLSVerify": True,
                "service": {**meta, "port": 443},
            },
        },
    ]
