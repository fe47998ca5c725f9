"""Pods of raw bytes on loopback: servers that answer whatever they are told, well or badly."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

Reply = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@dataclass
class Wire:
    """A listening server. `requests` has the head and the body of each request, as they came."""

    port: int = 0
    requests: list[bytes] = field(default_factory=list)
    connected: int = 0
    """Connections that are open now."""
    most_connected: int = 0


def page(
    body: bytes, status: str = "200 OK", kind: str = "text/plain; version=0.0.4", *more: str
) -> Reply:
    """Answer in one go."""
    head = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *more]
    head += [f"Content-Type: {kind}"] if kind else []

    async def reply(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write("\r\n".join(head).encode() + b"\r\n\r\n" + body)
        await writer.drain()

    return reply


def raw(*parts: bytes, pause: float = 0.0, hang: bool = False) -> Reply:
    """Answer with these bytes, part by part; then hang until the client leaves, or close."""

    async def reply(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for part in parts:
            writer.write(part)
            await writer.drain()
            await asyncio.sleep(pause)
        if hang:
            await reader.read()

    return reply


def endless(head: bytes, part: bytes, pause: float = 0.0) -> Reply:
    """Answer without end."""

    async def reply(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(head)
        while True:
            writer.write(part)
            await writer.drain()
            await asyncio.sleep(pause)

    return reply


async def reset(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Close the connection the hard way."""
    writer.transport.abort()


@asynccontextmanager
async def answering(reply: Reply) -> AsyncIterator[Wire]:
    """Serve `reply` to every request on a free port of 127.0.0.1; end all at the end."""
    wire, tasks = Wire(), set[asyncio.Task[None]]()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        wire.connected += 1
        wire.most_connected = max(wire.most_connected, wire.connected)
        try:
            wire.requests.append(await _request(reader))
            await reply(reader, writer)
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            wire.connected -= 1
            writer.close()

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.ensure_future(serve(reader, writer))
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    server = await asyncio.start_server(accept, "127.0.0.1", 0, backlog=1024)
    wire.port = server.sockets[0].getsockname()[1]
    try:
        yield wire
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _request(reader: asyncio.StreamReader) -> bytes:
    head = await reader.readuntil(b"\r\n\r\n")
    lines = head.decode().lower().split("\r\n")
    length = next((int(one.split(":")[1]) for one in lines if one.startswith("content-length")), 0)
    return head + await reader.readexactly(length)
