"""Who we are to the API server: tokens that rotate while we run."""

import asyncio
import os
from collections.abc import Callable, Mapping, MutableMapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Protocol
from weakref import WeakKeyDictionary

import aiohttp
import orjson
from aiohttp.typedefs import LooseHeaders

from modelfleet import clock

TOKEN_TTL = 60.0
"""Seconds that a token file is trusted. The kubelet replaces a token at 80 % of its life, of which
10 minutes is the least."""

EXPIRY_MARGIN = timedelta(seconds=30)
"""A plugin's token is renewed this long before its end, so that none expires on the way."""


class CredentialsError(Exception):
    """A token cannot be had: its file is missing, its plugin failed."""


class Credentials(Protocol):
    """Something that knows the current token."""

    async def token(self) -> str | None:
        """Return a bearer token, or None to send none. Raises CredentialsError."""
        ...

    def forget(self) -> None:
        """Do not trust the cached token any more: the server refused it."""
        ...


@dataclass(frozen=True, slots=True)
class StaticToken:
    """A token that does not change, or none: client certificates say who we are."""

    value: str | None = field(default=None, repr=False)

    async def token(self) -> str | None:
        """Return it."""
        return self.value

    def forget(self) -> None:
        """There is no other."""


@dataclass(slots=True)
class TokenFile:
    """A projected service account token, read again now and then because the kubelet rotates it."""

    path: Path
    monotonic: Callable[[], float] = clock.monotonic
    _token: str = field(default="", repr=False)
    _read_at: float = float("-inf")

    async def token(self) -> str | None:
        """Return the file's content, at most `TOKEN_TTL` seconds old."""
        if self.monotonic() - self._read_at >= TOKEN_TTL:
            self._token = self._read()
            self._read_at = self.monotonic()
        return self._token

    def forget(self) -> None:
        """Read the file again next time."""
        self._read_at = float("-inf")

    def _read(self) -> str:
        try:
            # A few hundred bytes on tmpfs: handing that to a thread would take longer.
            return self.path.read_text(encoding="utf-8").strip()
        except OSError as error:
            if self._token:
                return self._token  # better a token that may still be good than none
            raise CredentialsError(f"cannot read {self.path}: {error.strerror}") from error


@dataclass(slots=True)
class ExecPlugin:
    """A credential plugin of a kubeconfig: a program that prints an ExecCredential."""

    argv: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)
    api_version: str = "client.authentication.k8s.io/v1"
    cluster: Mapping[str, Any] | None = None
    use_certificate: Callable[[str, str], None] | None = None
    """Is given the PEM certificate and key, where the plugin prints these."""
    timeout: float = 60.0
    """Seconds that the plugin may take."""
    now: Callable[[], datetime] = clock.utc_now
    _token: str | None = field(default=None, repr=False)
    _good_until: datetime | None = None
    _asked: bool = False
    _locks: MutableMapping[asyncio.AbstractEventLoop, asyncio.Lock] = field(
        default_factory=WeakKeyDictionary, repr=False
    )
    """One for each loop: kopf's is another than ours, and a lock belongs to one."""

    async def token(self) -> str | None:
        """Return the plugin's token, asking once for all who wait. Raises CredentialsError."""
        async with self._locks.setdefault(asyncio.get_running_loop(), asyncio.Lock()):
            if not self._is_fresh():
                self._take(await self._ask())
        return self._token

    def forget(self) -> None:
        """Ask the plugin again next time."""
        self._asked = False

    def _is_fresh(self) -> bool:
        if not self._asked:
            return False
        return self._good_until is None or self.now() < self._good_until - EXPIRY_MARGIN

    def _take(self, status: Mapping[str, Any]) -> None:
        certificate, key = status.get("clientCertificateData"), status.get("clientKeyData")
        if certificate and key and self.use_certificate is not None:
            self.use_certificate(certificate, key)
        self._token = status.get("token")
        self._good_until = _instant(status.get("expirationTimestamp"))
        self._asked = True

    async def _ask(self) -> Mapping[str, Any]:
        name = self.argv[0]
        try:
            async with asyncio.timeout(self.timeout):
                code, out, err = await self._run()
        except TimeoutError as error:  # an OSError too, so first
            raise CredentialsError(f"{name} did not answer in {self.timeout:g} s") from error
        except OSError as error:
            raise CredentialsError(f"cannot run {name}: {error.strerror}") from error
        if code != 0:
            raise CredentialsError(
                f"{name} failed with {code}: {err[-500:].decode(errors='replace')}"
            )
        return _status_of(name, out)

    async def _run(self) -> tuple[int, bytes, bytes]:
        process = await asyncio.create_subprocess_exec(
            *self.argv,
            env={**os.environ, **self.environment, "KUBERNETES_EXEC_INFO": self._exec_info()},
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        try:
            out, err = await process.communicate()
        except asyncio.CancelledError:
            process.kill()
            await process.wait()
            raise
        return process.returncode or 0, out, err

    def _exec_info(self) -> str:
        spec: dict[str, Any] = {"interactive": False}
        if self.cluster is not None:
            spec["cluster"] = dict(self.cluster)
        info = {"apiVersion": self.api_version, "kind": "ExecCredential", "spec": spec}
        return orjson.dumps(info).decode()


def _status_of(name: str, out: bytes) -> Mapping[str, Any]:
    try:
        status = orjson.loads(out)["status"]
    except (orjson.JSONDecodeError, KeyError, TypeError) as error:
        raise CredentialsError(f"{name} printed no ExecCredential with a status") from error
    if not isinstance(status, dict):
        raise CredentialsError(f"{name} printed no ExecCredential with a status")
    return status


def _instant(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None


@dataclass(frozen=True, slots=True)
class Bearer:
    """aiohttp client middleware: puts the current token on each request, kopf's included.

    A refused token is renewed and the request sent once more here, below kopf, which would
    otherwise close the session with all its streams on a 401.
    """

    credentials: Credentials

    async def __call__(
        self, request: aiohttp.ClientRequest, send: aiohttp.ClientHandlerType
    ) -> aiohttp.ClientResponse:
        """Send `request` with a token, twice if the first was refused and there is another."""
        token = await self._put_on(request)
        response = await send(request)
        if response.status != 401:
            return response
        self.credentials.forget()
        if await self._put_on(request) == token:
            return response
        response.release()
        return await send(request)

    async def _put_on(self, request: aiohttp.ClientRequest) -> str | None:
        try:
            token = await self.credentials.token()
        except CredentialsError as error:
            raise aiohttp.ClientError(str(error)) from error
        if token:
            request.headers["Authorization"] = f"Bearer {token}"
        return token


def user_agent(version: str) -> LooseHeaders:
    """Return the headers that say what we are; the API server's logs and metrics show them."""
    return {"User-Agent": f"modelfleet/{version}"}
