"""The real cluster behind a reconcile, against an API server over HTTP."""

from typing import Any

import pytest

from modelfleet.api import labels
from modelfleet.api.v1alpha1.model import Model
from modelfleet.cluster import errors, rest
from modelfleet.cluster.session import Session
from modelfleet.plan.samples import ProbeResult, Scrape
from modelfleet.plan.world import Plan, PodMark
from support import manifests
from support.builders import NOON
from support.fake_api import FakeApi
from support.live_world import CHAT, TEAM, LiveWorld, a_model, a_node, served


@pytest.fixture
def world(api: FakeApi, session: Session) -> LiveWorld:
    return LiveWorld(api, session)


def a_service(**metadata: Any) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "chat", "namespace": TEAM, **metadata},
        "spec": {"selector": {"app": "x"}, "ports": [{"name": "web", "port": 80}]},
    }


# --- writing -----------------------------------------------------------------------------


async def test_a_first_look_writes_every_child_and_the_status(world: LiveWorld) -> None:
    world.create(a_model())

    await world.look()

    plurals = [path.split("/")[-2] for _, path in world.writes[:-1]]
    assert plurals == [
        "controllerrevisions",
        "serviceaccounts",
        "services",
        "poddisruptionbudgets",
        "deployments",
    ]
    assert world.told()[0] == "Creating"


async def test_a_second_look_writes_nothing_even_where_no_watch_has_told(world: LiveWorld) -> None:
    """The answers to our own writes are read before the watch brings them."""
    world.create(a_model())
    world.deafen()
    await world.look()
    assert world.writes

    await world.look()

    assert world.writes == []


async def test_a_model_that_is_gone_is_nobodys_business(world: LiveWorld) -> None:
    assert await world.look() is None
    assert world.writes == []


async def test_a_standby_writes_nothing_and_tries_again(world: LiveWorld) -> None:
    world.create(a_model())
    world.leads = False

    with pytest.raises(errors.Unavailable):
        await world.look()

    assert world.writes == []


@pytest.mark.parametrize("verb", ["PATCH"])
async def test_what_is_worth_a_retry_is_not_told_as_a_mistake(world: LiveWorld, verb: str) -> None:
    world.create(a_model())
    world.api.fail(verb, 503)

    with pytest.raises(errors.Unavailable):
        await world.look()
    await world.look()

    assert world.told()[0] == "Creating"


async def test_what_is_refused_for_good_is_told_in_the_servers_words(world: LiveWorld) -> None:
    world.create(a_model())
    world.api.fail("PATCH", 403, reason="Forbidden")

    await world.look()

    reason, message = world.told()
    assert reason == "RequestRefused"
    assert "ordered by the test" in message


# --- names that are taken --------------------------------------------------------------------


@pytest.mark.parametrize(
    "metadata",
    [
        {},
        {"labels": {labels.MANAGED_BY: "Helm", labels.MODEL: "chat"}},
        {"labels": {labels.MANAGED_BY: labels.FIELD_MANAGER, labels.MODEL: "other"}},
        {
            "ownerReferences": [
                {
                    "apiVersion": "example.com/v1",
                    "kind": "App",
                    "name": "chat",
                    "uid": "x",
                    "controller": True,
                }
            ]
        },
    ],
    ids=["plain", "of Helm", "of another Model", "of another owner"],
)
async def test_a_name_that_is_taken_is_told_and_its_object_stays(
    world: LiveWorld, metadata: dict[str, Any]
) -> None:
    world.create(a_service(**metadata))
    before = world.get("Service")
    world.create(a_model())

    await world.look()

    assert world.get("Service") == before
    reason, message = world.told()
    assert (reason, message.split(" exists")[0]) == ("NameTaken", "Service chat")


async def test_a_child_that_lost_its_owner_is_taken_up_again(world: LiveWorld) -> None:
    own = {labels.MANAGED_BY: labels.FIELD_MANAGER, labels.MODEL: "chat"}
    uid = world.create(a_service(labels=own))["metadata"]["uid"]
    model = world.create(a_model())

    await world.look()

    found = world.get("Service")["metadata"]
    assert found["uid"] == uid
    assert [one["uid"] for one in found["ownerReferences"]] == [model["metadata"]["uid"]]


async def test_the_child_of_a_deleted_namesake_is_waited_for(world: LiveWorld) -> None:
    """The garbage collector will take it; taken over, it would be deleted under our hands."""
    reference = {
        "apiVersion": "modelfleet.dev/v1alpha1",
        "kind": "Model",
        "name": "chat",
        "uid": "an-earlier-one",
        "controller": True,
    }
    own = {labels.MANAGED_BY: labels.FIELD_MANAGER, labels.MODEL: "chat"}
    world.create(a_service(labels=own, ownerReferences=[reference]))
    before = world.get("Service")
    world.create(a_model())

    with pytest.raises(errors.Conflict):
        await world.look()
    assert world.get("Service") == before
    assert "status" not in world.get("Model")

    world.api.objects.delete(rest.SERVICES, (TEAM, "chat"))
    await world.look()
    assert world.told()[0] == "Creating"


async def test_a_child_that_vanished_with_its_model_is_not_made_again(world: LiveWorld) -> None:
    """The watch on Models may lag behind that on children."""
    await served(world)
    world.deafen()
    world.api.objects.delete(rest.MODELS, (TEAM, "chat"))
    world.follow()
    world.api.objects.delete(rest.SERVICES, (TEAM, "chat"))
    world.api.requests.clear()

    with pytest.raises(errors.Stale):
        await world.look()

    assert world.writes == []
    assert await world.look() is None


# --- reading ---------------------------------------------------------------------------------


async def test_it_observes_what_the_caches_hold(world: LiveWorld) -> None:
    revision = await served(world)
    model = world.cluster.model(CHAT)
    assert isinstance(model, Model)
    world.load.busy = {"pod": 3}

    seen = world.cluster.observe(model)

    assert seen.now == NOON
    assert [pod.name for pod in seen.pods] == ["chat-1"]
    assert [one.hash for one in seen.revisions] == list(seen.deployments) == [revision]
    assert seen.engine is not None
    assert "vllm" in seen.known_engines
    assert (seen.lost_nodes, seen.route, seen.claims) == (frozenset(), None, ())
    assert seen.in_flight == {"pod": 3}


async def test_it_observes_what_pods_told_of_themselves_and_to_us(world: LiveWorld) -> None:
    await served(world)
    model = world.cluster.model(CHAT)
    assert isinstance(model, Model)
    pod: dict[str, Any] = {"pod": "u", "namespace": TEAM, "model": "chat", "revision": "abc"}
    world.evidence.told = (Scrape(**pod, at=NOON),)
    world.evidence.answered = (ProbeResult(**pod, at=NOON, seconds=0.1),)

    seen = world.cluster.observe(model)

    assert (seen.scrapes, seen.probes) == (world.evidence.told, world.evidence.answered)


async def test_it_is_read_as_long_as_a_plan_compares_and_probed_where_it_asks(
    world: LiveWorld,
) -> None:
    canary = {"strategy": "Canary", "canary": {"analysis": {"intervalSeconds": 20}}}
    world.create(a_model(rollout=canary))
    model = world.cluster.model(CHAT)
    assert isinstance(model, Model)
    for compares, probes, watched in (
        (True, False, {CHAT: (20.0, False)}),
        (True, True, {CHAT: (20.0, True)}),
        (False, False, {}),
    ):
        plan = Plan(status=model.status, compares=compares, probes=probes)
        await world.cluster.write(model, plan)
        assert world.evidence.watched == watched


async def test_a_model_that_is_gone_is_read_no_longer(world: LiveWorld) -> None:
    world.evidence.watched = {CHAT: (20.0, False)}

    await world.look()

    assert world.evidence.watched == {}


async def test_a_node_that_is_not_ready_or_unknown_is_lost(world: LiveWorld) -> None:
    await served(world)
    model = world.cluster.model(CHAT)
    assert isinstance(model, Model)

    status = a_node("Unknown")["status"]
    world.api.objects.merge(rest.NODES, ("", "n1"), {"status": status}, "status")
    assert world.cluster.observe(model).lost_nodes == {"n1"}

    world.api.objects.delete(rest.NODES, ("", "n1"))
    assert world.cluster.observe(model).lost_nodes == {"n1"}


async def test_an_engine_object_goes_before_the_built_in_one(world: LiveWorld) -> None:
    world.create(manifests.engine("vllm"))
    world.create(a_model())
    model = world.cluster.model(CHAT)
    assert isinstance(model, Model)

    engine = world.cluster.observe(model).engine

    assert engine is not None
    assert engine.spec.image == "example.com/engine:1.0"


async def test_models_without_gpus_do_not_look_at_pools(world: LiveWorld) -> None:
    world.create(manifests.pool("h100", gpu="h100"))
    for gpus, pools in ((0, []), (1, ["h100"])):
        body = a_model(resources={"gpus": gpus})
        assert list(world.cluster.observe(Model.model_validate(body)).pools) == pools


async def test_an_operator_that_begins_knows_what_others_were_about_to_take(
    world: LiveWorld,
) -> None:
    gpu = {"resources": {"gpus": 1}, "nodePools": ["h100"]}
    world.create(manifests.pool("h100", gpu="h100"))
    world.create(a_model(replicas=2, **gpu))
    await world.look()
    other = Model.model_validate(manifests.model(TEAM, "other", **gpu))
    (claim,) = world.cluster.observe(other).claims
    world.caches.note_claim(CHAT, None)  # in the memory of another process

    world.cluster.recall()

    assert world.cluster.observe(other).claims == (claim,)
    assert (claim.gpus, claim.replicas) == (1, 2)


# --- pods that leave -----------------------------------------------------------------------------


async def test_a_pod_that_is_to_leave_is_taken_out_of_traffic_and_back(world: LiveWorld) -> None:
    revision = await served(world)
    uid = world.get("Pod", "chat-1")["metadata"]["uid"]
    model = world.cluster.model(CHAT)
    assert isinstance(model, Model)

    for leaves, serving, cost in ((True, "false", "-1000"), (False, "true", None)):
        mark = PodMark(namespace=TEAM, name="chat-1", uid=uid, leaves=leaves)
        await world.cluster.write(model, Plan(status=model.status, marks=(mark,)))
        found = world.get("Pod", "chat-1")["metadata"]
        assert found["labels"] == {
            labels.MODEL: "chat",
            labels.REVISION: revision,
            labels.SERVING: serving,
        }
        annotations = found.get("annotations", {})
        assert annotations.get("controller.kubernetes.io/pod-deletion-cost") == cost


async def test_a_pod_that_is_gone_or_another_by_now_needs_no_mark(world: LiveWorld) -> None:
    await served(world)
    model = world.cluster.model(CHAT)
    assert isinstance(model, Model)
    marks = (
        PodMark(namespace=TEAM, name="gone", uid="x", leaves=True),
        PodMark(namespace=TEAM, name="chat-1", uid="an-earlier-one", leaves=True),
    )

    refusals = await world.cluster.write(model, Plan(status=model.status, marks=marks))

    assert not refusals
    assert world.get("Pod", "chat-1")["metadata"]["labels"][labels.SERVING] == "true"
