"""The few calls to the API server that this process makes."""

import asyncio
import logging
from collections.abc import AsyncIterator, Mapping
from typing import Any, Self

import aiohttp
import orjson

from devcluster.engine.kubeconfig import Access

_PAGE = 500
_WATCH_SECONDS = 290
_SILENCE_SECONDS = 120.0
"""Longer than the API server goes without a bookmark (one minute)."""

logger = logging.getLogger(__name__)


class Gone(Exception):
    """The API server no longer knows that resource version: list again."""


class ApiError(Exception):
    """The API server refused. `status` is the HTTP status."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(f"{status}: {message}")
        self.status = status

    @property
    def passes(self) -> bool:
        """Say whether it is worth trying again."""
        return self.status == 429 or self.status >= 500


class Api:
    """One connection pool for watches and writes."""

    def __init__(self, access: Access, writers: int = 32) -> None:
        self._access = access
        self._writers = asyncio.Semaphore(writers)
        self._session = aiohttp.ClientSession(
            headers={"User-Agent": "devcluster-engine", **access.headers},
            connector=aiohttp.TCPConnector(ssl=access.tls, limit=writers + 8),
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._session.close()

    async def list(
        self, path: str, *, metadata_only: bool = False
    ) -> tuple[list[dict[str, Any]], str]:
        """Return all objects of a collection and the resource version of the list."""
        items: list[dict[str, Any]] = []
        query: dict[str, str] = {"limit": str(_PAGE)}
        while True:
            accept = {"Accept": _accept("PartialObjectMetadataList")} if metadata_only else {}
            page = await self._json("GET", path, params=query, headers=accept)
            items += page["items"]
            token = page["metadata"].get("continue")
            if not token:
                return items, page["metadata"]["resourceVersion"]
            query["continue"] = token

    async def watch(
        self, path: str, version: str, *, metadata_only: bool = False
    ) -> AsyncIterator[dict[str, Any]]:
        """Yield events after `version`, bookmarks among them. Raises `Gone` and `ApiError`."""
        query = {"watch": "1", "resourceVersion": version, "allowWatchBookmarks": "true"}
        query["timeoutSeconds"] = str(_WATCH_SECONDS)
        accept = {"Accept": _accept("PartialObjectMetadata")} if metadata_only else {}
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=5, sock_read=_SILENCE_SECONDS)
        url = self._access.server + path
        async with self._session.get(url, params=query, headers=accept, timeout=timeout) as reply:
            if reply.status != 200:
                raise _error(reply.status, await reply.read())
            async for line in _lines(reply.content):
                event = orjson.loads(line)
                if event["type"] == "ERROR":
                    raise _error(event["object"].get("code", 500), line)
                yield event

    async def patch_pod_status(self, namespace: str, name: str, patch: Mapping[str, Any]) -> None:
        """Merge `patch` into a pod, by its status subresource."""
        path = f"/api/v1/namespaces/{namespace}/pods/{name}/status"
        headers = {"Content-Type": "application/strategic-merge-patch+json"}
        async with self._writers:
            await self._json("PATCH", path, data=orjson.dumps(patch), headers=headers)

    async def delete_pod_now(self, namespace: str, name: str, uid: str) -> None:
        """Remove a pod's object: what a kubelet does when the last container has ended."""
        path = f"/api/v1/namespaces/{namespace}/pods/{name}"
        options = {
            "apiVersion": "v1",
            "kind": "DeleteOptions",
            "gracePeriodSeconds": 0,
            "preconditions": {"uid": uid},
        }
        headers = {"Content-Type": "application/json"}
        async with self._writers:
            await self._json("DELETE", path, data=orjson.dumps(options), headers=headers)

    async def _json(self, method: str, path: str, **options: Any) -> dict[str, Any]:
        timeout = aiohttp.ClientTimeout(total=60, sock_connect=5)
        url = self._access.server + path
        async with self._session.request(method, url, timeout=timeout, **options) as reply:
            body = await reply.read()
            if reply.status >= 300:
                raise _error(reply.status, body)
            document: dict[str, Any] = orjson.loads(body)
            return document


def _accept(kind: str) -> str:
    return f"application/json;as={kind};g=meta.k8s.io;v=v1"


def _error(status: int, body: bytes) -> Exception:
    message = body[:300].decode(errors="replace")
    return Gone(message) if status == 410 else ApiError(status, message)


async def _lines(stream: aiohttp.StreamReader) -> AsyncIterator[bytes]:
    """Yield lines of any length."""
    rest = b""
    async for chunk in stream.iter_any():
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            if line:
                yield line
