"""`/metrics`, `/healthz` and `/readyz`: what the kubelet and Prometheus ask."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest


class PortTaken(Exception):
    """Nobody can be answered at this address."""


Check = Callable[[], str | None]
"""Returns what is wrong, or None."""


@dataclass(frozen=True)
class Probes:
    """Named checks. A failing liveness check has the process restarted, so these are few."""

    alive: Mapping[str, Check]
    ready: Mapping[str, Check]

    def app(self) -> web.Application:
        """Return the web application."""
        app = web.Application()
        app.router.add_get("/metrics", metrics)
        app.router.add_get("/healthz", self._handler(self.alive))
        app.router.add_get("/readyz", self._handler(self.ready))
        return app

    async def serve(self, address: str) -> web.AppRunner:
        """Listen on `host:port`. Raises PortTaken."""
        host, _, port = address.rpartition(":")
        runner = web.AppRunner(self.app(), access_log=None)
        await runner.setup()
        try:
            await web.TCPSite(runner, host.strip("[]") or None, int(port)).start()
        except OSError as error:
            await runner.cleanup()
            raise PortTaken(error.strerror or str(error)) from error
        return runner

    @staticmethod
    def _handler(
        checks: Mapping[str, Check],
    ) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        async def answer(_: web.Request) -> web.Response:
            wrong = {name: why for name, check in checks.items() if (why := check())}
            lines = [
                f"[{'-' if name in wrong else '+'}] {name} {wrong.get(name, 'ok')}"
                for name in checks
            ]
            return web.Response(text="\n".join(lines) + "\n", status=503 if wrong else 200)

        return answer


async def metrics(_: web.Request) -> web.Response:
    """Answer in Prometheus' text format."""
    return web.Response(body=generate_latest(), headers={"Content-Type": CONTENT_TYPE_LATEST})
