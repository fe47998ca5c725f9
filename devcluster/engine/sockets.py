"""Listening on the addresses of pods, and ending connections the ways processes end them."""

import asyncio
import socket
import struct
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

from aiohttp import web

_BACKLOG = 1024
_KEEPALIVE_SECONDS = 75.0
_LARGEST_BODY = 64 * 2**20
_LINGER_OFF = struct.pack("ii", 1, 0)

Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


class Listener:
    """The HTTP server of one engine: its sockets, and the connections that came in on them."""

    def __init__(self, handler: Handler) -> None:
        loop = asyncio.get_running_loop()

        def request(
            message: Any, payload: Any, protocol: Any, writer: Any, task: Any
        ) -> web.BaseRequest:
            return web.BaseRequest(
                message, payload, protocol, writer, task, loop, client_max_size=_LARGEST_BODY
            )

        self._server = web.Server(
            handler,
            request_factory=request,
            handler_cancellation=True,
            access_log=None,
            keepalive_timeout=_KEEPALIVE_SECONDS,
        )
        self._open: list[asyncio.AbstractServer] = []

    async def open(self, address: str, ports: Iterable[int]) -> None:
        """Listen. Raises `OSError` if the address is not ours or still taken."""
        loop = asyncio.get_running_loop()
        for listening in _all_bound(address, ports):
            server = await loop.create_server(self._server, sock=listening, backlog=_BACKLOG)
            self._open.append(server)

    def refuse_new(self) -> None:
        """Close the sockets and idle connections; requests under way end, then their connections.

        A client that comes now is refused, as by a process that has closed its port.
        """
        for server in self._open:
            server.close()
        self._open.clear()
        self._server.pre_shutdown()

    def reset_all(self) -> None:
        """End as a killed process does: every connection is reset."""
        self.refuse_new()
        for connection in self._server.connections:
            reset(connection.transport)

    def close_all(self) -> None:
        """End as a process that exits does: what was written arrives, then the connection ends."""
        self.refuse_new()
        for connection in self._server.connections:
            close(connection.transport)


def close(transport: Any) -> None:
    """End a connection after what has been written. None is closed already."""
    if transport is not None:
        transport.close()


def reset(transport: Any) -> None:
    """Cut a connection so that its peer sees a reset, not an end. None is cut already."""
    if transport is None or transport.is_closing():
        return
    connection = transport.get_extra_info("socket")
    if connection is not None:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_OFF)
    transport.abort()


def _all_bound(address: str, ports: Iterable[int]) -> list[socket.socket]:
    """Return a socket for each port, or none at all."""
    sockets: list[socket.socket] = []
    try:
        for port in ports:
            sockets.append(_bound(address, port))
    except OSError:
        for taken in sockets:
            taken.close()
        raise
    return sockets


def _bound(address: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.setblocking(False)
        listening.bind((address, port))
    except OSError:
        listening.close()
        raise
    return listening
