"""Which pods leave, and in which order that is written."""

from dataclasses import replace

import pytest

from modelfleet.plan.leaving import leavers_for, marks_for, replicas_now
from modelfleet.plan.world import Deployment, Observed, Pod
from support.builders import NOON


def pod(name: str, **fields: object) -> Pod:
    return Pod(
        namespace="default", name=name, uid=f"uid-{name}", revision="r1", created_at=NOON,
        **{"ready": True, **fields},
    )  # fmt: skip


def world(*pods: Pod, asked: int | None = None, **in_flight: int) -> Observed:
    return Observed(
        now=NOON,
        engine=None,
        pods=pods,
        deployments={"r1": Deployment(name="chat-r1", revision="r1", replicas=asked or len(pods))},
        in_flight={f"uid-{name}": count for name, count in in_flight.items()},
    )


@pytest.mark.parametrize(
    ("seen", "count", "names"),
    [
        pytest.param(world(pod("a"), pod("b"), a=7, b=2), 1, ["b"], id="the least busy"),
        pytest.param(world(pod("a"), pod("b"), a=7), 1, ["a"], id="not the one that is unknown"),
        pytest.param(
            world(pod("a"), pod("b", serving=False), a=0, b=9), 1, ["b"], id="one marked already"
        ),
        pytest.param(
            world(pod("a"), pod("b", ready=False)), 1, [], id="one that is not ready needs no mark"
        ),
        pytest.param(world(pod("a"), pod("b")), 0, [], id="of all there is nothing to choose"),
        pytest.param(
            world(pod("a"), pod("b", serving=False)), 0, ["b"], id="a mark outlasts the choice"
        ),
        pytest.param(world(pod("a"), pod("b")), 2, [], id="none where none is too many"),
        pytest.param(
            world(pod("a"), pod("b", terminating=True)), 1, [], id="one that leaves by itself"
        ),
    ],
)
def test_leavers_for(seen: Observed, count: int, names: list[str]) -> None:
    assert [one.name for one in leavers_for({"r1": count}, seen)] == names


def test_a_ready_pod_is_marked_before_its_deployment_shrinks() -> None:
    seen = world(pod("a"), pod("b"), pod("c"), a=3, b=1, c=2)

    (mark,) = marks_for(leavers_for({"r1": 2}, seen), seen)

    assert (mark.name, mark.leaves) == ("b", True)
    assert replicas_now({"r1": 2}, seen) == {"r1": 3}

    told = replace(seen, pods=tuple(replace(one, serving=one.name != "b") for one in seen.pods))
    assert marks_for(leavers_for({"r1": 2}, told), told) == ()
    assert replicas_now({"r1": 2}, told) == {"r1": 2}


def test_a_mark_that_is_not_needed_any_more_is_taken_back() -> None:
    seen = world(pod("a"), pod("b", serving=False))

    (mark,) = marks_for(leavers_for({"r1": 2}, seen), seen)

    assert (mark.name, mark.leaves) == ("b", False)


def test_a_pod_that_is_not_ready_goes_at_once() -> None:
    seen = world(pod("a"), pod("b", ready=False))

    assert replicas_now({"r1": 1}, seen) == {"r1": 1}


def test_growing_and_emptying_wait_for_nothing() -> None:
    seen = world(pod("a"), pod("b"))

    assert replicas_now({"r1": 5}, seen) == {"r1": 5}
    assert replicas_now({"r1": 0}, seen) == {"r1": 0}
    assert replicas_now({"new": 1}, seen) == {"new": 1}
