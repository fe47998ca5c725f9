"""HTTP to pods by their addresses. Pods are strangers: every answer is bounded, none is followed.

An engine's image is a user's. It must not make the operator hang, swell, resolve names, keep
cookies, follow a redirect into the cluster, or write its words into our log.
"""

import ipaddress
import socket
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from types import TracebackType
from typing import Self

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

import modelfleet
from modelfleet.plan.samples import Reason


class Failed(Exception):
    """A request that gave nothing. It quotes nothing of the answer."""

    def __init__(self, reason: Reason, status: int = 0) -> None:
        super().__init__(f"{reason} {status}" if status else str(reason))
        self.reason, self.status = reason, status


class NoNames(AbstractResolver):
    """Resolves nothing: pods have addresses."""

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """Raise OSError."""
        raise OSError(f"names are not resolved: {host}:{port} ({family.name})")

    async def close(self) -> None:
        """There is nothing to close."""


class Client:
    """HTTP to all pods. Use as an async context manager, or `close` it.

    Connections are not kept: ten thousand idle ones cost more than a handshake now and then.
    """

    def __init__(self, connections: int = 96) -> None:
        self._connections = connections
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close all connections."""
        if self._session is not None:
            await self._session.close()

    @asynccontextmanager
    async def request(
        self,
        method: str,
        url: URL,
        seconds: float,
        headers: Mapping[str, str],
        body: bytes | None = None,
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """Send one request and yield its answer, all within `seconds`. Raises Failed.

        The answer is plain and has status 200. What goes wrong while it is read is Failed too.
        """
        timeout = aiohttp.ClientTimeout(total=seconds)
        with _failures():
            async with self._open().request(
                method, url, headers=headers, data=body, timeout=timeout, allow_redirects=False
            ) as response:
                _require_plain(response)
                yield response

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None or self._session.closed:
            self._session = _session(self._connections)
        return self._session


def _session(connections: int) -> aiohttp.ClientSession:
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(
            limit=connections, force_close=True, use_dns_cache=False, resolver=NoNames()
        ),
        cookie_jar=aiohttp.DummyCookieJar(),
        headers={
            "User-Agent": f"modelfleet/{modelfleet.__version__}",
            "Accept-Encoding": "identity",
        },
        auto_decompress=False,
        trust_env=False,
    )


def url_of(address: str, port: int, path: str) -> URL:
    """Return the URL of a pod. Raises Failed for what is not an address that a pod may have."""
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        raise Failed(Reason.ADDRESS) from None
    # A cloud's metadata service is link-local.
    if found.is_link_local or found.is_multicast or found.is_unspecified:
        raise Failed(Reason.ADDRESS)
    host = f"[{found}]" if found.version == 6 else str(found)
    return URL(f"http://{host}:{port}{path}", encoded=True)


def _require_plain(response: aiohttp.ClientResponse) -> None:
    if response.status != 200:
        raise Failed(Reason.STATUS, response.status)
    if response.headers.get("Content-Encoding", "identity").lower() != "identity":
        raise Failed(Reason.NOT_TEXT)


async def body_of(response: aiohttp.ClientResponse, limit: int) -> bytes:
    """Return the whole body. Raises Failed as soon as it is longer than `limit` bytes."""
    if (response.content_length or 0) > limit:
        raise Failed(Reason.TOO_LARGE)
    body = bytearray()
    async for chunk in response.content.iter_any():
        body += chunk
        if len(body) > limit:
            raise Failed(Reason.TOO_LARGE)
    return bytes(body)


@contextmanager
def _failures() -> Iterator[None]:
    try:
        yield
    except TimeoutError:
        raise Failed(Reason.TIMEOUT) from None
    except aiohttp.ClientConnectorError:
        raise Failed(Reason.REFUSED) from None
    except (aiohttp.ClientError, OSError):
        raise Failed(Reason.CUT) from None
