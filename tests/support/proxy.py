"""A proxy between the operator and a real API server, which counts writes and breaks things.

Plain HTTP towards the operator, TLS and the administrator's credentials towards the server.
Watches pass through line by line; all else passes whole.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from typing import Self

import aiohttp
import orjson
from aiohttp import web
from yarl import URL

from modelfleet.cluster.kubeconfig import Connection
from modelfleet.cluster.session import open_client
from support.requests_seen import (
    REACHES_SERVER,
    STATUSES,
    WRITING,
    Fault,
    Target,
    Write,
    body_of,
    refusal,
    status,
    target_of,
)

FORWARDED = ("Accept", "Content-Type", "User-Agent")
RETURNED = ("Content-Type", "Retry-After", "Audit-Id")

FOREVER = 3600.0


def of_children(write: Write) -> bool:
    """Count neither the Lease and the ledger, which go by the clock, nor events, which are news."""
    return write.target.plural not in ("leases", "configmaps", "events")


class Proxy:
    """Use as an async context manager; give the operator `url` as its server.

    `decide` is asked about every counted write; `kill` ends the operator where it says so.
    """

    def __init__(
        self, connection: Connection, counts: Callable[[Write], bool] = of_children
    ) -> None:
        self.writes: list[Write] = []
        """All of them in order, counted or not."""
        self.decide: Callable[[Write], Fault | None] = lambda _: None
        self.kill: Callable[[], None] = lambda: None
        self.hides: Callable[[Target, dict[str, object]], bool] = lambda *_: False
        """Says which watch events the operator never gets."""
        self.delays: dict[str, float] = {}
        """Seconds by which watch events of a plural are late."""
        self.url = ""
        self._connection, self._counts = connection, counts
        self._outage: int | None = None
        self._through = asyncio.Event()
        self._through.set()
        self._expired: set[str] = set()
        self._watches: dict[asyncio.Task[None], str] = {}
        self._count = 0

    # --- life ------------------------------------------------------------------

    async def __aenter__(self) -> Self:
        self._client = open_client(self._connection, connections=256)
        application = web.Application(client_max_size=8 << 20)
        application.router.add_route("*", "/{path:.*}", self._handle)
        self._runner = web.AppRunner(
            application, handler_cancellation=True, access_log=None, shutdown_timeout=0.1
        )
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        self.end_watches()
        await self._runner.cleanup()
        await self._client.close()

    # --- what a test asks --------------------------------------------------------

    def counted(self) -> list[Write]:
        """Return the counted writes."""
        return [write for write in self.writes if write.number]

    def watched(self) -> set[str]:
        """Return the plurals that are being watched."""
        return set(self._watches.values())

    def end_watches(self, plurals: Iterable[str] | None = None) -> None:
        """End watches as a server does that restarts: of some plurals, or all."""
        for task, plural in list(self._watches.items()):
            if plurals is None or plural in plurals:
                task.cancel()

    def expire_watches(self) -> None:
        """End all watches, and call the version that each next one starts from too old, once."""
        self._expired = self.watched()
        self.end_watches()

    @asynccontextmanager
    async def outage(self, code: int = 503) -> AsyncIterator[None]:
        """Answer nothing but `code` for as long as the block runs."""
        self._outage = code
        self.end_watches()
        try:
            yield
        finally:
            self._outage = None

    def cut(self) -> None:
        """Let nothing through in either direction, as a broken cable, until `heal`."""
        self._through.clear()

    def heal(self) -> None:
        """Let everything through again, and what still waits for it."""
        self._through.set()

    @property
    def is_cut(self) -> bool:
        """Whether nothing gets through."""
        return not self._through.is_set()

    # --- requests --------------------------------------------------------------

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        await self._through.wait()
        try:
            return await self._pass_on(request)
        except aiohttp.ClientConnectionError:
            # The server is away: so is what stands before it.
            _break_off(request)
            return refusal(503)

    async def _pass_on(self, request: web.Request) -> web.StreamResponse:
        if self._outage is not None:
            return refusal(self._outage)
        if request.method in WRITING:
            return await self._write(request)
        if request.query.get("watch") in ("1", "true"):
            return await self._watch(request, target_of(request.path))
        return (await self._forward(request, b""))[0]

    async def _forward(self, request: web.Request, data: bytes) -> tuple[web.Response, int]:
        async with self._asked(request, data) as answer:
            headers = {name: answer.headers[name] for name in RETURNED if name in answer.headers}
            body = await answer.read()
        return web.Response(status=answer.status, body=body, headers=headers), answer.status

    @asynccontextmanager
    async def _asked(
        self, request: web.Request, data: bytes
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        where = URL(self._connection.server + request.raw_path, encoded=True)
        headers = {name: request.headers[name] for name in FORWARDED if name in request.headers}
        timeout = aiohttp.ClientTimeout(total=None)
        async with self._client.request(
            request.method, where, data=data or None, headers=headers, timeout=timeout
        ) as answer:
            yield answer

    async def _write(self, request: web.Request) -> web.StreamResponse:
        data = await request.read()
        write = Write(0, request.method, target_of(request.path), body_of(data))
        self.writes.append(write)
        if self._counts(write):
            self._count += 1
            write.number = self._count
            write.fault = self.decide(write)
            await self._through.wait()  # it may just have been cut
        if write.fault is None or write.fault in REACHES_SERVER:
            # Shielded: the server gets it, whatever becomes of the operator meanwhile.
            answer = await asyncio.shield(self._deliver(request, data, write))
            await self._through.wait()
        else:
            answer = refusal(500)
        return answer if write.fault is None else await self._fail(request, write, answer)

    async def _deliver(self, request: web.Request, data: bytes, write: Write) -> web.Response:
        answer, write.code = await self._forward(request, data)
        write.answered = time.monotonic()
        return answer

    async def _fail(
        self, request: web.Request, write: Write, answer: web.Response
    ) -> web.StreamResponse:
        assert write.fault is not None
        if write.fault in STATUSES:
            return refusal(STATUSES[write.fault])
        if write.fault is Fault.KILL_ANSWERED:
            await answer.prepare(request)
            await answer.write_eof()
        if write.fault in (Fault.KILL_ANSWERED, Fault.KILL_UNANSWERED):
            self.kill()
        elif write.fault in (Fault.NO_ANSWER, Fault.HANGS):
            await asyncio.sleep(FOREVER)  # cancelled when the operator gives up
        _break_off(request)
        return answer

    # --- watches ---------------------------------------------------------------

    async def _watch(self, request: web.Request, target: Target) -> web.StreamResponse:
        if target.plural in self._expired and request.query.get("resourceVersion"):
            self._expired.discard(target.plural)
            return await _expired(request)
        async with self._asked(request, b"") as answer:
            if answer.status != 200:
                body = await answer.read()
                return web.Response(
                    status=answer.status, body=body, content_type="application/json"
                )
            response = web.StreamResponse(headers={"Content-Type": "application/json"})
            await response.prepare(request)
            task = asyncio.create_task(self._pump(answer, response, target))
            self._watches[task] = target.plural
            try:
                await asyncio.wait({task})
            finally:
                task.cancel()
                del self._watches[task]
            return response

    async def _pump(
        self, answer: aiohttp.ClientResponse, response: web.StreamResponse, target: Target
    ) -> None:
        rest = b""
        async for chunk in answer.content.iter_any():
            *lines, rest = (rest + chunk).split(b"\n")
            shown = [line for line in lines if not self.hides(target, orjson.loads(line))]
            if shown:
                await asyncio.sleep(self.delays.get(target.plural, 0.0))
                await self._through.wait()
                await response.write(b"\n".join(shown) + b"\n")


async def _expired(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Type": "application/json"})
    await response.prepare(request)
    event = {"type": "ERROR", "object": status(410)}
    await response.write(orjson.dumps(event) + b"\n")
    return response


def _break_off(request: web.Request) -> None:
    if request.transport is not None:
        request.transport.abort()
