"""What Models have promised to themselves is not free for others."""

from dataclasses import replace

import pytest

from modelfleet.api.v1alpha1.model import ModelStatus
from modelfleet.api.v1alpha1.rollout import RolloutStatus
from modelfleet.plan.claims import Reservation, claim_for, room_left, taken_by
from modelfleet.plan.rollout import rollout_for
from modelfleet.plan.world import Claim, Deployment, Observed, Pod
from support.builders import GPU, NOON, a_model, a_pod, a_pool


def a_claim(gpus: int, replicas: int, *pools: str) -> Claim:
    return Claim(gpus=gpus, replicas=replicas, pools=frozenset(pools or ("h100",)))


def pool_with(blocks: dict[int, int]):
    return replace(a_pool("h100"), free_blocks=blocks)


@pytest.mark.parametrize(
    ("claims", "gpus", "blocks", "taken"),
    [
        pytest.param([], 1, {8: 1}, 0, id="nothing is claimed"),
        pytest.param([a_claim(1, 3)], 1, {8: 1}, 3, id="like for like"),
        pytest.param([a_claim(4, 1)], 1, {8: 1}, 4, id="one large claim takes room for four"),
        pytest.param([a_claim(1, 1)], 4, {8: 1}, 1, id="one GPU can spoil a block of four"),
        pytest.param([a_claim(8, 5)], 1, {4: 2}, 0, id="a claim that fits nowhere takes nothing"),
        pytest.param([a_claim(8, 5)], 8, {8: 2}, 2, id="no more than there is"),
        pytest.param([a_claim(1, 3, "a10")], 1, {8: 1}, 0, id="another pool's claim"),
    ],
)
def test_taken_by(claims, gpus, blocks, taken):
    assert taken_by(claims, gpus, [pool_with(blocks)]) == taken


def test_a_claim_is_what_has_no_node_yet():
    model = a_model(replicas=3, gpus=2)
    pods = tuple(
        Pod(namespace="n", name=f"p{i}", uid=f"u{i}", revision="r1", node=node)
        for i, node in enumerate(["node-1", None])
    )
    seen = Observed(now=NOON, engine=None, pools={"h100": pool_with({8: 1})}, pods=pods)

    assert claim_for(model, {"r1": 3}, seen) == a_claim(2, 2)
    assert claim_for(model, {"r1": 1}, seen) is None
    assert claim_for(a_model(gpus=0), {"r1": 3}, seen) is None


@pytest.mark.parametrize(
    ("message", "claimed"),
    [
        (None, 2),
        (f"0/3 nodes are available: 3 Insufficient {GPU}.", 2),
        (f"0/3 nodes are available: 1 Insufficient {GPU}, 2 Insufficient cpu.", 2),
        ("0/3 nodes are available: 3 Insufficient cpu.", 1),
        ("0/3 nodes are available: 3 node(s) didn't match Pod's node affinity/selector.", 1),
    ],
)
def test_a_pod_that_lacks_something_else_claims_no_gpu(message, claimed):
    waiting = replace(a_pod("p1", revision="r1", node=None, ready=False), unschedulable=message)
    seen = Observed(now=NOON, engine=None, pools={"h100": pool_with({8: 1})}, pods=(waiting,))

    assert claim_for(a_model(replicas=2), {"r1": 2}, seen) == a_claim(1, claimed)


def test_replicas_that_the_api_server_refuses_claim_no_gpu():
    pods = (a_pod("p1", revision="r1"), a_pod("p2", revision="r1", node=None, ready=False))
    refused = Deployment(name="chat-r1", revision="r1", replicas=8, failure="exceeded quota: most")
    seen = Observed(
        now=NOON,
        engine=None,
        pools={"h100": pool_with({8: 1})},
        pods=pods,
        deployments={"r1": refused},
    )

    assert claim_for(a_model(replicas=8), {"r1": 8}, seen) == a_claim(1, 1)


def test_a_rollout_leaves_alone_what_another_has_promised_itself():
    model = a_model(replicas=1, gpus=8)
    pod = Pod(
        namespace="n", name="p", uid="u", revision="old", node="node-1", ready=True,
        requests=(("nvidia.com/gpu", 8),),
    )  # fmt: skip
    seen = Observed(
        now=NOON,
        engine=None,
        pools={"h100": pool_with({8: 1})},
        pods=(pod,),
        deployments={"old": Deployment(name="chat-old", revision="old", replicas=1, existing=1)},
    )
    promised = replace(seen, claims=(a_claim(8, 1),))

    assert rollout_for(model, "new", seen).replicas == {"old": 1, "new": 1}
    after = rollout_for(model, "new", promised)
    assert after.replicas["new"] == 0
    assert "other Models" in after.because


def an_old_pod(**facts) -> Pod:
    return replace(
        a_pod("chat-old-1", revision="old", requests=((GPU, 1),), node="node-1"), **facts
    )


def test_what_a_rollout_has_given_up_is_reserved_until_it_is_asked_for():
    model = a_model(replicas=2)
    seen = Observed(
        now=NOON,
        engine=None,
        pools={"h100": pool_with({0: 1})},
        pods=(an_old_pod(), an_old_pod(name="chat-old-2", terminating=True, ready=False)),
    )

    reserved = claim_for(model, {"old": 1, "new": 0}, seen)
    assert reserved == Reservation(gpus=1, replicas=0, due=1, pools=frozenset({"h100"}))
    assert claim_for(model, {"old": 1, "new": 1}, seen) == a_claim(1, 1)


@pytest.mark.parametrize(
    ("rollout", "broken"),
    [
        pytest.param({}, True, id="what would fail once more"),
        pytest.param({"strategy": "BlueGreen"}, False, id="blue-green gives nothing up"),
    ],
)
def test_nothing_is_reserved_for(rollout, broken):
    model = a_model(replicas=2, rollout=rollout)
    new = an_old_pod(name="new", revision="new", ready=not broken, restarts=9)
    seen = Observed(
        now=NOON, engine=None, pools={"h100": pool_with({0: 1})}, pods=(an_old_pod(), new)
    )

    assert claim_for(model, {"old": 1, "new": 0}, seen) is None


def test_the_gpu_of_a_canary_that_was_given_up_is_kept_for_the_stable_revision():
    given_up = RolloutStatus(strategy="Canary", revision="new", failed_revision="new")
    model = a_model(replicas=2, status=ModelStatus(rollout=given_up))
    new = an_old_pod(name="new", revision="new", ready=False, restarts=9)
    seen = Observed(
        now=NOON, engine=None, pools={"h100": pool_with({0: 1})}, pods=(an_old_pod(), new)
    )

    assert claim_for(model, {"old": 1, "new": 0}, seen) == reserved_by_another(1)


def reserved_by_another(due: int) -> Reservation:
    return Reservation(gpus=1, replicas=0, due=due, pools=frozenset({"h100"}))


@pytest.mark.parametrize(
    ("present", "free", "due", "left"),
    [
        pytest.param(2, 1, 1, 0, id="nothing of ours is missing, so theirs is left alone"),
        pytest.param(2, 3, 1, 2, id="what is more than theirs"),
        pytest.param(1, 1, 1, 1, id="ours is taken whatever they are to get"),
        pytest.param(1, 0, 1, 0, id="ours is not free"),
    ],
)
def test_room_left(present, free, due, left):
    pods = tuple(an_old_pod(name=f"chat-old-{at}") for at in range(present))
    deployments = {"old": Deployment(name="chat-old", revision="old", replicas=present)}
    seen = Observed(
        now=NOON,
        engine=None,
        pools={"h100": pool_with({free: 1})},
        pods=pods,
        deployments=deployments,
        claims=(reserved_by_another(due),),
    )

    assert room_left(a_model(replicas=2), seen.pools.values(), seen) == left


def test_a_pod_that_still_leaves_holds_what_was_given_up():
    leaving = an_old_pod(name="chat-old-2", terminating=True, ready=False)
    seen = Observed(
        now=NOON,
        engine=None,
        pools={"h100": pool_with({1: 1})},
        pods=(an_old_pod(), leaving),
        deployments={"old": Deployment(name="chat-old", revision="old", replicas=1)},
        claims=(reserved_by_another(1),),
    )

    assert room_left(a_model(replicas=2), seen.pools.values(), seen) == 0
