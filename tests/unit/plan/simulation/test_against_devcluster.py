"""The queueing model against devcluster's engine: the same requests, in virtual time.

Both leave out that prefill slows decoding. They differ where the KV cache is full: the simulated
engine admits by what is used and preempts, the model admits by what will be used.
"""

import asyncio
import math
from dataclasses import dataclass

import pytest

from devcluster.engine.batcher import Batcher, Pace, Ticket
from devcluster.engine.metrics.tally import Tally
from devcluster.engine.profiles import Profile as EngineProfile
from modelfleet.plan.simulation import generated
from modelfleet.plan.simulation.engine import Engine, Record
from modelfleet.plan.simulation.outcome import percentile
from modelfleet.plan.simulation.profiles import EngineFigures
from modelfleet.plan.simulation.traces import Trace
from support import virtual_time

ROOMY = EngineFigures(prefill_tokens_per_second=8000, kv_tokens=10_000_000)
FEW_PLACES = EngineFigures(prefill_tokens_per_second=8000, max_running=16)
SMALL_CACHE = EngineFigures(prefill_tokens_per_second=8000, kv_tokens=60_000)


@dataclass(frozen=True)
class Served:
    """Times to first token, ascending, and when the last answer was complete."""

    waits: list[float]
    end: float
    tokens: float


def modelled(trace: Trace, figures: EngineFigures) -> Served:
    record = Record.of(len(trace))
    engine = Engine(figures, record, 0.0)
    for request, (at, prompt, output) in enumerate(trace):
        engine.advance(at)
        engine.submit(request, prompt, output, at)
    engine.advance(math.nextafter(math.inf, 0))
    waits = [first - at for at, first in zip(trace.at, record.first_token, strict=True)]
    return Served(sorted(waits), max(record.finished), engine.counters.generated_tokens)


def simulated(trace: Trace, figures: EngineFigures) -> Served:
    return virtual_time.run(_simulated(trace, figures))


async def _simulated(trace: Trace, figures: EngineFigures) -> Served:
    loop, tally = asyncio.get_running_loop(), Tally({})
    batcher = Batcher(_same(figures), tally, Pace(), clock=loop.time)
    start = loop.time()
    tickets: list[Ticket] = []
    for at, prompt, output in trace:
        await asyncio.sleep(start + at - loop.time())
        tickets.append(batcher.submit(prompt, output, "stop", streamed=False))
    for ticket in tickets:
        await ticket.finished()
    done = [ticket.sequence for ticket in tickets]
    waits = [one.first_token_at - one.submitted_at for one in done if one.first_token_at]
    end = max(one.finished_at for one in done if one.finished_at) - start
    return Served(sorted(waits), end, float(tally.generation_tokens))


def _same(figures: EngineFigures) -> EngineProfile:
    return EngineProfile(
        prefill_tokens_per_second=figures.prefill_tokens_per_second,
        prefill_seconds=figures.prefill_seconds,
        decode_tokens_per_second=figures.decode_tokens_per_second,
        decode_slowdown=figures.decode_slowdown,
        kv_tokens=figures.kv_tokens,
        max_running=figures.max_running,
    )


@pytest.mark.parametrize(
    ("figures", "rate", "tolerance"),
    [
        pytest.param(ROOMY, 1.0, 0.01, id="light load"),
        pytest.param(ROOMY, 5.0, 0.01, id="heavy load"),
        pytest.param(ROOMY, 8.0, 0.01, id="more than it can prefill"),
        pytest.param(FEW_PLACES, 3.0, 0.01, id="all places of the batch taken"),
        pytest.param(SMALL_CACHE, 4.0, 0.2, id="a full KV cache"),
    ],
)
def test_both_engines_serve_alike(figures: EngineFigures, rate: float, tolerance: float) -> None:
    trace = generated.steps(generated.Shape(hours=0.15, requests_per_second=rate))

    ours, theirs = modelled(trace, figures), simulated(trace, figures)

    assert len(ours.waits) == len(theirs.waits) == len(trace)
    for share in (0.5, 0.95, 0.99):
        expected = percentile(theirs.waits, share)
        assert percentile(ours.waits, share) == pytest.approx(expected, rel=tolerance, abs=0.002)
    assert ours.end == pytest.approx(theirs.end, rel=tolerance)
    assert ours.tokens == pytest.approx(theirs.tokens, rel=0.001)
