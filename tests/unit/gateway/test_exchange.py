"""Requests through a gateway to a replica, over real sockets."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from yarl import URL

from modelfleet.gateway.doors import Doors
from modelfleet.gateway.exchange import Exchange, Ways
from modelfleet.gateway.hall import Hall
from modelfleet.gateway.upstream import Upstream
from modelfleet.plan.hold import Limits, Start, Target
from modelfleet.plan.world import Key
from support.builders import NOON

CHAT = Key("Model", "team", "chat")
HOST = "127.0.0.1"
LONG = 30.0
"""Seconds after which a test has gone wrong."""

Replies = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


@dataclass
class Replica:
    """A server that remembers what it was asked."""

    replies: Replies
    port: int = 0
    seen: list[tuple[str, str, dict[str, str], bytes]] = field(default_factory=list)

    async def answer(self, request: web.BaseRequest) -> web.StreamResponse:
        body = await request.read()
        self.seen.append((request.method, request.raw_path, dict(request.headers), body))
        return await self.replies(request)


async def fine(_: web.BaseRequest) -> web.StreamResponse:
    return web.json_response({"ok": True}, headers={"X-Own": "1", "Connection": "X-Own"})


class World:
    """A gateway for one Model, which sleeps at first."""

    def __init__(self, upstream: Upstream, limits: Limits, lasts: float) -> None:
        start = Start(lasts, 1800.0, None)
        self.target = Target(key=CHAT, uid="u", sleep="1", off=False, start=start, trouble="")
        self.hall = Hall(limits, lambda _: self.target, lambda _: None, lambda: NOON)
        self.ways = Ways(self.hall, upstream, self.choose, keep_alive=0.05)
        self.doors = Doors(HOST, self.answer)
        self.ended: list[str] = []
        self.url = ""

    def choose(self, _: Key) -> tuple[str, int] | None:
        return self.target.backends[0] if self.target.backends else None

    async def answer(self, request: web.BaseRequest, port: int) -> web.StreamResponse:
        assert self.url.endswith(f":{port}")
        try:
            return await Exchange(request, CHAT, self.ways).run()
        except asyncio.CancelledError:
            self.ended.append("cancelled")
            raise

    def change(self, **facts: Any) -> None:
        self.target = replace(self.target, **facts)
        self.hall.changed(CHAT)

    def ready(self, *ports: int) -> None:
        self.change(sleep=None, backends=tuple((HOST, port) for port in ports))

    async def until_held(self, count: int) -> None:
        async with asyncio.timeout(LONG):
            while self.hall.waiting() != count:
                await asyncio.sleep(0.01)


def free_port() -> int:
    import socket  # noqa: PLC0415

    with socket.socket() as one:
        one.bind((HOST, 0))
        return int(one.getsockname()[1])


@asynccontextmanager
async def replica(replies: Replies = fine) -> AsyncIterator[Replica]:
    one = Replica(replies)
    server = web.Server(one.answer)
    runner = web.ServerRunner(server)
    await runner.setup()
    site = web.TCPSite(runner, HOST, 0)
    await site.start()
    one.port = runner.addresses[0][1]
    try:
        yield one
    finally:
        await runner.cleanup()


@asynccontextmanager
async def gateway(lasts: float = 20.0, **limits: Any) -> AsyncIterator[World]:
    async with Upstream() as upstream:
        world, port = World(upstream, Limits(**limits), lasts), free_port()
        world.url = f"http://{HOST}:{port}"
        assert await world.doors.match({port})
        try:
            yield world
        finally:
            await world.doors.close()
            await world.doors.cut()


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=LONG)) as session:
        yield session


Answer = tuple[int, bytes, dict[str, str]]


async def ask(http: aiohttp.ClientSession, world: World, **request: Any) -> Answer:
    url = URL(world.url + "/v1/chat/completions?a=%2F", encoded=True)
    async with http.post(url, **request) as answer:
        return answer.status, await answer.read(), dict(answer.headers)


async def test_a_held_request_reaches_the_replica_as_it_was_sent(
    http: aiohttp.ClientSession,
) -> None:
    headers = {"Authorization": "Bearer k", "Connection": "X-Hop, close", "X-Hop": "1", "TE": "x"}
    async with gateway() as world, replica() as one:
        asking = asyncio.create_task(ask(http, world, data=b'{"a": 1}', headers=headers))
        await world.until_held(1)
        world.ready(one.port)
        status, body, told = await asking

    assert (status, body) == (200, b'{"ok": true}')
    assert "X-Own" not in told
    (method, path, sent, content) = one.seen[0]
    assert (method, path, content) == ("POST", "/v1/chat/completions?a=%2F", b'{"a": 1}')
    assert sent["Authorization"] == "Bearer k"
    assert not {"X-Hop", "TE", "Transfer-Encoding"} & set(sent)
    assert len(one.seen) == 1


async def test_a_connection_is_not_kept_so_that_the_next_request_goes_to_the_replica_itself(
    http: aiohttp.ClientSession,
) -> None:
    async with gateway() as world, replica() as one:
        world.ready(one.port)
        _, _, told = await ask(http, world, data=b"{}")

    assert told["Connection"] == "close"


async def test_a_client_that_waits_for_events_hears_that_it_is_held(
    http: aiohttp.ClientSession,
) -> None:
    async def stream(request: web.BaseRequest) -> web.StreamResponse:
        out = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await out.prepare(request)
        await out.write(b"data: 1\n\n")
        await out.write(b"data: [DONE]\n\n")
        return out

    async with (
        gateway() as world,
        replica(stream) as one,
        http.post(world.url, json={"stream": True}) as answer,
    ):
        first = await answer.content.readline()
        world.ready(one.port)
        rest = await answer.read()

    assert (answer.status, answer.content_type) == (200, "text/event-stream")
    assert first.startswith(b": held for")
    lines = [line for line in rest.split(b"\n") if line and not line.startswith(b":")]
    assert lines == [b"data: 1", b"data: [DONE]"]


async def test_what_goes_wrong_after_that_is_told_in_the_stream(
    http: aiohttp.ClientSession,
) -> None:
    async with gateway() as world, http.post(world.url, json={"stream": True}) as answer:
        await answer.content.readline()
        world.change(sleep=None, trouble="OutOfMemory: give it more")
        rest = await answer.read()

    assert rest.count(b"data: ") == 1
    assert b"OutOfMemory: give it more" in rest


async def test_a_client_that_hangs_up_is_forgotten(http: aiohttp.ClientSession) -> None:
    async with gateway() as world:
        asking = asyncio.create_task(ask(http, world, data=b"x"))
        await world.until_held(1)
        asking.cancel()
        await world.until_held(0)

        assert world.ended == ["cancelled"]


async def test_a_request_that_no_byte_was_sent_of_goes_to_the_next_replica(
    http: aiohttp.ClientSession,
) -> None:
    async with gateway() as world, replica() as one:
        world.ready(free_port())
        asking = asyncio.create_task(ask(http, world, data=b"{}"))
        await asyncio.sleep(0.1)
        world.ready(one.port)

        assert (await asking)[0] == 200
    assert len(one.seen) == 1


async def test_a_request_that_may_have_been_worked_on_is_not_sent_again(
    http: aiohttp.ClientSession,
) -> None:
    async def die(request: web.BaseRequest) -> web.StreamResponse:
        assert request.transport is not None
        request.transport.abort()
        return web.Response()

    async with gateway() as world, replica(die) as one:
        world.ready(one.port)
        status, body, _ = await ask(http, world, data=b"{}")

    assert (status, len(one.seen)) == (502, 1)
    assert b"replica_failed" in body


async def test_an_answer_that_breaks_off_is_not_taken_for_whole(
    http: aiohttp.ClientSession,
) -> None:
    async def break_off(request: web.BaseRequest) -> web.StreamResponse:
        out = web.StreamResponse()
        await out.prepare(request)
        await out.write(b"half")
        await asyncio.sleep(0.1)
        assert request.transport is not None
        request.transport.abort()
        return out

    async with gateway() as world, replica(break_off) as one:
        world.ready(one.port)
        with pytest.raises(aiohttp.ClientError):
            await ask(http, world, data=b"{}")


async def test_what_is_too_large_is_refused_before_it_has_come_in(
    http: aiohttp.ClientSession,
) -> None:
    async with gateway(body_bytes=1000) as world:
        status, body, _ = await ask(http, world, data=b"x" * 1001)

    assert status == 413
    assert b"request_too_large" in body


async def test_one_too_many_hears_when_to_come_again(http: aiohttp.ClientSession) -> None:
    async with gateway(requests=1) as world:
        asking = asyncio.create_task(ask(http, world, data=b"x"))
        await world.until_held(1)
        status, _, told = await ask(http, world, data=b"x")
        asking.cancel()

    assert (status, told["Retry-After"]) == (429, "20")


async def test_a_large_body_of_a_careful_client_comes_through(
    http: aiohttp.ClientSession,
) -> None:
    async with gateway() as world, replica() as one:
        world.ready(one.port)
        status, _, _ = await ask(http, world, data=b"x" * 500_000, expect100=True)

    assert (status, len(one.seen[0][3])) == (200, 500_000)


async def test_a_gateway_that_ends_takes_no_new_requests_and_finishes_those_it_has(
    http: aiohttp.ClientSession,
) -> None:
    async with gateway() as world, replica() as one:
        asking = asyncio.create_task(ask(http, world, data=b"{}"))
        await world.until_held(1)

        await world.doors.close()

        async with aiohttp.ClientSession() as other:
            with pytest.raises(aiohttp.ClientConnectorError):
                await other.post(world.url, data=b"{}")
        world.ready(one.port)
        assert (await asking)[0] == 200


@pytest.mark.parametrize(
    "line",
    [
        pytest.param("CONNECT x@{other} HTTP/1.1", id="an authority with a name before it"),
        pytest.param("CONNECT {other} HTTP/1.1", id="an authority"),
        pytest.param("GET http://{other}/ HTTP/1.1", id="a URL"),
        pytest.param("OPTIONS * HTTP/1.1", id="an asterisk"),
    ],
)
async def test_a_request_cannot_name_the_server_that_it_is_sent_to(line: str) -> None:
    async with gateway() as world, replica() as one, replica() as other:
        world.ready(one.port)
        reader, writer = await asyncio.open_connection(HOST, URL(world.url).port)
        asked = line.format(other=f"{HOST}:{other.port}")
        writer.write(f"{asked}\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
        async with asyncio.timeout(LONG):
            told = await reader.readline()
        writer.close()

    assert told.startswith(b"HTTP/1.1 400 ") or told.startswith(b"HTTP/1.0 400 ")
    assert (one.seen, other.seen) == ([], [])
