import copy
from typing import Any

import pytest

from modelfleet.cluster import errors
from modelfleet.cluster.apply import Applier, fingerprint
from modelfleet.cluster.rest import DEPLOYMENTS, SERVICES
from modelfleet.plan.world import Ref
from support.fake_api import FakeApi
from support.objects import an_object

MODEL = {"kind": "Model", "name": "chat", "uid": "model-1", "controller": True}
ANOTHER = MODEL | {"uid": "model-2"}


def a_deployment(owner: dict[str, Any] = MODEL, **spec: Any) -> dict[str, Any]:
    manifest = an_object(DEPLOYMENTS, "chat-1")
    manifest["metadata"]["ownerReferences"] = [owner]
    container = {"name": "engine", "image": "vllm:1", "resources": {"limits": {"memory": "1024Mi"}}}
    manifest["spec"] = {
        "replicas": 1,
        "selector": {"matchLabels": {"m": "chat"}},
        "template": {"spec": {"containers": [container]}},
        **spec,
    }
    return manifest


def live(api: FakeApi) -> dict[str, Any]:
    return copy.deepcopy(api.objects.get(DEPLOYMENTS, "team", "chat-1"))


def tamper(api: FakeApi, **spec: Any) -> None:
    api.objects.merge(DEPLOYMENTS, ("team", "chat-1"), {"spec": spec}, manager="kubectl-edit")


@pytest.fixture
def applier(session) -> Applier:
    return Applier(session)


async def test_what_is_not_there_is_created(api, applier):
    applied = await applier.apply(a_deployment(), None)

    assert applied.action == "created"
    assert applied.raw == live(api)
    assert live(api)["spec"] == a_deployment()["spec"]


async def test_what_is_as_it_should_be_is_left_alone(api, session, applier):
    await applier.apply(a_deployment(), None)
    before = len(api.requests)
    found = live(api)

    for one in (applier, Applier(session)):  # with and without a memory
        applied = await one.apply(a_deployment(), found)
        assert applied.action == "unchanged"
        assert applied.raw is found
    assert len(api.requests) == before


async def test_a_change_of_what_we_want_is_applied(api, applier):
    await applier.apply(a_deployment(), None)

    applied = await applier.apply(a_deployment(replicas=3), live(api))

    assert applied.action == "configured"
    assert live(api)["spec"]["replicas"] == 3


async def test_a_field_that_we_do_not_want_any_more_goes(api, applier):
    await applier.apply(a_deployment(paused=True), None)
    await applier.apply(a_deployment(), live(api))

    assert "paused" not in live(api)["spec"]


async def test_what_others_changed_of_ours_is_put_back(api, applier):
    await applier.apply(a_deployment(), None)
    tamper(api, replicas=9)

    assert (await applier.apply(a_deployment(), live(api))).action == "configured"
    assert live(api)["spec"]["replicas"] == 1


async def test_what_others_added_stays(api, applier):
    await applier.apply(a_deployment(), None)
    tamper(api, minReadySeconds=5)

    assert (await applier.apply(a_deployment(), live(api))).action == "unchanged"
    await applier.apply(a_deployment(replicas=2), live(api))
    assert live(api)["spec"]["minReadySeconds"] == 5


async def test_a_status_that_moves_costs_no_write(api, applier):
    await applier.apply(a_deployment(), None)
    patch = {"status": {"replicas": 1}}
    api.objects.merge(DEPLOYMENTS, ("team", "chat-1"), patch, "status")
    before = len(api.requests)

    assert (await applier.apply(a_deployment(), live(api))).action == "unchanged"
    assert len(api.requests) == before


async def test_the_quantity_as_the_server_writes_it_is_ours(api, applier):
    await applier.apply(a_deployment(), None)
    container = live(api)["spec"]["template"]["spec"]["containers"][0]
    container["resources"] = {"limits": {"memory": "1Gi"}}
    tamper(api, template={"spec": {"containers": [container]}})

    assert (await applier.apply(a_deployment(), live(api))).action == "unchanged"


async def test_a_strangers_object_of_that_name_is_not_touched(api, applier):
    stranger = an_object(SERVICES, "chat")
    api.objects.create(SERVICES, copy.deepcopy(stranger))
    before = copy.deepcopy(api.objects.get(SERVICES, "team", "chat"))
    manifest = an_object(SERVICES, "chat")
    manifest["metadata"]["ownerReferences"] = [MODEL]

    with pytest.raises(errors.NameTaken, match="Service chat exists and is not ours"):
        await applier.apply(manifest, None)

    assert api.objects.get(SERVICES, "team", "chat") == before


async def test_the_child_of_another_model_is_not_touched(applier):
    await applier.apply(a_deployment(ANOTHER), None)

    with pytest.raises(errors.NameTaken):
        await applier.apply(a_deployment(), None)


async def test_ours_that_we_had_not_seen_yet_is_applied(api, session, applier):
    await applier.apply(a_deployment(), None)
    tamper(api, replicas=9)

    assert (await Applier(session).apply(a_deployment(), None)).action == "configured"
    assert live(api)["spec"]["replicas"] == 1


async def test_an_orphan_that_carries_our_label_is_adopted(api, applier):
    orphan = an_object(SERVICES, "chat") | {"spec": {"type": "NodePort"}}
    orphan["metadata"]["labels"] = {"app.kubernetes.io/managed-by": "modelfleet"}
    api.objects.create(SERVICES, orphan)
    manifest = an_object(SERVICES, "chat") | {"spec": {"type": "ClusterIP"}}
    manifest["metadata"]["ownerReferences"] = [MODEL]

    await applier.apply(manifest, None)

    assert api.objects.get(SERVICES, "team", "chat")["spec"]["type"] == "ClusterIP"


async def test_a_namesake_of_what_we_knew_is_not_touched(api, applier):
    await applier.apply(a_deployment(), None)
    known = live(api)
    api.objects.delete(DEPLOYMENTS, ("team", "chat-1"))
    api.objects.create(DEPLOYMENTS, a_deployment(ANOTHER))

    with pytest.raises(errors.Conflict):
        await applier.apply(a_deployment(replicas=3), known)

    assert live(api)["spec"]["replicas"] == 1


async def test_what_was_deleted_meanwhile_is_not_made_anew(api, applier):
    await applier.apply(a_deployment(), None)
    known = live(api)
    api.objects.delete(DEPLOYMENTS, ("team", "chat-1"))

    with pytest.raises(errors.Conflict):
        await applier.apply(a_deployment(replicas=3), known)

    assert not api.objects.of(DEPLOYMENTS)


async def test_an_apply_whose_answer_was_lost_may_be_repeated(api, applier):
    api.fail("PATCH", 0, after=True)
    with pytest.raises(errors.Unavailable):
        await applier.apply(a_deployment(), None)
    once = live(api)

    await applier.apply(a_deployment(), None)

    assert live(api) == once


async def test_only_the_very_object_is_deleted(api, applier):
    await applier.apply(a_deployment(), None)
    uid = live(api)["metadata"]["uid"]

    assert await applier.delete(Ref("Deployment", "team", "chat-1", "another")) is None
    assert live(api)["metadata"]["uid"] == uid

    assert await applier.delete(Ref("Deployment", "team", "chat-1", uid)) is not None
    assert not api.objects.of(DEPLOYMENTS)


async def test_deleting_what_is_gone_is_done(applier):
    assert await applier.delete(Ref("Deployment", "team", "gone", "u")) is None


async def test_a_deletion_may_depend_on_the_version(api, applier):
    await applier.apply(a_deployment(), None)
    known = live(api)
    tamper(api, replicas=9)
    ref = Ref("Deployment", "team", "chat-1", known["metadata"]["uid"])

    with pytest.raises(errors.Conflict):
        await applier.delete(ref, version=known["metadata"]["resourceVersion"])

    assert live(api)["spec"]["replicas"] == 9


async def test_after_a_deletion_the_next_apply_creates(api, applier):
    await applier.apply(a_deployment(), None)
    await applier.delete(Ref("Deployment", "team", "chat-1", live(api)["metadata"]["uid"]))

    assert (await applier.apply(a_deployment(), None)).action == "created"


async def test_an_unknown_kind_is_a_defect(applier):
    with pytest.raises(KeyError):
        await applier.apply({"kind": "Unknown", "metadata": {"name": "x"}}, None)


def test_the_order_of_fields_makes_no_difference_to_a_fingerprint():
    assert fingerprint({"a": 1, "b": {"c": 2, "d": 3}}) == fingerprint(
        {"b": {"d": 3, "c": 2}, "a": 1}
    )
    assert fingerprint({"a": 1}) != fingerprint({"a": "1"})
