"""HTTP to pods by their addresses. Pods are strangers: every answer is bounded, none is followed.

An engine's image is a user's. It must not make the operator hang, swell, resolve names, keep
cookies, follow a redirect into the cluster, or write its words into our log.
"""

import ipaddress
import socket
from collections.abc import Iterator
from contextlib import contextmanager

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


def open_client(connections: int) -> aiohttp.ClientSession:
    """Return a client for pods; call it in the loop that will use it.

    Connections are not kept: ten thousand idle ones cost more than a handshake now and then.
    """
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
        raise_for_status=False,
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


def require_plain(response: aiohttp.ClientResponse) -> None:
    """Raise Failed unless the status is 200 and the body is not packed."""
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
def failures() -> Iterator[None]:
    """Raise Failed for what goes wrong with the network."""
    try:
        yield
    except TimeoutError:
        raise Failed(Reason.TIMEOUT) from None
    except aiohttp.ClientConnectorError:
        raise Failed(Reason.REFUSED) from None
    except (aiohttp.ClientError, OSError):
        raise Failed(Reason.CUT) from None
