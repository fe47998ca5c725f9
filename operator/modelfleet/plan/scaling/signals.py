"""What each signal asks for. A replica that does not tell counts as idle upwards, never downwards.

Each answer is a pair: `needs`, below which replicas are over their target by more than is
tolerated, and `suffices`, with which they stay as far below it. Between the two nothing is done, so
that noise within the tolerance changes nothing. What suffices is what the replicas that stay would
carry if they had the load of those that go as well: the check for N-1.
"""

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from types import MappingProxyType

from modelfleet.plan.scaling.facts import STALE, Facts, Reading, Samples
from modelfleet.plan.scaling.policy import Policy

CONCURRENCY, QUEUE, KV_CACHE = "concurrency", "queue", "kvCache"
TOKENS, FIRST_TOKEN = "tokens", "firstToken"

RUNNING = "running"
"""The only measure whose lack changes how another is read, if an engine never tells it."""

MOST_AT_ONCE = 2.0
"""Times the replicas that there are: a time to the first token says little about how many lack."""

AT_EASE = 0.5
"""Share of the objective below which a first token comes soon enough for one replica less."""

_LITTLE = 1e-9
"""Against a rounding up of what is whole but for the last bit."""


@dataclass(frozen=True, slots=True)
class Want:
    """What one signal asks for."""

    signal: str
    needs: int = 0
    """At least so many, by those replicas that tell."""
    best: int = 0
    """What its target asks for, to go to where fewer are not enough."""
    suffices: int | None = None
    """So many would do; None: not known."""
    told: str = ""
    """The measure in words, as in `14.5 of 16 requests each`."""
    piles_up: bool = True
    """Whether what waits for replicas that are on their way counts as load."""
    missing: int = 0
    """Replicas that should tell and do not; young ones are not counted."""


@dataclass(frozen=True, slots=True)
class Load:
    """The readings that count now."""

    policy: Policy
    facts: Facts
    fresh: tuple[Reading, ...]
    held: int
    failing: int = 0
    """Replicas that tell, and of which every request fails: their load is not known."""

    @property
    def replicas(self) -> int:
        """Ready replicas, whether they tell or not."""
        return max(self.facts.ready, len(self.fresh) + self.failing)


def load_of(policy: Policy, facts: Facts, samples: Samples, now: datetime) -> Load:
    """Return what is not stale. A clock that was set back makes readings from the future stale."""
    fresh = tuple(
        one for one in samples.readings if -STALE <= (now - one.at).total_seconds() <= STALE
    )
    sound = tuple(one for one in fresh if not one.failing)
    return Load(policy, facts, sound, max(0, samples.held or 0), len(fresh) - len(sound))


def wants_for(load: Load) -> tuple[Want, ...]:
    """Return what each signal of the policy asks for."""
    targets = load.policy.targets
    asked = {
        CONCURRENCY: targets.concurrency,
        QUEUE: targets.queue,
        KV_CACHE: targets.kv_cache,
        TOKENS: targets.tokens_per_second,
        FIRST_TOKEN: targets.first_token_seconds,
    }
    return tuple(
        _SIGNALS[name](load, target) for name, target in asked.items() if target is not None
    )


def is_quiet(load: Load) -> bool | None:
    """Return whether nothing was asked of any replica lately; None where one does not tell."""
    if len(load.fresh) < load.replicas or not load.fresh:
        return None
    each = [_is_idle(one) for one in load.fresh]
    if False in each or load.held:
        return False
    return None if None in each else True


def _is_idle(one: Reading) -> bool | None:
    rates = (one.tokens_per_second, one.requests_per_second)
    told = [*_known((one.running, one.waiting)), *_known(rates)]
    if any(value > 0 for value in told):
        return False
    # A queue that is empty says nothing about what runs.
    tells = _sound(one.running) is not None or _known(rates)
    return True if tells else None


def _sound(value: float | None) -> float | None:
    """Return a measure that can be one: NaN, infinite and negative ones are unknown."""
    return value if value is not None and math.isfinite(value) and value >= 0 else None


def _known(values: Iterable[float | None]) -> list[float]:
    return [value for one in values if (value := _sound(one)) is not None]


def _missing(load: Load, known: int) -> int:
    """Return how many replicas lack, of those that are old enough to tell."""
    lacking = load.replicas - known
    return max(0, lacking - load.facts.young - load.failing)


def _ceil(value: float) -> int:
    return max(0, math.ceil(value - _LITTLE))


def _by_total(name: str, values: list[float], target: float, load: Load, extra: float = 0) -> Want:
    """Return what a load that can be moved from one replica to another asks for."""
    total, tolerance = math.fsum(values) + extra, load.policy.tolerance
    whole = len(values) >= load.replicas
    return Want(
        name,
        needs=_ceil(total / (target * (1 + tolerance))),
        best=_ceil(total / target),
        suffices=_ceil(total / (target * (1 - tolerance))) if whole else None,
        missing=_missing(load, len(values)),
    )


def _each(total: float, known: int) -> float:
    """Return the share of one of the replicas that told."""
    return total / max(1, known)


def _concurrency(load: Load, target: float) -> Want:
    values = [
        running + waiting
        for one in load.fresh
        if (running := _sound(one.running)) is not None
        and (waiting := _sound(one.waiting)) is not None
    ]
    want = _by_total(CONCURRENCY, values, target, load, load.held)
    each = _figure(_each(math.fsum(values), len(values)))
    return replace(want, told=f"{each} of {_figure(target)} requests each")


def _queue(load: Load, target: float) -> Want:
    """What leaves a replica joins the queues of the others, if these are full already.

    So with M of N replicas a queue is W + R·(N-M)/N at worst, and that is to be at most M times the
    target: hence M >= (W + R) / (target + R/N).
    """
    queues = _known(one.waiting for one in load.fresh)
    want = _by_total(QUEUE, queues, target, load, load.held)
    told = f"{_figure(_each(math.fsum(queues), len(queues)))} of {_figure(target)} waiting each"
    return replace(want, told=told, suffices=_enough_for_queue(load, want, queues, target))


def _enough_for_queue(load: Load, want: Want, queues: list[float], target: float) -> int | None:
    if want.suffices is None:
        return None
    running = _known(one.running for one in load.fresh)
    if len(running) >= load.replicas > 0:
        low, total = target * (1 - load.policy.tolerance), math.fsum(running)
        waiting = math.fsum(queues) + load.held
        return max(want.suffices, _ceil((waiting + total) / (low + total / load.replicas)))
    if RUNNING in load.facts.untold:
        # One at a time: nobody knows what the others can take.
        return max(want.suffices, load.replicas - 1)
    return None


def _kv_cache(load: Load, target: float) -> Want:
    """A cache that is full cannot be fuller, so half of what is left counts as too much."""
    values = _known(one.kv_cache for one in load.fresh)
    want, total = _by_total(KV_CACHE, values, target, load), math.fsum(values)
    most = min(target * (1 + load.policy.tolerance), (1 + target) / 2)
    each = 100 * _each(total, len(values))
    told = f"cache {_figure(each)} of {_figure(100 * target)} % full"
    return replace(want, needs=_ceil(total / most), told=told)


def _tokens(load: Load, target: float) -> Want:
    """What is served in a minute; or what comes now, if that is surely more.

    Of n requests that come by chance, one deviation is the root of n. By how much a burst exceeds
    what one replica can do, only what comes can tell; and it goes on coming at the same rate
    however long the queue is, so replicas that are on their way need not be waited for.
    """
    values = _known(one.tokens_per_second for one in load.fresh)
    extra = max(0.0, _surely_arriving(load) - math.fsum(values))
    want = _by_total(TOKENS, values, target, load, extra)
    each = _figure(_each(math.fsum(values) + extra, len(values)))
    return replace(want, told=f"{each} of {_figure(target)} tokens/s each", piles_up=False)


CERTAINTY = 2.0
"""Deviations by which a burst must exceed what chance does."""


def _surely_arriving(load: Load) -> float:
    """Return tokens per second that come, less what may be chance; 0 where that is not known."""
    told = [one for one in load.fresh if _known((one.arrived,)) and one.arrived_seconds > 0]
    sizes = _known(one.tokens_each for one in told)
    if not sizes:
        return 0.0
    arrived = math.fsum(_known(one.arrived for one in told))
    seconds = max(one.arrived_seconds for one in told)
    surely = max(0.0, arrived - CERTAINTY * math.sqrt(arrived))
    return _sound(surely / seconds * math.fsum(sizes) / len(sizes)) or 0.0


def _first_token(load: Load, target: float) -> Want:
    """A latency is no load to share out: it asks for a replica more, or allows one less.

    While replicas are on their way it asks for no more than these: they are the answer to it.
    """
    found = [pair for one in load.fresh if (pair := _latency(one)) is not None]
    count = math.fsum(weight for _, weight in found)
    seconds = math.fsum(value * weight for value, weight in found) / count if count else 0.0
    needs = _needed_for_latency(load, seconds / target)
    whole = len(found) >= load.replicas
    percentile = _figure(100 * load.policy.targets.first_token_percentile)
    return Want(
        FIRST_TOKEN,
        needs=needs,
        best=needs,
        suffices=max(needs, _enough_for_latency(load, count, seconds / target)) if whole else None,
        told=f"first token p{percentile} {_figure(seconds)} of {_figure(target)} s",
        missing=_missing(load, len(found)),
    )


def _latency(one: Reading) -> tuple[float, float] | None:
    """Return a percentile and how many requests it is of. Of no requests, nothing is missed."""
    count, seconds = _sound(one.first_tokens), _sound(one.first_token_seconds)
    if count is None:
        return None
    if count > 0:
        return None if seconds is None else (seconds, count)
    return (0.0, 0.0) if _is_idle(one) else None


def _needed_for_latency(load: Load, ratio: float) -> int:
    if ratio <= 1 + load.policy.tolerance:
        return 0
    asked = max(load.replicas + 1, _ceil(load.replicas * min(ratio, MOST_AT_ONCE)))
    return min(asked, load.facts.desired) if load.facts.coming else asked


def _enough_for_latency(load: Load, count: float, ratio: float) -> int:
    if not count:
        return 0
    return max(1, load.replicas - 1) if ratio <= AT_EASE else load.replicas


_SIGNALS: Mapping[str, Callable[[Load, float], Want]] = MappingProxyType(
    {
        CONCURRENCY: _concurrency,
        QUEUE: _queue,
        KV_CACHE: _kv_cache,
        TOKENS: _tokens,
        FIRST_TOKEN: _first_token,
    }
)


def _figure(value: float) -> str:
    """Return a number as people read it: three digits, no trailing zeros."""
    if value >= 100:
        return f"{value:.0f}"
    return f"{value:.3g}"
