"""One request from its first byte to the last one of its only answer."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

import aiohttp
from aiohttp import web

from modelfleet import telemetry
from modelfleet.gateway import answers
from modelfleet.gateway.hall import Hall, Refused, Ticket
from modelfleet.gateway.upstream import Broken, NotSent, Upstream, end_to_end
from modelfleet.plan.hold import Refusal
from modelfleet.plan.world import Key

KEEP_ALIVE = 10.0
"""Seconds between two comments to a client that waits for events: proxies on the way often cut
what is silent for 60 s, some after 15 s."""

RETRY_PAUSE = 0.25
"""Seconds until a replica that took no connection is tried again."""

Choose = Callable[[Key], tuple[str, int] | None]
"""Returns the replica for the next request; None: none is ready."""


@dataclass(frozen=True, slots=True)
class Ways:
    """What all requests share."""

    hall: Hall
    upstream: Upstream
    choose: Choose
    keep_alive: float = KEEP_ALIVE


class Exchange:
    """Takes a request in, waits with it, and passes the replica's answer on."""

    def __init__(self, request: web.BaseRequest, key: Key, ways: Ways) -> None:
        self._request, self._key = request, key
        self._hall, self._upstream, self._choose = ways.hall, ways.upstream, ways.choose
        self._keep_alive = ways.keep_alive
        self._loop = asyncio.get_running_loop()
        self._came_at = self._loop.time()
        self._begun: web.StreamResponse | None = None
        """The answer, once its first byte has gone out."""

    async def run(self) -> web.StreamResponse:
        """Answer, once."""
        try:
            return await self._answer()
        except Refused as refused:
            telemetry.GATEWAY_REQUESTS.labels(refused.refusal.code).inc()
            return await self._refuse(refused.refusal)
        except asyncio.CancelledError:
            telemetry.GATEWAY_REQUESTS.labels("client_left").inc()
            raise

    async def _answer(self) -> web.StreamResponse:
        if not self._request.raw_path.startswith("/"):
            raise Refused(_NO_PATH)
        ticket = self._hall.enter(self._key)
        try:
            body = await self._body(ticket)
            while True:
                await self._wait(ticket, body)
                backend = self._choose(self._key)
                try:
                    if backend is not None:
                        return await self._pass_on(ticket, backend, body)
                except NotSent:
                    await asyncio.sleep(RETRY_PAUSE)
                ticket.again()
        finally:
            ticket.leave()

    async def _body(self, ticket: Ticket) -> bytes:
        """Read all of the request, within the bounds and the time that it has."""
        if self._request.headers.get("Expect", "").lower() == "100-continue":
            await self._request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            self._request.writer.output_size = 0
        body = bytearray()
        try:
            async with asyncio.timeout_at(ticket.deadline):
                async for chunk in self._request.content.iter_any():
                    ticket.grow(len(chunk))
                    body += chunk
        except TimeoutError:
            raise Refused(_SLOW) from None
        return bytes(body)

    async def _wait(self, ticket: Ticket, body: bytes) -> None:
        """Wait until a replica is ready. Raises Refused."""
        while not await ticket.may_go(within=self._keep_alive):
            if self._begun is None and answers.wants_events(body):
                self._begun = await self._begin(200, answers.EVENTS)
            if self._begun is not None:
                waited = self._loop.time() - self._came_at
                await self._begun.write(answers.still_held(waited))

    async def _pass_on(
        self, ticket: Ticket, backend: tuple[str, int], body: bytes
    ) -> web.StreamResponse:
        """Send the request and pass the answer on. Raises NotSent, or Refused."""
        held = self._loop.time() - self._came_at
        try:
            async with self._upstream.send(backend, self._request, body) as answer:
                ticket.leave()
                telemetry.GATEWAY_HOLD_SECONDS.observe(held)
                telemetry.GATEWAY_REQUESTS.labels("answered").inc()
                return await self._copy(answer)
        except Broken:
            raise Refused(_BROKEN) from None

    async def _copy(self, answer: aiohttp.ClientResponse) -> web.StreamResponse:
        if self._begun is not None and answer.status != 200:
            return await self._refuse(await _told(answer))
        out = self._begun or await self._begin(answer.status, end_to_end(answer.headers))
        try:
            async for chunk in answer.content.iter_any():
                await out.write(chunk)
        except (aiohttp.ClientError, OSError):
            # The client must not take a part for the whole.
            if self._request.transport is not None:
                self._request.transport.abort()
            return out
        await out.write_eof()
        return out

    async def _begin(self, status: int, headers: object) -> web.StreamResponse:
        out = web.StreamResponse(status=status, headers=headers)  # type: ignore[arg-type]
        out.force_close()  # the next request goes to the replica itself
        await out.prepare(self._request)
        return out

    async def _refuse(self, refusal: Refusal) -> web.StreamResponse:
        if self._begun is None:
            answer = answers.refused(refusal)
            answer.force_close()
            return answer
        await self._begun.write(answers.refused_event(refusal))
        await self._begun.write_eof()
        return self._begun


async def _told(answer: aiohttp.ClientResponse) -> Refusal:
    """Return what a replica has refused, for a client whose answer has begun already."""
    text = (await answer.content.read(4096)).decode("utf-8", "replace")
    return Refusal(answer.status, "model_refused", text)


_NO_PATH = Refusal(
    400, "no_path", "ask for a path: which server answers is not the client's choice"
)
_SLOW = Refusal(408, "request_too_slow", "the request did not come in whole in time")
_BROKEN = Refusal(
    502, "replica_failed", "the replica ended the connection before it answered; it may have "
    "worked on the request, so this was not sent again"
)  # fmt: skip
