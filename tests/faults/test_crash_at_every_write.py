"""Killed right after any of its writes, the operator goes on as if nothing had been."""

from collections.abc import Callable

import pytest

from faults.reference import Reference
from support.requests_seen import Fault, Write

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.mark.parametrize(
    "fault", [Fault.KILL_UNANSWERED, Fault.KILL_ANSWERED], ids=lambda f: f.name
)
async def test_a_crash_at_any_write_changes_nothing_in_the_end(
    reference: Reference, fault: Fault
) -> None:
    numbers = [write.number for write in reference.outcome.writes]

    differences = await reference.differences(_at(number, fault) for number in numbers)

    assert len(numbers) >= 10, "the life has fewer writes than it must have"
    assert differences == ""


def _at(number: int, fault: Fault) -> Callable[[Write], Fault | None]:
    return lambda write: fault if write.number == number else None
