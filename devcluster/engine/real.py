"""Real llama-servers in the place of simulated engines, one process for each pod that asks."""

import asyncio
import logging
import os
import signal
import subprocess
from collections.abc import Callable, Collection
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Self
from weakref import WeakSet

import orjson

from devcluster.engine import weights
from devcluster.engine.batcher import Pace
from devcluster.engine.pods import EngineSpec, Pod
from devcluster.engine.servers import ModelServer, SimulatedServer

logger = logging.getLogger(__name__)

_ARGUMENTS = (
    *("--metrics", "-c", "2048", "-np", "2", "-t", "2"),
    *("--temp", "0", "--chat-template", "chatml"),
)
"""Small enough for a laptop. Without temperature, a question has one answer; without the system
message that the template of these weights adds, it is more often right."""
_FIRST_PAUSE = 0.5
_LONGEST_PAUSE = 10.0


class Process:
    """A llama-server, started here or by a process that played before this one."""

    def __init__(self, pid: int, child: subprocess.Popen[bytes] | None = None) -> None:
        self.pid = pid
        self._child = child
        self._descriptor = os.pidfd_open(pid)
        self.ended = asyncio.Event()
        asyncio.get_running_loop().add_reader(self._descriptor, self._on_end)

    def signal(self, number: signal.Signals) -> None:
        """Send a signal, unless it has ended."""
        if not self.ended.is_set():
            with suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._descriptor, number)

    def _on_end(self) -> None:
        asyncio.get_running_loop().remove_reader(self._descriptor)
        os.close(self._descriptor)
        if self._child is not None:
            self._child.wait()
        self.ended.set()


@dataclass(frozen=True, slots=True)
class _Note:
    """What is written down of a process, to know it again."""

    pid: int
    started: str
    arguments: list[str]

    @classmethod
    def read(cls, path: Path) -> Self | None:
        """Return what was noted, if that very process still runs."""
        try:
            note = cls(**orjson.loads(path.read_bytes()))
        except (OSError, ValueError, TypeError):
            return None
        return note if note.started == _started(note.pid) else None


def _started(pid: int) -> str | None:
    """Return when a process was started, in clock ticks since boot; None if it does not run."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] == "Z" else fields[19]


class RealServer:
    """The llama-server of one pod. Started again if it ends by itself."""

    def __init__(
        self, engine: weights.RealEngine, spec: EngineSpec, address: str, note: Path
    ) -> None:
        self._engine = engine
        self._note = note
        self._arguments = [
            *("-m", str(engine.model), "--host", address, "--port", str(spec.ports[0])),
            *("--alias", ",".join(spec.names), *_ARGUMENTS),
        ]
        self._process: Process | None = None
        self._watch: asyncio.Task[None] | None = None

    async def load(self) -> None:
        """Start the process, or take over the one that runs already."""
        if self._watch is None:
            self._process = self._adopted() or self._spawned()
            self._watch = asyncio.create_task(self._keep_running())

    async def serve(self) -> None:
        """Do nothing more: it says itself when it is ready."""
        await self.load()

    def adjust(self, spec: EngineSpec) -> None:
        """Do nothing: the figures are those of a simulation."""

    async def crashed(self) -> None:
        """Never return: it is started again here, and no container ends."""
        await asyncio.Event().wait()

    async def terminate(self) -> None:
        """Send SIGTERM; what follows is up to the real thing."""
        await self._end(signal.SIGTERM)

    async def kill(self) -> None:
        """Send SIGKILL."""
        await self._end(signal.SIGKILL)

    async def _end(self, number: signal.Signals) -> None:
        if self._watch is not None:
            self._watch.cancel()
        if self._process is not None:
            self._process.signal(number)
            await self._process.ended.wait()
        for file in (self._note, self._note.with_suffix(".log")):
            file.unlink(missing_ok=True)

    async def _keep_running(self) -> None:
        pause = _FIRST_PAUSE
        while self._process is not None:
            await self._process.ended.wait()
            logger.warning("llama-server of %s ended; again in %.1f s", self._note.stem, pause)
            await asyncio.sleep(pause)
            pause = min(pause * 2, _LONGEST_PAUSE)
            self._process = self._spawned()

    def _adopted(self) -> Process | None:
        note = _Note.read(self._note)
        if note is None:
            return None
        if note.arguments == self._arguments:
            logger.info("took over llama-server %d of %s", note.pid, self._note.stem)
            return Process(note.pid)
        os.kill(note.pid, signal.SIGKILL)
        return None

    def _spawned(self) -> Process:
        with self._note.with_suffix(".log").open("wb") as log:
            child = subprocess.Popen(
                [*self._engine.command, *self._arguments],
                cwd=self._engine.directory,
                env=weights.environment(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        note = {"pid": child.pid, "started": _started(child.pid), "arguments": self._arguments}
        self._note.write_bytes(orjson.dumps(note))
        return Process(child.pid, child)


class Houses:
    """All real servers of this process; none outlives it if it ends in good order."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._servers: WeakSet[RealServer] = WeakSet()

    async def __aenter__(self) -> Self:
        self._folder.mkdir(parents=True, exist_ok=True)
        return self

    async def __aexit__(self, *_: object) -> None:
        await asyncio.gather(*(server.kill() for server in self._servers))

    def server_for(self, pace: Pace) -> Callable[[Pod, EngineSpec], ModelServer]:
        """Return what makes the server of a pod: a real one if asked for and there."""

        def make(pod: Pod, spec: EngineSpec) -> ModelServer:
            if not spec.real:
                return SimulatedServer(spec, pod.ip, pace)
            try:
                engine = weights.found()
            except weights.Unavailable as error:
                logger.warning("%s/%s: no real engine: %s", pod.namespace, pod.name, error)
                return SimulatedServer(spec, pod.ip, pace, remark=str(error))
            server = RealServer(engine, spec, pod.ip, self._folder / f"{pod.uid}.json")
            self._servers.add(server)
            return server

        return make

    def evict_strangers(self, uids: Collection[str]) -> None:
        """End what was left over for pods that are gone."""
        for path in self._folder.glob("*.json"):
            if path.stem in uids:
                continue
            note = _Note.read(path)
            if note is not None:
                logger.info("ending llama-server %d of a pod that is gone", note.pid)
                os.kill(note.pid, signal.SIGKILL)
            path.unlink()
