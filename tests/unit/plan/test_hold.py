"""How long requests wait, when there is no room for one more, and when to come again."""

from typing import Any

import pytest

from modelfleet.api.conditions import Condition, timestamp
from modelfleet.api.v1alpha1.model import Model, ModelStatus, StartupPhases
from modelfleet.plan.hold import (
    Held,
    Limits,
    Start,
    hold_for,
    refusal_for,
    retry_after,
    target_for,
    too_large,
    too_many,
)
from modelfleet.plan.world import Endpoints
from support.builders import NOON, a_model, seconds_ago

LIMITS = Limits(requests=3, body_bytes=100, total_bytes=1000, seconds=600)


def a_start(
    lasts: float | None = 40.0, began: float | None = None, deadline: float = 1800.0
) -> Start:
    return Start(lasts, deadline, None if began is None else seconds_ago(began))


@pytest.mark.parametrize(
    ("start", "seconds"),
    [
        pytest.param(a_start(40), 80, id="two starts"),
        pytest.param(a_start(5), 30, id="but not less than half a minute"),
        pytest.param(a_start(900), 600, id="nor more than is allowed"),
        pytest.param(
            a_start(None, deadline=120), 120, id="unmeasured, as long as a start may take"
        ),
        pytest.param(a_start(None), 600, id="within what is allowed"),
    ],
)
def test_a_request_waits_for(start: Start, seconds: float) -> None:
    assert hold_for(start, LIMITS) == seconds


@pytest.mark.parametrize(
    ("start", "seconds"),
    [
        pytest.param(a_start(40), 40, id="asleep, a whole start"),
        pytest.param(a_start(40, began=15), 25, id="under way, what is left of it"),
        pytest.param(a_start(40, began=39.5), 4, id="nearly over, a tenth of it"),
        pytest.param(a_start(40, began=300), 4, id="overdue, a tenth of it"),
        pytest.param(a_start(2, began=300), 1, id="never less than a second"),
        pytest.param(a_start(None), 60, id="unmeasured, a minute"),
    ],
)
def test_come_again_in(start: Start, seconds: int) -> None:
    assert retry_after(start, NOON) == seconds


@pytest.mark.parametrize(("held", "status"), [(0, None), (2, None), (3, 429), (4, 429)])
def test_the_cap_is_exact_to_the_request(held: int, status: int | None) -> None:
    refusal = too_many(target_for(a_model(), ()), LIMITS, Held(requests=held), NOON)

    assert (refusal.status if refusal else None) == status


@pytest.mark.parametrize(
    ("held", "size", "code"),
    [
        pytest.param(Held(), 100, None, id="as large as allowed"),
        pytest.param(Held(), 101, "request_too_large", id="a byte larger"),
        pytest.param(
            Held(body_bytes=60, own_bytes=60), 41, "request_too_large", id="larger, in two parts"
        ),
        pytest.param(Held(body_bytes=60), 40, None, id="the last room of its Model"),
        pytest.param(Held(body_bytes=60), 41, "too_much_held", id="a byte beyond it"),
        pytest.param(
            Held(namespace_bytes=450, total_bytes=450),
            50,
            None,
            id="its namespace takes half of all",
        ),
        pytest.param(
            Held(namespace_bytes=450, total_bytes=450),
            51,
            "too_much_held",
            id="a byte more than half",
        ),
        pytest.param(
            Held(namespace_bytes=0, total_bytes=950), 25, None, id="another finds room all the same"
        ),
        pytest.param(
            Held(namespace_bytes=0, total_bytes=950), 26, "too_much_held", id="half of what is left"
        ),
    ],
)
def test_bytes_are_bounded_and_shared_between_namespaces(
    held: Held, size: int, code: str | None
) -> None:
    refusal = too_large(target_for(a_model(), ()), LIMITS, held, size, NOON)

    assert (refusal.code if refusal else None) == code


def told(kind: str, status: str, reason: str = "CrashLoop", generation: int = 1) -> Condition:
    return Condition.model_validate(
        {
            "type": kind,
            "status": status,
            "reason": reason,
            "message": "it exits at once. Look at its log",
            "lastTransitionTime": timestamp(seconds_ago(30)),
            "observedGeneration": generation,
        }
    )


def annotated(model: Model, **own: str) -> Model:
    annotations = {f"modelfleet.dev/{key}": value for key, value in own.items()}
    metadata = model.metadata.model_copy(update={"annotations": annotations})
    return model.model_copy(update={"metadata": metadata})


def with_conditions(*conditions: Condition, **spec: Any) -> Model:
    return a_model(status=ModelStatus(conditions=conditions), **spec)


def test_a_model_that_cannot_start_tells_the_cause_and_the_remedy_to_those_who_wait() -> None:
    model = with_conditions(told("Ready", "False"), told("Stalled", "True"))

    refusal = refusal_for(target_for(model, ()))

    assert refusal is not None
    assert refusal.status == 503
    assert refusal.message == ("chat does not start. CrashLoop: it exits at once. Look at its log")


def test_trouble_of_an_older_spec_or_before_a_sleep_is_none() -> None:
    stalled = told("Stalled", "True")
    changed = with_conditions(stalled, generation=2)
    sleeping = annotated(with_conditions(stalled), sleep="1")

    assert refusal_for(target_for(changed, ())) is None
    assert refusal_for(target_for(sleeping, ())) is None


def test_nobody_waits_for_a_model_that_is_off() -> None:
    refusal = refusal_for(target_for(a_model(replicas=0), ()))

    assert refusal is not None
    assert refusal.code == "model_off"


def test_a_gateway_sees_the_sleep_the_start_and_the_replicas() -> None:
    phases = StartupPhases(
        scheduling_seconds=1, pulling_seconds=2, loading_seconds=40, total_seconds=43
    )
    status = ModelStatus(startup=phases, conditions=(told("Ready", "False", "LoadingModel"),))
    model = annotated(a_model(status=status), sleep="b", wake="a")

    target = target_for(model, [Endpoints("chat", 8000, ("10.0.0.1", "10.0.0.2"))])

    assert target.sleep == "b"
    assert target.start == Start(43.0, 1800.0, seconds_ago(30))
    assert target.backends == (("10.0.0.1", 8000), ("10.0.0.2", 8000))
