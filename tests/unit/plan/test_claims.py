"""What Models have promised to themselves is not free for others."""

from dataclasses import replace

import pytest

from modelfleet.api.v1alpha1.model import ModelStatus
from modelfleet.api.v1alpha1.rollout import RolloutStatus
from modelfleet.plan.claims import (
    PATIENCE,
    claim_for,
    room_left,
    standing_claim,
    taken_by,
    waits_its_turn,
)
from modelfleet.plan.rollout import rollout_for
from modelfleet.plan.world import Claim, Deployment, Observed, Pod
from support.builders import GPU, NOON, a_model, a_pod, a_pool


def a_claim(gpus: int, replicas: int, *pools: str, **how: int) -> Claim:
    return Claim(gpus=gpus, replicas=replicas, pools=frozenset(pools or ("h100",)), **how)


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
    assert claim_for(a_model(replicas=1, gpus=2), {"r1": 1}, seen) is None
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
    facts = {"unschedulable": message, "created_at": NOON}
    waiting = replace(a_pod("p1", revision="r1", node=None, ready=False), **facts)
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

    assert claim_for(model, {"old": 1, "new": 0}, seen) == a_claim(1, 0, due=1, awaited=1)
    assert claim_for(model, {"old": 1, "new": 1}, seen) == a_claim(1, 1, awaited=1)


@pytest.mark.parametrize(
    ("spec", "broken"),
    [
        pytest.param({}, True, id="what would fail once more"),
        pytest.param({"rollout": {"strategy": "BlueGreen"}}, False, id="blue-green"),
        pytest.param({"paused": True}, False, id="who comes back for nothing"),
    ],
)
def test_nothing_is_reserved_for(spec, broken):
    model = a_model(replicas=2, **spec)
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

    assert claim_for(model, {"old": 1, "new": 0}, seen) == a_claim(1, 0, due=1, awaited=1)


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
        claims=(a_claim(1, 0, due=due),),
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
        claims=(a_claim(1, 0, due=1),),
    )

    assert room_left(a_model(replicas=2), seen.pools.values(), seen) == 0


def test_a_model_that_nothing_is_started_for_claims_nothing():
    seen = Observed(now=NOON, engine=None, pools={"h100": pool_with({8: 1})})

    assert claim_for(a_model(replicas=8), {}, seen) is None


def test_an_operator_that_begins_finds_in_the_cluster_what_was_given_up_before():
    leaving = an_old_pod(name="chat-old-2", terminating=True, ready=False)
    seen = Observed(
        now=NOON,
        engine=None,
        pools={"h100": pool_with({0: 1})},
        pods=(an_old_pod(), leaving),
        deployments={
            one: Deployment(name=f"chat-{one}", revision=one, replicas=count)
            for one, count in {"old": 1, "new": 0}.items()
        },
    )

    assert standing_claim(a_model(replicas=2), seen) == a_claim(1, 0, due=1, awaited=1)
    assert standing_claim(a_model(replicas=1), seen) is None


# Claims of other sizes


@pytest.mark.parametrize(
    ("claim", "gpus", "blocks", "left"),
    [
        pytest.param(a_claim(4, 1), 1, {4: 1, 1: 3}, 0, id="one of ours might land in its block"),
        pytest.param(a_claim(4, 1), 1, {4: 2, 1: 3}, 1, id="one of two blocks may be spoiled"),
        pytest.param(a_claim(4, 0, due=1), 1, {4: 2}, 1, id="a replica that comes back"),
        pytest.param(a_claim(4, 0, due=1, awaited=1), 1, {1: 3}, 0, id="its block is not free yet"),
        pytest.param(a_claim(4, 1), 1, {1: 3}, 3, id="a block that is nowhere keeps nobody"),
        pytest.param(a_claim(4, 1, doubtful=1), 1, {4: 1, 1: 3}, 3, id="it lacks something else"),
        pytest.param(a_claim(4, 1, "a10", awaited=1), 1, {1: 3}, 3, id="another pool's claim"),
        pytest.param(a_claim(1, 1), 4, {8: 1}, 1, id="a large one spoils four small places"),
        pytest.param(a_claim(1, 1, awaited=1), 1, {3: 1}, 2, id="of one size each takes one"),
    ],
)
def test_room_left_beside_claims_of_another_size(claim, gpus, blocks, left):
    seen = world_with(blocks, claim)

    assert room_left(a_model(replicas=1, gpus=gpus), seen.pools.values(), seen) == left


def world_with(blocks: dict[int, int], *claims: Claim) -> Observed:
    """Return a world in which a Model of one replica, which misses none, sees claims of others."""
    return Observed(
        now=NOON,
        engine=None,
        pools={"h100": pool_with(blocks)},
        pods=(an_old_pod(),),
        deployments={"old": Deployment(name="chat-old", revision="old", replicas=1)},
        claims=claims,
    )


@pytest.mark.parametrize(
    ("claim", "waits"),
    [
        (a_claim(4, 0, due=1, awaited=1), True),
        (a_claim(4, 1), False),
        (a_claim(1, 0, due=1, awaited=1), False),
        (a_claim(4, 0, "a10", due=1, awaited=1), False),
    ],
    ids=["its block becomes free", "nothing becomes free for it", "our size", "another pool"],
)
def test_a_replica_gives_way_when_no_other_size_is_about_to_be_placed(claim, waits):
    seen = world_with({0: 1}, claim)

    assert waits_its_turn(1, seen.pools.values(), seen) == waits
    rollout = rollout_for(a_model(replicas=1), "new", seen)
    assert rollout.replicas["old"] == int(waits)
    assert ("another size" in rollout.because) == waits
    assert rollout.waits_for_capacity


@pytest.mark.parametrize(
    "facts",
    [
        pytest.param({"gone_by": NOON - 2 * PATIENCE}, id="a pod that does not go"),
        pytest.param({"node": "lost"}, id="a pod on a lost node"),
        pytest.param({"finished": True}, id="a pod that holds nothing"),
    ],
)
def test_nobody_waits_for_a_gpu_that_may_never_be_free(facts):
    stuck = an_old_pod(name="chat-old-2", **{"terminating": True, "ready": False, **facts})
    seen = replace(world_with({0: 1}), lost_nodes=frozenset({"lost"}))
    seen = replace(seen, pods=(an_old_pod(), stuck))

    assert claim_for(a_model(replicas=2), {"old": 1, "new": 0}, seen) == a_claim(1, 0, due=1)


@pytest.mark.parametrize(("age", "doubtful"), [(2 * PATIENCE, 1), (PATIENCE / 2, 0)])
def test_a_pod_that_long_found_no_node_is_doubtful(age, doubtful):
    message = f"0/3 nodes are available: 1 Insufficient {GPU}, 2 Insufficient cpu."
    waiting = a_pod("p1", revision="old", node=None, ready=False)
    waiting = replace(waiting, unschedulable=message, created_at=NOON - age)
    seen = replace(world_with({1: 1}), pods=(waiting,))

    assert claim_for(a_model(), {"old": 1}, seen) == a_claim(1, 1, doubtful=doubtful)
