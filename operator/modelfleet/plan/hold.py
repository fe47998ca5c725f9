"""What a gateway does with requests for a Model of which no replica answers: plain decisions.

A request is held if there is room, for as long as a start may take, and told when to come again
if not.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from modelfleet.api.conditions import Condition, ConditionType
from modelfleet.api.v1alpha1.model import Model
from modelfleet.plan.sleep import sleep_of
from modelfleet.plan.world import Endpoints, Key

LEAST_HOLD = 30.0
"""Seconds that a request is held at least, if the Model does not start: starts vary."""

STARTS = 2.0
"""Starts as long as the last one that a request waits for: the next may have to pull an image."""

UNMEASURED = 60.0
"""Seconds that a start is taken to last of which none was measured."""

OVERDUE = 0.1
"""Share of a start after which to come again where it lasts longer than the one before."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How much one gateway holds."""

    requests: int = 1000
    """Of one Model."""
    body_bytes: int = 64 * 2**20
    """Of one Model."""
    total_bytes: int = 512 * 2**20
    """Of all Models; no namespace takes more of it than it leaves free for others."""
    seconds: float = 600.0
    """Nobody waits longer; it is what OpenAI's clients wait for by default."""


@dataclass(frozen=True, slots=True)
class Held:
    """What a gateway holds when another request comes."""

    requests: int = 0
    """Of the same Model."""
    body_bytes: int = 0
    """Of the same Model."""
    namespace_bytes: int = 0
    """Of all Models in its namespace."""
    total_bytes: int = 0
    own_bytes: int = 0
    """Of the request itself, as far as it has come."""


@dataclass(frozen=True, slots=True)
class Start:
    """What is known of the start that a request waits for."""

    lasts: float | None
    """Seconds that the last one took; None: none was measured."""
    deadline: float
    """Seconds after which the Model's spec gives a start up."""
    began_at: datetime | None
    """When the Model stopped being ready; None: it sleeps, so that it begins now."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A Model as a gateway sees it."""

    key: Key
    uid: str
    sleep: str | None
    """The name of its sleep, by which it is woken; None: it is awake."""
    off: bool
    """No replica is asked for, and no request changes that."""
    start: Start
    trouble: str
    """Why it cannot start until a person acts; empty: it can."""
    backends: tuple[tuple[str, int], ...] = ()
    """Address and port of each replica that is ready."""


def target_for(model: Model, led_to: Iterable[Endpoints]) -> Target:
    """Return what a gateway sees of a Model and of the slices of its Service."""
    meta, measured = model.metadata, model.status.startup
    ready = _current(model, ConditionType.READY)
    stalled = _current(model, ConditionType.STALLED)
    starting = ready is not None and ready.status == "False"
    return Target(
        key=Key("Model", meta.namespace, meta.name),
        uid=meta.uid,
        sleep=sleep_of(model),
        off=model.spec.replicas == 0 and model.spec.autoscaling is None,
        start=Start(
            lasts=float(measured.total_seconds) if measured else None,
            deadline=float(model.spec.startup.deadline_seconds),
            began_at=datetime.fromisoformat(ready.last_transition_time)
            if ready is not None and starting
            else None,
        ),
        trouble=f"{stalled.reason}: {stalled.message}" if stalled else "",
        backends=tuple(
            (address, slice_.port)
            for slice_ in led_to
            if slice_.port is not None
            for address in slice_.ready
        ),
    )


def _current(model: Model, kind: ConditionType) -> Condition | None:
    """Return a condition that is about the spec as it is now."""
    generation = model.metadata.generation
    found = (one for one in model.status.conditions if one.type == kind)
    return next((one for one in found if one.observed_generation == generation), None)


@dataclass(frozen=True, slots=True)
class Refusal:
    """An answer that says no, as OpenAI's clients read it."""

    status: int
    code: str
    message: str
    retry_after: int | None = None
    """Seconds."""


def refusal_for(target: Target) -> Refusal | None:
    """Return why it is no use to wait for a Model, or None."""
    name = target.key.name
    if target.off:
        return Refusal(503, "model_off", f"{name} is scaled to zero; raise spec.replicas")
    if target.sleep is None and target.trouble:
        return Refusal(503, "model_cannot_start", f"{name} does not start. {target.trouble}")
    return None


def too_many(target: Target, limits: Limits, held: Held, now: datetime) -> Refusal | None:
    """Return why there is no room for one more request, or None."""
    if held.requests < limits.requests:
        return None
    message = f"{limits.requests} requests wait for {target.key.name} already; come again later"
    return Refusal(429, "too_many_held", message, retry_after(target.start, now))


def too_large(
    target: Target, limits: Limits, held: Held, size: int, now: datetime
) -> Refusal | None:
    """Return why there is no room for `size` more bytes of a request, or None."""
    if held.own_bytes + size > limits.body_bytes:
        most = f"a request may have {limits.body_bytes} bytes"
        return Refusal(413, "request_too_large", most)
    if held.body_bytes + size > limits.body_bytes:
        what = f"what waits for {target.key.name} takes {limits.body_bytes} bytes"
    elif held.namespace_bytes + size > limits.total_bytes - (held.total_bytes + size):
        what = f"this gateway has no more room for requests to namespace {target.key.namespace}"
    else:
        return None
    message = f"{what}; come again later"
    return Refusal(429, "too_much_held", message, retry_after(target.start, now))


def too_late(target: Target, seconds: float, now: datetime) -> Refusal:
    """Return what a request is told that has waited for so many seconds."""
    message = f"{target.key.name} was not ready within {seconds:.0f} s; come again later"
    return Refusal(503, "model_not_ready", message, retry_after(target.start, now))


def hold_for(start: Start, limits: Limits) -> float:
    """Return how many seconds a request waits at most."""
    usual = start.deadline if start.lasts is None else max(LEAST_HOLD, STARTS * start.lasts)
    return min(usual, limits.seconds)


def retry_after(start: Start, now: datetime) -> int:
    """Return in how many seconds the start should be over: what it takes less what has passed."""
    lasts = UNMEASURED if start.lasts is None else start.lasts
    passed = now - start.began_at if start.began_at else timedelta()
    left = max(lasts - passed.total_seconds(), OVERDUE * lasts)
    return max(1, math.ceil(left))
