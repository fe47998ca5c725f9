"""What a Model's status says, when it is written, and which events come of it."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelfleet.api.conditions import Reason, timestamp
from modelfleet.api.v1alpha1.model import Model, ModelStatus, StartupPhases
from modelfleet.api.v1alpha1.rollout import RolloutStatus
from modelfleet.plan.rollout import Progress, remembered, rollout_for
from modelfleet.plan.status import (
    Problem,
    is_urgent,
    notices_for,
    status_for,
    unreadable_status_for,
)
from modelfleet.plan.world import Key, Observed, Pod, Unreadable
from support.builders import (
    NOON,
    a_crashing_pod,
    a_loading_pod,
    a_model,
    a_pending_pod,
    a_pod,
    a_pool,
    a_world,
    later,
)


def report(
    model: Model, seen: Observed, wanted: str | None = "new", problem: Problem | None = None
) -> ModelStatus:
    """Return the status as the operator decides it."""
    return status_for(model, seen, wanted, rollout_for(model, wanted, seen), problem)


def told(status: ModelStatus) -> tuple[str, str, list[str]]:
    """Return Ready's reason and message, and the abnormal conditions."""
    ready, *abnormal = status.conditions
    assert ready.type == "Ready"
    assert (ready.status == "True") == (not abnormal)
    assert all((one.reason, one.message) == (ready.reason, ready.message) for one in abnormal)
    return ready.reason, ready.message, [one.type for one in abnormal]


def old_pods(count: int) -> list[Pod]:
    return [a_pod(f"chat-old-{at}", revision="old") for at in range(count)]


def test_all_is_well() -> None:
    status = report(a_model(replicas=2, generation=7), a_world([a_pod("1"), a_pod("2")]))

    assert told(status) == ("AllReplicasReady", "2 replicas are ready, all of revision new", [])
    assert (status.replicas, status.ready_replicas) == (2, 2)
    assert status.observed_generation == 7
    assert status.conditions[0].observed_generation == 7
    assert status.current_revision == status.stable_revision == "new"
    assert status.selector == "modelfleet.dev/model=chat"
    assert status.endpoint == "http://chat.team-search.svc/v1"
    assert status.startup is not None


def test_a_model_at_zero_is_what_was_asked_for() -> None:
    status = report(a_model(replicas=0), a_world())

    assert told(status) == ("ScaledToZero", "scaled to zero; raise spec.replicas to serve it", [])
    assert status.stable_revision is None


def test_on_the_way_to_zero_it_waits() -> None:
    status = report(a_model(replicas=0), a_world([a_pod()]))

    assert told(status) == (
        "RollingOut",
        "1 replica too many is leaving; revision new is the only one",
        ["Reconciling"],
    )


def test_at_first_it_is_created() -> None:
    status = report(a_model(), a_world())

    assert told(status)[0] == "Creating"
    assert told(status)[2] == ["Reconciling"]


def test_trouble_that_passes_reconciles() -> None:
    seen = a_world([a_pending_pod(unschedulable="0/1 nodes")], pools=[a_pool(free=[0])])

    assert told(report(a_model(), seen))[::2] == ("WaitingForCapacity", ["Reconciling"])


def test_trouble_that_needs_a_person_stalls() -> None:
    assert told(report(a_model(), a_world([a_crashing_pod()])))[::2] == ("CrashLoop", ["Stalled"])


def test_a_problem_of_the_spec_goes_before_everything() -> None:
    problem = (Reason.UNKNOWN_ENGINE, "spec.engine.name: there is no engine 'x'")

    status = report(a_model(), a_world(old_pods(1)), None, problem)

    assert told(status) == (
        "UnknownEngine",
        "spec.engine.name: there is no engine 'x'; 1 of revision old still serves",
        ["Stalled"],
    )
    assert status.ready_replicas == 1


# Several revisions


def test_a_rollout_says_what_keeps_its_pods_from_every_node() -> None:
    nowhere = "0/4 nodes are available: 4 node(s) didn't match Pod's node affinity/selector."
    pods = [a_pending_pod(unschedulable=nowhere), *old_pods(1)]
    seen = a_world(pods, pools=[a_pool(free=[8])])

    reason, message, abnormal = told(
        report(a_model(podTemplate={"nodeSelector": {"disk": "nvme"}}), seen)
    )

    assert (reason, abnormal) == ("RollingOut", ["Reconciling"])
    assert "didn't match Pod's node affinity/selector" in message


def test_a_rollout_says_how_far_it_is_and_why_it_goes_so() -> None:
    pods = [a_pod("chat-new-1"), *old_pods(2)]
    seen = a_world(pods, deployments={"new": 1, "old": 2}, pools=[a_pool(free=[0])])
    model = a_model(replicas=3, status=ModelStatus(stable_revision="old"))

    status = report(model, seen)

    assert told(status) == (
        "RollingOut",
        "1 of 3 replicas of revision new ready; 2 of revision old still serve; "
        "1 GPU asked; pool h100 has 0 free of 8; old replicas give way one at a time",
        ["Reconciling"],
    )
    assert (status.replicas, status.ready_replicas) == (3, 3)
    assert (status.current_revision, status.stable_revision) == ("new", "old")


def test_a_broken_revision_says_who_still_serves() -> None:
    seen = a_world([a_crashing_pod(), *old_pods(2)])

    reason, message, abnormal = told(report(a_model(replicas=2), seen))

    assert (reason, abnormal) == ("CrashLoop", ["Stalled"])
    assert message.endswith("; 2 of revision old still serve")


def test_loading_is_no_trouble_of_a_rollout() -> None:
    seen = a_world([a_loading_pod(), *old_pods(1)])

    assert told(report(a_model(), seen))[0] == "RollingOut"


def test_an_old_replica_that_still_serves_is_not_what_was_asked_for() -> None:
    seen = a_world([a_pod(), *old_pods(1)])

    status = report(a_model(), seen)

    assert told(status)[0] == "RollingOut"
    assert status.stable_revision == "new", "the new one has proven itself"


def test_an_old_replica_that_leaves_does_not_count() -> None:
    leaving = replace(old_pods(1)[0], terminating=True)

    assert told(report(a_model(), a_world([a_pod(), leaving])))[0] == "AllReplicasReady"


def test_a_revision_that_is_not_fully_ready_is_not_stable() -> None:
    model = a_model(replicas=2, status=ModelStatus(stable_revision="old"))

    assert report(model, a_world([a_pod()])).stable_revision == "old"


def test_a_pause_is_a_persons_to_end() -> None:
    status = report(a_model(paused=True), a_world(old_pods(1)))

    assert told(status) == (
        "Paused",
        "spec.paused holds revision new back. Set spec.paused to false to go on; "
        "1 of revision old still serves",
        ["Stalled"],
    )


def test_a_pause_without_a_change_keeps_it_ready() -> None:
    assert told(report(a_model(paused=True), a_world([a_pod()])))[0] == "AllReplicasReady"


# What stays


def test_the_last_start_is_remembered() -> None:
    known = StartupPhases(
        scheduling_seconds=1, pulling_seconds=2, loading_seconds=3, total_seconds=6
    )
    model = a_model(status=ModelStatus(startup=known))

    assert report(model, a_world([a_pod(restarts=1)])).startup == known


def test_a_transition_has_the_time_at_which_it_came() -> None:
    seen = a_world([a_pod()])
    first = report(a_model(), seen)
    loading = replace(later(seen, 60), pods=(a_loading_pod(),))

    same = report(a_model(status=first), later(seen, 60))
    changed = report(a_model(status=first), loading)

    assert same == first
    assert changed.conditions[0].last_transition_time == timestamp(loading.now)


def test_a_spec_that_cannot_be_read_keeps_what_is_known() -> None:
    old = report(a_model(), a_world([a_pod()]))
    broken = Unreadable(
        Key("Model", "team-search", "chat"), "uid", 9, "spec.\x00engine: missing", old
    )

    status = unreadable_status_for(broken, NOON)

    assert told(status) == (
        "InvalidSpec",
        "the spec cannot be read: spec. engine: missing. Apply a corrected spec",
        ["Stalled"],
    )
    assert status.observed_generation == 9
    assert (status.ready_replicas, status.endpoint) == (1, old.endpoint)


# Events and urgency

WELL = report(a_model(), a_world([a_pod()]))
LOADING = report(a_model(), a_world([a_loading_pod()]))
PENDING = report(a_model(), a_world([a_pending_pod()]))
BROKEN = report(a_model(), a_world([a_crashing_pod()]))
REFUSED = report(a_model(), a_world(), None, (Reason.POOL_MISSING, "no pool"))
FRESH = ModelStatus()


@pytest.mark.parametrize(
    ("old", "new", "events"),
    [
        pytest.param(FRESH, LOADING, [], id="phases are no events"),
        pytest.param(PENDING, LOADING, [], id="the next phase neither"),
        pytest.param(LOADING, WELL, [("Normal", "AllReplicasReady")], id="ready"),
        pytest.param(WELL, WELL, [], id="still ready"),
        pytest.param(WELL, LOADING, [], id="not ready for a while"),
        pytest.param(LOADING, BROKEN, [("Warning", "CrashLoop")], id="a person is needed"),
        pytest.param(BROKEN, REFUSED, [("Warning", "PoolMissing")], id="for another reason"),
        pytest.param(BROKEN, BROKEN, [], id="still needed"),
    ],
)
def test_notices_for(old: ModelStatus, new: ModelStatus, events: list[tuple[str, str]]) -> None:
    assert [(notice.type, notice.reason) for notice in notices_for(old, new)] == events


@pytest.mark.parametrize(
    ("old", "new", "urgent"),
    [
        pytest.param(FRESH, LOADING, True, id="first seen"),
        pytest.param(PENDING, LOADING, False, id="the next phase"),
        pytest.param(LOADING, WELL, True, id="ready"),
        pytest.param(LOADING, BROKEN, True, id="stalled"),
        pytest.param(WELL, WELL, False, id="nothing new"),
    ],
)
def test_is_urgent(old: ModelStatus, new: ModelStatus, urgent: bool) -> None:
    assert is_urgent(old, new) is urgent


def test_one_more_of_many_can_wait() -> None:
    pods = [a_loading_pod(f"chat-new-{at}") for at in range(9)]
    two, three = (
        report(
            a_model(replicas=9),
            a_world([*(replace(pod, ready=True) for pod in pods[:n]), *pods[n:]]),
        )
        for n in (2, 3)
    )

    assert two.ready_replicas != three.ready_replicas
    assert not is_urgent(two, three)


# Any world at all


def worlds() -> st.SearchStrategy[Observed]:
    pod = st.sampled_from([a_pod, a_loading_pod, a_pending_pod, a_crashing_pod])
    member = st.tuples(pod, st.sampled_from(["new", "old", "older"]), st.booleans())
    return st.lists(member, max_size=6).map(
        lambda found: a_world(
            make(f"chat-{at}", revision=revision, terminating=leaving)
            for at, (make, revision, leaving) in enumerate(found)
        )
    )


@given(worlds(), st.integers(0, 3), st.sampled_from(["new", None]))
def test_exactly_one_story_is_told(seen: Observed, replicas: int, wanted: str | None) -> None:
    status = report(a_model(replicas=replicas), seen, wanted)

    ready, *abnormal = status.conditions
    assert [one.type for one in abnormal] in ([], ["Reconciling"], ["Stalled"])
    assert (ready.status == "True") == (not abnormal)
    assert len(ready.message.encode()) <= 1024
    if ready.status == "True":
        assert status.ready_replicas == status.replicas == replicas


@given(worlds(), st.integers(0, 3), st.integers(0, 300))
def test_a_second_look_changes_nothing(seen: Observed, replicas: int, seconds: int) -> None:
    first = report(a_model(replicas=replicas), seen)

    again = report(a_model(replicas=replicas, status=first), later(seen, seconds))

    assert again == first
    assert notices_for(first, again) == ()
    assert not is_urgent(first, again)


# Canaries


def a_canary(kept: Progress, replicas: int = 2, namespace: str = "team-search") -> Model:
    """Return a Model whose canary of revision new is at this."""
    own = {"strategy": "Canary", "revision": "new"}
    rollout = RolloutStatus.model_validate(own | remembered(kept, 2))
    status = ModelStatus(stable_revision="old", rollout=rollout)
    model = a_model(replicas=replicas, rollout={"strategy": "Canary"}, status=status)
    metadata = model.metadata.model_copy(update={"namespace": namespace})
    return model.model_copy(update={"metadata": metadata})


RUNNING = Progress(revision="new", started_at=NOON)
GIVEN_UP = RUNNING.failing("14 of 240 requests failed, stable 2 of 2150")


def conditions(status: ModelStatus) -> dict[str, tuple[str, str]]:
    return {one.type: (one.status, one.reason) for one in status.conditions}


@pytest.mark.parametrize(("olds", "ready"), [(1, "True"), (0, "False")])
def test_a_canary_is_part_of_what_is_ready(olds: int, ready: str) -> None:
    seen = a_world([a_pod(), *old_pods(olds)], deployments={"new": 1, "old": 1})

    status = report(a_canary(RUNNING), seen)

    assert conditions(status) == {
        "Ready": (ready, "RollingOut"),
        "Reconciling": ("True", "RollingOut"),
    }
    assert status.stable_revision == "old"


def test_a_canary_with_all_replicas_is_not_stable_before_its_steps_are_over() -> None:
    seen = a_world([a_pod(), *old_pods(1)], deployments={"new": 1, "old": 1})

    assert report(a_canary(RUNNING, replicas=1), seen).stable_revision == "old"


def test_a_given_up_canary_stalls_while_the_model_is_ready() -> None:
    seen = a_world(old_pods(2), deployments={"new": 0, "old": 2})

    status = report(a_canary(GIVEN_UP), seen)

    assert conditions(status) == {
        "Ready": ("True", "RolloutFailed"),
        "Stalled": ("True", "RolloutFailed"),
    }
    assert status.conditions[0].message == (
        "revision new was given up: 14 of 240 requests failed, stable 2 of 2150. Change the spec, "
        "or try it again: kubectl annotate model -n team-search chat --overwrite "
        "modelfleet.dev/retry=<any new value>; 2 of revision old still serve"
    )


def test_a_replica_that_gets_no_traffic_does_not_make_it_ready() -> None:
    seen = a_world([a_pod(), *old_pods(1)], deployments={"new": 1, "old": 1})

    assert conditions(report(a_canary(GIVEN_UP), seen))["Ready"] == ("False", "RolloutFailed")


def test_the_remedy_stays_whole_whatever_the_evidence() -> None:
    kept = RUNNING.failing("ß" * 1000)

    (ready, *_) = report(a_canary(kept, namespace="n" * 63), a_world(old_pods(2))).conditions

    assert len(ready.message.encode()) <= 1024
    assert "modelfleet.dev/retry=<any new value>; 2 of revision old" in ready.message


def test_a_fail_is_one_event_and_a_step_is_none() -> None:
    seen = a_world([a_pod(), *old_pods(1)], deployments={"new": 1, "old": 1})
    fine = report(a_model(replicas=2), a_world([a_pod("1"), a_pod("2")]))
    step = report(a_canary(RUNNING), seen)
    fail = report(a_canary(GIVEN_UP), a_world(old_pods(2), deployments={"new": 0, "old": 2}))

    assert notices_for(fine, step) == ()
    (notice,) = notices_for(step, fail)
    assert (notice.type, notice.reason) == ("Warning", "RolloutFailed")


@pytest.mark.parametrize(
    "change",
    [{"step": 2}, {"failed_revision": "new"}, {"memory": "[]"}, {"step_started_at": None}],
)
def test_what_the_next_look_acts_on_is_written_at_once(change: dict[str, object]) -> None:
    before = report(a_canary(RUNNING), a_world(old_pods(2)))
    assert before.rollout
    after = before.model_copy(update={"rollout": before.rollout.model_copy(update=change)})

    assert is_urgent(before, after)


def test_a_paused_model_remembers_its_canary() -> None:
    model = a_canary(GIVEN_UP)
    model = model.model_copy(update={"spec": model.spec.model_copy(update={"paused": True})})

    status = report(model, a_world(old_pods(2)))

    assert status.rollout
    assert status.rollout.failed_revision == "new"
    assert status.rollout.message == "spec.paused holds everything as it is"
