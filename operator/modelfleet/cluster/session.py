"""One HTTP session to the API server, with time limits, retries and counts. It decides nothing."""

from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

import aiohttp
import orjson
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception, stop_after_attempt
from tenacity.wait import wait_random_exponential

import modelfleet
from modelfleet import clock, telemetry
from modelfleet.cluster import errors
from modelfleet.cluster.credentials import Bearer, user_agent
from modelfleet.cluster.kubeconfig import Connection
from modelfleet.cluster.rest import Endpoint

Object = dict[str, Any]
"""A parsed object of the API server."""

APPLY = "application/apply-patch+yaml"
MERGE_PATCH = "application/merge-patch+json"
JSON_PATCH = "application/json-patch+json"
METADATA_LIST = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
METADATA = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"

ATTEMPTS = 4
LONGEST_WAIT = 10.0
"""Seconds that a retry waits at most, whatever Retry-After says: a worker waits with it, and the
work queue backs off better."""

CONNECT_SECONDS = 5.0

FINAL = (errors.Stale, errors.Deposed)
"""What sending the same once more does not help against."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How patient and how busy the session may be. `seconds` bounds one attempt."""

    seconds: float = 30.0
    connections: int = 64
    attempts: int = ATTEMPTS
    silence: float = 70.0
    """Seconds without a byte after which a watch is dead: bookmarks come every minute."""


@dataclass(frozen=True, slots=True)
class Reply:
    """A parsed answer. Code 201 says that an apply created the object."""

    code: int
    body: Object


@dataclass(frozen=True, slots=True)
class Page:
    """A part of a list, at one resourceVersion."""

    items: list[Object]
    resource_version: str
    next: str
    """Token to continue with; empty on the last page."""


def open_client(connection: Connection, connections: int = 64) -> aiohttp.ClientSession:
    """Return a client that authenticates by itself; call it in the loop that will use it.

    kopf runs in a loop of its own and so needs a client of its own: an aiohttp client belongs to
    one loop.
    """
    # `limit` counts watches too: these hold a connection each, for ever.
    connector = aiohttp.TCPConnector(
        ssl=connection.tls or True, limit=connections + 32, keepalive_timeout=60, ttl_dns_cache=30
    )
    return aiohttp.ClientSession(
        connector=connector,
        middlewares=(Bearer(connection.credentials),),
        headers=user_agent(modelfleet.__version__),
        auto_decompress=True,
        trust_env=False,
        skip_auto_headers=("Accept-Encoding",),  # gzip costs more than the bytes, in a cluster
    )


class Session:
    """Talks to one API server. Use as an async context manager, or `close` it."""

    def __init__(self, connection: Connection, limits: Limits = Limits()) -> None:
        self.connection = connection
        self.limits = limits
        self._client: aiohttp.ClientSession | None = None

    @property
    def server(self) -> str:
        """The API server's URL."""
        return self.connection.server

    @property
    def client(self) -> aiohttp.ClientSession:
        """The aiohttp session; a new one where somebody has closed the last, as kopf does."""
        if self._client is None or self._client.closed:
            self._client = open_client(self.connection, self.limits.connections)
        return self._client

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
        """Close all connections, watches included."""
        if self._client is not None:
            await self._client.close()

    async def get(self, where: Endpoint, *, accept: str = "application/json") -> Object:
        """Return an object. Raises ApiError."""
        return (await self._retried("GET", where, headers={"Accept": accept})).body

    async def page(
        self, where: Endpoint, query: Mapping[str, str], *, accept: str = "application/json"
    ) -> Page:
        """Return one page of a list. Raises ApiError; Gone where its token has expired."""
        reply = await self._retried("GET", where, query=query, headers={"Accept": accept})
        metadata = reply.body.get("metadata") or {}
        return Page(
            reply.body.get("items") or [],
            metadata.get("resourceVersion") or "0",
            metadata.get("continue") or "",
        )

    async def create(self, where: Endpoint, body: Mapping[str, Any]) -> Object:
        """Create an object in a collection, once: whether a lost answer meant yes is unknown."""
        data = orjson.dumps(body)
        headers = {"Content-Type": "application/json"}
        return (await self._once("POST", where, data=data, headers=headers)).body

    async def replace(self, where: Endpoint, body: Mapping[str, Any]) -> Object:
        """Write a whole object, once. Raises Conflict if its resourceVersion is not the newest."""
        data = orjson.dumps(body)
        headers = {"Content-Type": "application/json"}
        return (await self._once("PUT", where, data=data, headers=headers)).body

    async def patch(
        self,
        where: Endpoint,
        body: Mapping[str, Any] | list[Any],
        content_type: str = MERGE_PATCH,
        *,
        query: Mapping[str, str] | None = None,
        retry: bool = True,
    ) -> Reply:
        """Patch an object; every patch of ours may be sent twice. Raises ApiError."""
        send = self._retried if retry else self._once
        headers = {"Content-Type": content_type}
        return await send("PATCH", where, query=query, data=orjson.dumps(body), headers=headers)

    async def delete(self, where: Endpoint, options: Mapping[str, Any]) -> Object:
        """Delete an object; `options` as in DeleteOptions. Raises ApiError, NotFound if gone."""
        headers = {"Content-Type": "application/json"}
        data = orjson.dumps(options)
        return (await self._retried("DELETE", where, data=data, headers=headers)).body

    async def version(self) -> tuple[int, int]:
        """Return the server's version, as in (1, 36). Raises ApiError."""
        answer = await self.get(Endpoint("version", "/version"))
        minor = "".join(c for c in str(answer.get("minor")) if c.isdigit())
        return int(answer.get("major") or 0), int(minor or 0)

    async def watch(
        self, where: Endpoint, query: Mapping[str, str]
    ) -> AsyncGenerator[Object, None]:
        """Yield events until the server ends the stream. Raises ApiError, also for a silent one.

        An event of type ERROR is raised as what its Status says.
        """
        timeout = aiohttp.ClientTimeout(
            total=None, sock_connect=CONNECT_SECONDS, sock_read=self.limits.silence
        )
        try:
            async with self.client.get(
                self.server + where.path, params={**query, "watch": "1"}, timeout=timeout
            ) as response:
                await self._check("WATCH", where, response)
                async for line in _lines(response.content):
                    yield _event(line)
        except (TimeoutError, aiohttp.ClientError, OSError) as error:
            raise _unavailable(error) from error

    async def _retried(self, verb: str, where: Endpoint, **request: Any) -> Reply:
        def count(_: RetryCallState) -> None:
            telemetry.API_RETRIES.labels(verb, where.kind).inc()

        retrying = AsyncRetrying(
            stop=stop_after_attempt(self.limits.attempts),
            wait=_wait,
            retry=retry_if_exception(_is_passing),
            before_sleep=count,
            reraise=True,
        )
        return await retrying(self._once, verb, where, **request)

    async def _once(
        self,
        verb: str,
        where: Endpoint,
        *,
        query: Mapping[str, str] | None = None,
        data: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Reply:
        timeout = aiohttp.ClientTimeout(total=self.limits.seconds, sock_connect=CONNECT_SECONDS)
        started = clock.monotonic()
        try:
            async with self.client.request(
                verb,
                self.server + where.path,
                params=query,
                data=data,
                headers=headers,
                timeout=timeout,
            ) as response:
                body = await self._check(verb, where, response, read=True)
        except (TimeoutError, aiohttp.ClientError, OSError) as error:
            telemetry.API_REQUESTS.labels(verb, where.kind, 0).inc()
            raise _unavailable(error) from error
        telemetry.API_SECONDS.labels(verb).observe(clock.monotonic() - started)
        return Reply(response.status, _parsed(body))

    async def _check(
        self, verb: str, where: Endpoint, response: aiohttp.ClientResponse, *, read: bool = False
    ) -> bytes:
        telemetry.API_REQUESTS.labels(verb, where.kind, response.status).inc()
        if response.status >= 300:
            retry_after = response.headers.get("Retry-After")
            raise errors.from_response(response.status, await response.read(), retry_after)
        return await response.read() if read else b""


def _parsed(body: bytes) -> Object:
    try:
        parsed = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise errors.Unavailable(f"the answer is not JSON: {body[:80]!r}") from error
    if not isinstance(parsed, dict):
        raise errors.Unavailable(f"the answer is not an object: {body[:80]!r}")
    return parsed


def _event(line: bytes) -> Object:
    event = _parsed(line)
    if event.get("type") == "ERROR":
        raise errors.from_status(event.get("object") or {})
    if "type" not in event or not isinstance(event.get("object"), dict):
        raise errors.Unavailable(f"not a watch event: {line[:80]!r}")
    return event


async def _lines(content: aiohttp.StreamReader) -> AsyncIterator[bytes]:
    # `readline` refuses lines over 128 KiB; an object may have 1.5 MiB and more.
    parts: list[bytes] = []
    async for chunk in content.iter_any():
        *ends, rest = chunk.split(b"\n")
        for end in ends:
            parts.append(end)
            line = b"".join(parts)
            parts.clear()
            if line:
                yield line
        if rest:
            parts.append(rest)


def _unavailable(error: BaseException) -> errors.Unavailable:
    return errors.Unavailable(f"{type(error).__name__}: {error}".removesuffix(": "))


def _is_passing(error: BaseException) -> bool:
    """Whether the same request may succeed in a moment. A stale one never will."""
    return isinstance(error, errors.Unavailable) and not isinstance(error, FINAL)


_jittered = wait_random_exponential(multiplier=0.1, max=2.0)


def _wait(state: RetryCallState) -> float:
    error = state.outcome.exception() if state.outcome else None
    asked = error.retry_after if isinstance(error, errors.ApiError) else None
    return min(LONGEST_WAIT, (asked or 0.0) + _jittered(state))
