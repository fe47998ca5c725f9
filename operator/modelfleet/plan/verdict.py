"""From one verdict to the conditions and events that tell it, alike for every kind."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from modelfleet.api.conditions import Condition, ConditionType, Reason, Truth, merge, timestamp
from modelfleet.plan.world import Notice

MOST_BYTES = 1024
"""What the API server takes as the note of an event; condition messages keep to it as well."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What `Ready` says, and which abnormal condition goes with it: none where all is well."""

    reason: Reason
    message: str
    abnormal: ConditionType | None = None
    serves: bool = False
    """`Ready` is True all the same: as many replicas serve as are asked for."""


def conditions_for(
    verdict: Verdict, generation: int, old: Iterable[Condition], now: datetime
) -> tuple[Condition, ...]:
    """Return all conditions. `Reconciling` and `Stalled` are absent when all is well (kstatus)."""

    def told(kind: ConditionType, status: Truth) -> Condition:
        return Condition(
            type=kind,
            status=status,
            reason=verdict.reason,
            message=within(verdict.message, MOST_BYTES),
            last_transition_time=timestamp(now),
            observed_generation=generation,
        )

    if verdict.abnormal is None:
        return merge(old, (told(ConditionType.READY, "True"),))
    ready: Truth = "True" if verdict.serves else "False"
    return merge(old, (told(ConditionType.READY, ready), told(verdict.abnormal, "True")))


def within(text: str, most: int) -> str:
    """Return `text` in at most `most` bytes, with an ellipsis where it was cut."""
    encoded = text.encode("utf-8", "replace")
    if len(encoded) <= most:
        return encoded.decode()
    return encoded[: most - 3].decode("utf-8", "ignore").rstrip() + "…"


def notices_between(old: Iterable[Condition], new: Iterable[Condition]) -> tuple[Notice, ...]:
    """Return the events of a change that a user acts on: ready, or a person is needed."""
    before, new = {condition.type: condition for condition in old}, tuple(new)
    abnormal = {one.reason for one in new if one.type != ConditionType.READY}
    return tuple(
        Notice(type=_EVENT[condition.type], reason=condition.reason, note=condition.message)
        for condition in new
        if condition.type in _EVENT
        and (condition.type != ConditionType.READY or condition.reason not in abnormal)
        and condition.status == "True"
        and _differs(before.get(condition.type), condition)
    )


_EVENT: dict[str, Literal["Normal", "Warning"]] = {
    ConditionType.READY: "Normal",
    ConditionType.STALLED: "Warning",
}


def _differs(old: Condition | None, new: Condition) -> bool:
    return old is None or (old.status, old.reason) != (new.status, new.reason)
