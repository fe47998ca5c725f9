"""Killed right after any of its writes, the operator goes on as if nothing had been.

The oracle is Sieve's: an undisturbed run is the reference; after each step every child, the status
and the number of objects ever made must be the same.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

import pytest
import pytest_asyncio

from faults.chronicle import Chronicle, chronicle
from faults.life import Outcome, live
from support.requests_seen import Fault, Write
from support.running import Client

pytestmark = pytest.mark.asyncio(loop_scope="module")

AT_ONCE = 4
"""Lives side by side, each with an operator of its own: most of the time is waiting for pods."""


@dataclass(frozen=True)
class Reference:
    """The undisturbed life, and what disturbed ones are held against."""

    outcome: Outcome
    chronicle: Chronicle

    def why_different(self, outcome: Outcome) -> str | None:
        """Say what came out otherwise, or None."""
        for ours, theirs in zip(self.outcome.states, outcome.states, strict=True):
            for part, wanted in ours.items():
                if theirs[part] != wanted:
                    return f"after {ours['after']}: {part}: {theirs[part]} is not {wanted}"
        usual = self.chronicle.of(self.outcome.namespace)
        extra = self.chronicle.of(outcome.namespace) - usual
        return f"made or deleted more often: {dict(extra)}" if extra else None


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def reference(client: Client) -> AsyncIterator[Reference]:
    """Run the life once with nothing in its way."""
    async with chronicle(client) as kept:
        outcome = await live(client, lambda _: None)
        yield Reference(outcome, kept)


@pytest.mark.parametrize("fault", [Fault.KILL_UNANSWERED, Fault.KILL_ANSWERED])
async def test_a_crash_at_any_write_changes_nothing_in_the_end(
    client: Client, reference: Reference, fault: Fault
) -> None:
    room = asyncio.Semaphore(AT_ONCE)
    numbers = [write.number for write in reference.outcome.writes]

    async def disturbed(number: int) -> str | None:
        async with room:
            return await _why_different(client, reference, number, fault)

    troubles = await asyncio.gather(*map(disturbed, numbers))

    assert len(numbers) >= 10, "the life has fewer writes than it must have"
    assert "\n".join(filter(None, troubles)) == ""


async def _why_different(
    client: Client, reference: Reference, number: int, fault: Fault
) -> str | None:
    try:
        outcome = await live(client, _at(number, fault))
    except AssertionError as error:
        return f"at write {number}: {error}"
    trouble = reference.why_different(outcome)
    hit = next((write for write in outcome.writes if write.fault), "no write")
    return f"at {hit}: {trouble}; {outcome.log}" if trouble else None


def _at(number: int, fault: Fault) -> Callable[[Write], Fault | None]:
    return lambda write: fault if write.number == number else None
