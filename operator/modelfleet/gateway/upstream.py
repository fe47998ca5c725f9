"""To a replica and back: one request, sent once; an answer that is passed on as it comes."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from types import TracebackType
from typing import Self

import aiohttp
from aiohttp import web
from multidict import CIMultiDict
from yarl import URL

CONNECT_SECONDS = 5.0

HOP_BY_HOP = frozenset(
    {
        "connection",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)
"""Headers that are about one connection (RFC 9110, 7.6.1); so are those that Connection names."""

OURS_TO_SAY = frozenset({"content-length", "expect"})
"""Headers of a request that has come in whole."""


class NotSent(Exception):
    """No byte of the request has left: it may go to another replica."""


class Broken(Exception):
    """The replica may have worked on it, and ended the connection before its answer."""


class Upstream:
    """HTTP to replicas. Use as an async context manager.

    Each request has a connection of its own: a kept one may be closed by the replica just when a
    request is sent, of which then nobody could say whether it was worked on.
    """

    def __init__(self) -> None:
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, force_close=True, use_dns_cache=False),
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_SECONDS),
            auto_decompress=False,
            trust_env=False,
            skip_auto_headers=("User-Agent", "Accept", "Accept-Encoding", "Content-Type"),
        )
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._session is not None:
            await self._session.close()

    @asynccontextmanager
    async def send(
        self, backend: tuple[str, int], request: web.BaseRequest, body: bytes
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """Send a request and yield its answer when that begins. Raises NotSent or Broken."""
        assert self._session is not None
        address, port = backend
        url = URL(f"http://{address}:{port}{request.raw_path}", encoded=True)
        headers = end_to_end(request.headers, OURS_TO_SAY)
        try:
            answer = await self._session.request(
                request.method, url, headers=headers, data=body or None, allow_redirects=False
            )
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
            raise NotSent(type(error).__name__) from error
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise Broken(type(error).__name__) from error
        async with answer:
            yield answer


def end_to_end(headers: Mapping[str, str], but: frozenset[str] = frozenset()) -> CIMultiDict[str]:
    """Return the headers that are not about one connection, nor one of `but`."""
    named = {name.strip().lower() for name in headers.get("Connection", "").split(",")}
    dropped = HOP_BY_HOP | named | but
    return CIMultiDict(
        (name, value) for name, value in headers.items() if name.lower() not in dropped
    )
