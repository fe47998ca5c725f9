"""The operator as a process, kubectl, and a client: what cluster tests touch the world with."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable
from contextlib import suppress
from itertools import cycle
from pathlib import Path
from typing import Any, Self

import aiohttp
import yaml

from modelfleet.cluster import kubeconfig, rest
from modelfleet.cluster.errors import NotFound
from modelfleet.cluster.session import Session

PATIENCE = 60.0
"""Seconds until a test stops to hope. Not an assertion about speed."""

_PORTS = cycle(range(10_000 + os.getpid() % 10_000, 30_000))


def kubectl(*arguments: str, stdin: str | None = None, check: bool = True) -> str:
    """Run kubectl and return what it printed. Raises AssertionError with its complaint."""
    done = subprocess.run(
        ["kubectl", *arguments], input=stdin, capture_output=True, text=True, timeout=300
    )
    assert not check or done.returncode == 0, f"kubectl {' '.join(arguments)}: {done.stderr}"
    return done.stdout if check else done.stdout + done.stderr


def apply(*manifests: dict[str, Any]) -> str:
    """Apply objects as a user does."""
    return kubectl("apply", "-f", "-", stdin=yaml.safe_dump_all(manifests))


class Operator:
    """One operator process. As a context manager it is stopped gracefully."""

    command: tuple[str, ...] = ("operator", "--namespace", "default")

    def __init__(self, server: str | None = None, **environment: str) -> None:
        """`server` replaces the API server's URL: a proxy that records or breaks things."""
        self.port = _free_port()
        self.environment = {**os.environ, "PYTHONUNBUFFERED": "1", **environment}
        """Of the next start."""
        if server:
            self.environment["KUBECONFIG"] = str(_kubeconfig_for(server))
        self.log = Path(tempfile.mkstemp(prefix="operator-", suffix=".log")[1])
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> Self:
        """Start the process; it may not be ready yet."""
        own = ["--metrics-address", f"127.0.0.1:{self.port}", "--log-format", "text"]
        self.process = subprocess.Popen(
            [sys.executable, "-m", "modelfleet", *self.command, *own],
            env=self.environment, stdout=self.log.open("ab"), stderr=subprocess.STDOUT,
        )  # fmt: skip
        return self

    def is_running(self) -> bool:
        """Whether the process has not ended."""
        return self.process is not None and self.process.poll() is None

    def kill(self) -> None:
        """End it without warning, as the kernel does."""
        assert self.process is not None
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(10)

    def stop(self) -> int:
        """Ask it to end, and return its exit code."""
        assert self.process is not None
        self.process.terminate()
        return self.process.wait(40)

    def ready(self) -> Self:
        """Wait until it works."""
        until(lambda: self.get("/readyz") is not None, f"the operator is not ready: {self.log}")
        return self

    def get(self, path: str) -> str | None:
        """Return what it answers on its metrics port, or None."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=5) as answer:
                return str(answer.read().decode())
        except OSError:
            return None

    def metric(self, name: str) -> float:
        """Return the sum of a metric's series; `name` may carry labels as in Prometheus' text."""
        text = self.get("/metrics") or ""
        rows = (line for line in text.splitlines() if line.startswith(name))
        return sum(float(line.rpartition(" ")[2]) for line in rows)

    def __enter__(self) -> Self:
        try:
            return self.start().ready()
        except BaseException:
            self.kill()
            raise

    def __exit__(self, *_: object) -> None:
        if self.process and self.process.poll() is None:
            self.stop()


class Gateway(Operator):
    """One gateway process, on an address that no pod has."""

    def __init__(self, host: str = "10.244.255.250", *flags: str) -> None:
        super().__init__()
        self.host = host
        self.command = ("gateway", "--host", host, "--leave-seconds", "2", *flags)


def _free_port() -> int:
    """Return a port that nobody has: other runs may be under way on this machine.

    It is none of those that connections are given, or one would take it while an operator that was
    killed starts again.
    """
    while True:
        with socket.socket() as one, suppress(OSError):
            one.bind(("127.0.0.1", port := next(_PORTS)))
            return port


def _kubeconfig_for(server: str) -> Path:
    document = yaml.safe_load(Path(os.environ["KUBECONFIG"]).read_text())
    document["clusters"][0]["cluster"] = {"server": server}
    file = Path(tempfile.mkstemp(prefix="kubeconfig-")[1])
    file.write_text(yaml.safe_dump(document))
    return file


def until(holds: Callable[[], bool], why: str, patience: float = PATIENCE) -> None:
    """Wait until `holds`. Raises AssertionError."""
    deadline = time.monotonic() + patience
    while not holds():
        assert time.monotonic() < deadline, why
        time.sleep(0.1)


class Client(Session):
    """Reads and waits for objects."""

    def __init__(self) -> None:
        super().__init__(kubeconfig.find())

    async def find(self, kind: str, namespace: str, name: str) -> dict[str, Any] | None:
        """Return an object, or None."""
        try:
            return await self.get(rest.BY_KIND[kind].at(namespace, name))
        except NotFound:
            return None

    async def list(self, kind: str, namespace: str, labels: str = "") -> list[dict[str, Any]]:
        """Return all objects of a kind in a namespace."""
        query = {"labelSelector": labels} if labels else {}
        return (await self.page(rest.BY_KIND[kind].all(namespace), query)).items

    async def until(
        self,
        kind: str,
        namespace: str,
        name: str,
        holds: Callable[[dict[str, Any]], Any],
        patience: float = PATIENCE,
    ) -> dict[str, Any]:
        """Wait until an object exists and `holds`; return it."""
        found: dict[str, Any] | None = None
        try:
            async with asyncio.timeout(patience):
                while True:
                    found = await self.find(kind, namespace, name)
                    if found is not None and holds(found):
                        return found
                    await asyncio.sleep(0.1)
        except TimeoutError:
            raise AssertionError(f"{kind} {name} stayed: {yaml.safe_dump(found)}") from None

    async def until_served(self, namespace: str, name: str) -> str:
        """Wait until a Model answers through its Service; return the Service's URL.

        kube-proxy may know the Service later than the Model is ready.
        """
        found = await self.until("Service", namespace, name, lambda _: True)
        address = f"http://{found['spec']['clusterIP']}"
        connector = aiohttp.TCPConnector(force_close=True)
        async with aiohttp.ClientSession(address, connector=connector) as session:
            async with asyncio.timeout(PATIENCE):
                while not await _answers(session):
                    await asyncio.sleep(0.1)
        return address

    async def until_ready(self, namespace: str, name: str) -> dict[str, Any]:
        """Wait until a Model is ready at its newest generation."""
        return await self.until("Model", namespace, name, is_ready)


async def _answers(session: aiohttp.ClientSession) -> bool:
    try:
        async with session.get("/v1/models") as answer:
            return answer.status == 200
    except aiohttp.ClientError:
        return False


def condition(found: dict[str, Any], kind: str) -> dict[str, Any] | None:
    """Return a condition by type, or None."""
    conditions = found.get("status", {}).get("conditions", [])
    return next((one for one in conditions if one["type"] == kind), None)


def is_ready(found: dict[str, Any]) -> bool:
    """Whether a Model is ready at its newest generation."""
    ready = condition(found, "Ready") or {}
    current = found["status"].get("observedGeneration") == found["metadata"]["generation"]
    return current and ready.get("status") == "True"


def stalled_for(reason: str) -> Callable[[dict[str, Any]], bool]:
    """Return a check: a person must act, for this reason."""
    return lambda found: (condition(found, "Stalled") or {}).get("reason") == reason
