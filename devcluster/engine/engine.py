"""One simulated engine: what it serves, what it is doing, and what it has done."""

import asyncio
import random
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import Enum, auto
from zlib import crc32

from aiohttp import web

from devcluster.engine import metrics
from devcluster.engine.answers.asks import Ask
from devcluster.engine.answers.refusals import Refused
from devcluster.engine.batcher import Batcher, Pace, Ticket
from devcluster.engine.dialects import Dialect
from devcluster.engine.pods import EngineSpec
from devcluster.engine.timing import QueueFull

ABORT = "abort"


class Phase(Enum):
    """Where an engine is in its life."""

    LOADING = auto()
    SERVING = auto()
    DRAINING = auto()


@dataclass(slots=True, eq=False)
class Job:
    """A request that is being answered."""

    request: web.BaseRequest
    ticket: Ticket | None = None


@dataclass(slots=True, eq=False)
class Engine:
    """The state of one engine. `address` and `remark` are told to clients in headers."""

    spec: EngineSpec
    pace: Pace
    address: str = ""
    remark: str = ""
    phase: Phase = Phase.LOADING
    adapters: dict[str, str] = field(default_factory=dict)
    jobs: set[Job] = field(default_factory=set)
    batcher: Batcher = field(init=False)
    chance: random.Random = field(init=False)
    idle: asyncio.Event = field(default_factory=asyncio.Event)
    crashed: asyncio.Event = field(default_factory=asyncio.Event)
    requests: int = 0
    """That came in for work."""

    def __post_init__(self) -> None:
        tally = metrics.tally_for(self.spec.dialect)
        self.batcher = Batcher(self.spec.profile, tally, self.pace)
        self.chance = random.Random(crc32(self.address.encode()))
        self.adapters.update(self.spec.adapters)
        self.idle.set()

    @property
    def dialect(self) -> Dialect:
        """The engine's own way to do things."""
        return self.spec.dialect

    def metrics_page(self) -> str:
        """Return the page that a scrape gets."""
        load = self.batcher.load()
        return metrics.page_for(self.spec, self.batcher.tally, load, tuple(self.adapters))

    def check_model(self, model: object) -> None:
        """Refuse a model that is not served. llama.cpp and TEI serve what they have."""
        if self.dialect in (Dialect.LLAMA_CPP, Dialect.TEI) or model is None:
            return
        if model not in self.spec.names and model not in self.adapters:
            raise Refused.no_such_model(str(model))

    @contextmanager
    def job(self, request: web.BaseRequest) -> Iterator[Job]:
        """Count a request while it is answered; what it left in the batch is given up."""
        job = Job(request)
        self.jobs.add(job)
        self.idle.clear()
        try:
            yield job
        finally:
            if job.ticket is not None:
                self.batcher.leave(job.ticket)
            self.jobs.discard(job)
            if not self.jobs:
                self.idle.set()

    def admit(self, job: Job, ask: Ask) -> Ticket:
        """Queue a request for text. Raises `Refused` if it fails by chance or does not fit.

        By chance, too, a stream ends half-way for the reason `ABORT`: it is then to be cut.
        """
        tokens, reason = ask.output_tokens, ask.reason
        if ask.stream and self.chance.random() < self.spec.abort_rate:
            tokens, reason = max(tokens // 2, 1), ABORT
        return self.run(job, ask.prompt_tokens, tokens, reason, streamed=ask.stream)

    def run(
        self, job: Job, prompt_tokens: int, output_tokens: int, reason: str, *, streamed: bool
    ) -> Ticket:
        """Queue work. Raises `Refused` if it fails by chance or does not fit."""
        tally = self.batcher.tally
        self._wear()
        if self.chance.random() < self.spec.error_rate:
            tally.ended["error", streamed] += 1
            raise Refused(500, "This simulated engine fails a share of its requests")
        try:
            job.ticket = self.batcher.submit(
                prompt_tokens, output_tokens, reason, streamed=streamed
            )
        except QueueFull:
            tally.rejections += 1
            status = 429 if self.dialect is Dialect.TEI else 503
            raise Refused(status, "The queue of this simulated engine is full") from None
        return job.ticket

    def _wear(self) -> None:
        """Count a request, and crash where that was one too many."""
        self.requests += 1
        most = self.spec.crash_after
        if most is not None and self.requests >= most:
            self.crashed.set()
