"""A listening socket for each Model that may sleep: whom a connection is for is where it came in.

A client that was led here by a Service says nothing that could be trusted: the Host is its choice.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection
from typing import Any

from aiohttp import web

logger = logging.getLogger(__name__)

BACKLOG = 1024

Answer = Callable[[web.BaseRequest, int], Awaitable[web.StreamResponse]]
"""Answers a request that came in at a port."""


class Doors:
    """Opens and closes ports. Connections outlive their port."""

    def __init__(self, host: str, answer: Answer) -> None:
        self._host, self._answer = host, answer
        self._servers: dict[int, asyncio.AbstractServer] = {}
        self._http = web.Server(
            self._handle,
            request_factory=_request,
            handler_cancellation=True,
            access_log=None,
            keepalive_timeout=5.0,
        )
        self.busy = 0
        """Requests that are being answered."""

    async def match(self, ports: Collection[int]) -> bool:
        """Listen at these ports and no others; return whether each could be opened."""
        for port in self._servers.keys() - ports:
            self._servers.pop(port).close()
        missing = sorted(ports - self._servers.keys())
        return all([await self._open(port) for port in missing])

    async def close(self) -> None:
        """Refuse new connections; requests that are here go on."""
        await self.match(frozenset())
        self._http.pre_shutdown()

    async def cut(self) -> None:
        """End all connections."""
        await self._http.shutdown(1.0)

    async def _open(self, port: int) -> bool:
        loop = asyncio.get_running_loop()
        try:
            self._servers[port] = await loop.create_server(
                self._http, self._host, port, backlog=BACKLOG
            )
        except OSError as error:
            logger.warning("a port cannot be opened", extra={"port": port, "error": str(error)})
            return False
        return True

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        assert request.transport is not None
        self.busy += 1
        try:
            return await self._answer(request, request.transport.get_extra_info("sockname")[1])
        finally:
            self.busy -= 1


def _request(message: Any, payload: Any, protocol: Any, writer: Any, task: Any) -> web.BaseRequest:
    return web.BaseRequest(message, payload, protocol, writer, task, asyncio.get_running_loop())
