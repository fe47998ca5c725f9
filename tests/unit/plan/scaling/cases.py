"""Policies, models and loads of which a test says only what matters to it."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from modelfleet.plan.scaling import (
    Decision,
    Facts,
    Memory,
    Policy,
    Reading,
    Samples,
    Targets,
    Window,
    decide,
)
from support.builders import NOON

ROUND = timedelta(seconds=15)
WAITED_OUT = Window(seconds=0)


def a_policy(**given: Any) -> Policy:
    """Return a policy for 10 requests in each of one to ten replicas, without tolerance."""
    wanted = {"targets": Targets(concurrency=10), "least": 1, "most": 10, "tolerance": 0.0}
    return Policy(**{**wanted, **given})


def some_facts(desired: int = 1, **given: Any) -> Facts:
    """Return a model of unknown price whose replicas are all ready, and that starts in 100 s."""
    known = {"ready": desired, "cold_start": 100.0, "gpus": 1}
    return Facts(**{"desired": desired, **known, **given})


def told(*in_flight: float | None, at: datetime = NOON, **given: Any) -> Samples:
    """Return what replicas told: their requests in flight. None: one that answered nothing."""
    return Samples(
        tuple(
            Reading(f"pod-{number}", at, **{"running": one, "waiting": 0.0, **given})
            for number, one in enumerate(in_flight)
            if one is not None
        )
    )


def decided(
    policy: Policy,
    facts: Facts,
    samples: Samples,
    memory: Memory | None = None,
    now: datetime = NOON,
) -> Decision:
    looked = Memory(seen_until=now - ROUND)
    return decide(policy, facts, samples, memory or looked, now)


def followed(
    policy: Policy,
    facts: Facts,
    loads: Sequence[float | None],
    memory: Memory | None = None,
    start: datetime = NOON,
) -> list[Decision]:
    """Return the decisions of a model that has its replicas at once; loads are in flight in all."""
    known, found, now = memory or Memory(), list[Decision](), start
    for load in loads:
        count = facts.desired
        each = [None if load is None else load / count] * count if count else []
        found.append(decide(policy, facts, told(*each, at=now), known, now))
        known, count = found[-1].memory, found[-1].replicas
        facts, now = replace(facts, desired=count, ready=count), now + ROUND
    return found
