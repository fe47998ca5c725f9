"""What a canary remembers, and what a person may say to it."""

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelfleet.api.v1alpha1.model import Model, ModelStatus
from modelfleet.api.v1alpha1.rollout import RolloutStatus
from modelfleet.plan.analysis import Memory
from modelfleet.plan.rollout.progress import Progress, progress_of, remembered
from support.builders import NOON, a_model

STEPS = 3
RUNNING = Progress(revision="new", step=2, started_at=NOON, verdict="Pass", evidence="all well")
FAILED = RUNNING.failing("too many errors")
PROMOTED = RUNNING.promoting()


def a_canary(kept: Progress | None, paused: bool = False, **annotations: str) -> Model:
    """Return a Model whose status remembers this; annotations by their names without the domain."""
    status = ModelStatus()
    if kept is not None:
        own = {"strategy": "Canary", "revision": kept.revision}
        rollout = RolloutStatus.model_validate(own | remembered(kept, STEPS))
        status = ModelStatus(rollout=rollout)
    model = a_model(status=status, rollout={"strategy": "Canary", "paused": paused})
    noted = {f"modelfleet.dev/{name}": value for name, value in annotations.items()}
    metadata = model.metadata.model_copy(update={"annotations": noted})
    return model.model_copy(update={"metadata": metadata})


def read(kept: Progress | None, wanted: str = "new", **said: Any) -> Progress:
    return progress_of(a_canary(kept, **said), wanted)


@pytest.mark.parametrize("kept", [RUNNING, FAILED, PROMOTED, Progress(revision="new")])
def test_what_is_written_is_read(kept: Progress) -> None:
    found = read(kept)

    assert (found.failed, found.promoted) == (kept.failed, kept.promoted)
    assert (found.verdict, found.evidence) == (kept.verdict, kept.evidence)
    assert found.started_at == kept.started_at
    assert found.promoted or found.step == kept.step


@given(
    step=st.integers(1, STEPS),
    started=st.none() | st.datetimes(timezones=st.just(UTC)).filter(lambda one: one.year > 1000),
    requests=st.floats(0, 1e9),
    retried=st.none() | st.text(min_size=1, max_size=253),
)
def test_reading_and_writing_again_changes_nothing(
    step: int, started: datetime | None, requests: float, retried: str | None
) -> None:
    said = {"retry": retried} if retried else {}
    kept = Progress(
        revision="new", step=step, started_at=started, memory=Memory(requests=requests),
        retried=retried,
    )  # fmt: skip

    once = remembered(read(kept, **said), STEPS)
    again = RolloutStatus.model_validate({"strategy": "Canary", "revision": "new", **once})

    model = a_canary(None, **said)
    model = model.model_copy(update={"status": ModelStatus(rollout=again)})
    assert remembered(progress_of(model, "new"), STEPS) == once


@pytest.mark.parametrize(
    ("kept", "said", "wanted"),
    [
        pytest.param(None, {}, Progress(revision="new"), id="nothing is known"),
        pytest.param(
            Progress(revision="other", step=2), {}, Progress(revision="new"), id="another revision"
        ),
        pytest.param(RUNNING, {"promote": "other"}, RUNNING, id="promote another"),
        pytest.param(RUNNING, {"abort": "other"}, RUNNING, id="abort another"),
        pytest.param(RUNNING, {"promote": "new"}, PROMOTED, id="promote"),
        pytest.param(RUNNING, {"promote": "new", "paused": True}, RUNNING, id="promote, paused"),
        pytest.param(PROMOTED, {"abort": "new"}, PROMOTED, id="abort too late"),
        pytest.param(FAILED, {"promote": "new"}, FAILED, id="promote too late"),
        pytest.param(FAILED, {}, FAILED, id="it stays failed"),
        pytest.param(FAILED, {"retry": "1"}, Progress(revision="new", retried="1"), id="retry"),
    ],
)
def test_what_a_person_says(kept: Progress | None, said: Any, wanted: Progress) -> None:
    found = read(kept, **said)

    assert remembered(found, STEPS) == remembered(wanted, STEPS)


def test_abort_fails_whatever_else_is_said() -> None:
    for kept in (None, RUNNING):
        found = read(kept, abort="new", promote="new", retry="1")

        assert found.failed
        assert "modelfleet.dev/abort" in found.evidence


def test_a_retry_from_before_the_fail_is_none() -> None:
    before = read(RUNNING, retry="1")
    failed = before.failing("too many errors")

    assert read(failed, retry="1").failed
    assert not read(failed, retry="2").failed


def test_a_retry_that_is_taken_away_is_none() -> None:
    failed = read(RUNNING, retry="1").failing("too many errors")

    assert read(failed).failed


def test_long_values_of_retry_are_told_apart_by_what_is_kept() -> None:
    found = read(FAILED, retry="x" * 4000)

    assert len(found.retried or "") == 253
    assert read(found.failing("again"), retry="x" * 4000).failed


@pytest.mark.parametrize("garbage", ["", "[]", "{", '["2",null]', "null"])
def test_a_memory_that_cannot_be_read_is_a_beginning(garbage: str) -> None:
    model = a_canary(RUNNING)
    assert model.status.rollout
    rollout = model.status.rollout.model_copy(update={"memory": garbage})
    model = model.model_copy(update={"status": ModelStatus(rollout=rollout)})

    assert progress_of(model, "new").memory == Memory()


def test_an_instant_that_there_is_not_is_unknown() -> None:
    rollout = RolloutStatus(
        strategy="Canary", revision="new", step=1, steps=2, step_started_at="2026-02-31T00:00:00Z"
    )
    model = a_model(status=ModelStatus(rollout=rollout))

    assert progress_of(model, "new").started_at is None


def test_the_last_step_ends_in_promotion() -> None:
    progress = Progress(revision="new", started_at=NOON)

    second = progress.passing(2)
    assert (second.step, second.started_at, second.promoted) == (2, None, False)
    assert second.passing(2).promoted


def test_evidence_fits_into_the_status() -> None:
    assert len(RUNNING.failing("ß" * 5000).evidence.encode()) <= 1024
