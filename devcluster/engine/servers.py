"""The life of one model server: load, serve, SIGTERM, SIGKILL. Here the simulated one."""

import asyncio
from dataclasses import dataclass
from typing import Protocol

from devcluster.engine.answers.routes import handler_for
from devcluster.engine.batcher import Pace
from devcluster.engine.dialects import (
    LISTENS_WHILE_LOADING,
    LLAMA_QUEUED_EXIT_SECONDS,
    Dialect,
)
from devcluster.engine.engine import Engine, Phase
from devcluster.engine.pods import EngineSpec
from devcluster.engine.sockets import Listener, close


class ModelServer(Protocol):
    """A process in a container."""

    async def load(self) -> None:
        """Be started, and not ready. Raises `OSError` if the address cannot be had (yet)."""

    async def serve(self) -> None:
        """Be ready. Raises `OSError` as `load` does."""

    def adjust(self, spec: EngineSpec) -> None:
        """Go on by a changed annotation of the pod, as far as a process can."""

    async def crashed(self) -> None:
        """Return when the process has ended by itself; mostly never."""

    async def terminate(self) -> None:
        """Take SIGTERM; return when the process has ended."""

    async def kill(self) -> None:
        """Take SIGKILL."""


@dataclass(frozen=True, slots=True)
class Shutdown:
    """What an engine does on SIGTERM."""

    finishes: bool
    """Requests under way end well; else they hang (vLLM) or are cut (llama.cpp, Ollama)."""
    keeps_port: bool = False
    within: float | None = None
    """Seconds after which it ends whatever is left; None: never by itself."""


def shutdown_for(spec: EngineSpec) -> Shutdown:
    """Return how the engine in `spec` reacts to SIGTERM."""
    match spec.dialect:
        case Dialect.VLLM | Dialect.VLLM_0_9:
            within = spec.shutdown_timeout or None
            return Shutdown(finishes=within is not None, within=within)
        case Dialect.SGLANG:
            return Shutdown(finishes=True, keeps_port=True)
        case Dialect.LLAMA_CPP:
            return Shutdown(finishes=False, within=LLAMA_QUEUED_EXIT_SECONDS)
        case Dialect.TRITON:
            return Shutdown(finishes=spec.shutdown_timeout > 0, within=spec.shutdown_timeout)
        case Dialect.TEI:
            return Shutdown(finishes=True)
        case Dialect.OLLAMA:
            return Shutdown(finishes=False, within=0)


class SimulatedServer:
    """An engine that listens on the address of its pod."""

    def __init__(self, spec: EngineSpec, address: str, pace: Pace, remark: str = "") -> None:
        self.engine = Engine(spec, pace, address, remark)
        self._address = address
        self._listener = Listener(handler_for(self.engine))
        self._listening = False

    async def load(self) -> None:
        """Open the port if this engine does so before it can answer."""
        if self.engine.dialect in LISTENS_WHILE_LOADING:
            await self._listen()

    async def serve(self) -> None:
        """Answer requests."""
        await self._listen()
        self.engine.phase = Phase.SERVING

    def adjust(self, spec: EngineSpec) -> None:
        """Take new figures; what an engine only reads at its start stays."""
        old = self.engine.spec
        if (spec.dialect, spec.ports) == (old.dialect, old.ports):
            self.engine.spec = spec
            self.engine.batcher.adjust(spec.profile)

    async def crashed(self) -> None:
        """Wait for the fault that was ordered, and end as by it."""
        await self.engine.crashed.wait()
        await self.kill()

    async def terminate(self) -> None:
        """Play what this engine does on SIGTERM, to the end of the process."""
        shutdown = shutdown_for(self.engine.spec)
        self.engine.phase = Phase.DRAINING
        if not shutdown.keeps_port:
            self._listener.refuse_new()
        if not shutdown.finishes:
            self._give_up()
        try:
            async with asyncio.timeout(shutdown.within):
                await self.engine.idle.wait()
        except TimeoutError:
            self._listener.reset_all()
        self._listener.close_all()
        await asyncio.sleep(self.engine.spec.profile.exit_seconds)

    async def kill(self) -> None:
        """End at once; clients see their connections reset."""
        self.engine.batcher.freeze()
        self._listener.reset_all()

    async def _listen(self) -> None:
        if not self._listening:
            await self._listener.open(self._address, self.engine.spec.ports)
            self._listening = True

    def _give_up(self) -> None:
        """Stop generating. llama.cpp cuts the requests in its slots; all others hang."""
        if self.engine.dialect is Dialect.LLAMA_CPP:
            for job in list(self.engine.jobs):
                if job.ticket is not None and not self.engine.batcher.is_waiting(job.ticket):
                    close(job.request.transport)
        self.engine.batcher.freeze()
