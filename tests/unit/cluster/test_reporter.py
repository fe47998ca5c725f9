"""When a status is written, how often, and with which events."""

from datetime import timedelta

import pytest

from modelfleet import clock
from modelfleet.api.v1alpha1.model import Model
from modelfleet.cluster import errors, rest
from modelfleet.cluster.reporter import STATUS_PAUSE
from modelfleet.cluster.session import Session
from modelfleet.plan.world import Key, Plan, Unreadable
from support import manifests
from support.fake_api import FakeApi
from support.live_world import CHAT, TEAM, LiveWorld, a_model, a_node, a_pod, served


@pytest.fixture
def world(api: FakeApi, session: Session) -> LiveWorld:
    return LiveWorld(api, session)


# --- reporting -----------------------------------------------------------------------------------


async def test_a_message_alone_is_written_after_a_pause(
    world: LiveWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    seconds = 1000.0
    monkeypatch.setattr(clock, "monotonic", lambda: seconds)
    world.create(a_model(replicas=3))
    await world.look()
    revision = world.get("Model")["status"]["currentRevision"]
    world.api.requests.clear()

    world.create(a_pod("chat-1", revision, "False"))
    wait = await world.look()
    assert world.writes == []
    assert wait is not None
    assert timedelta() < wait <= timedelta(seconds=STATUS_PAUSE)

    seconds += STATUS_PAUSE
    await world.look()
    assert [path.split("/")[-1] for _, path in world.writes] == ["status"]
    assert world.get("Model")["status"]["replicas"] == 1


async def test_what_clients_wait_for_is_written_at_once(
    world: LiveWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clock, "monotonic", lambda: 1000.0)
    await served(world)

    unready = a_pod("chat-1", "x", "False")["status"]
    world.api.objects.merge(rest.PODS, (TEAM, "chat-1"), {"status": unready}, "status")
    await world.look()

    assert world.get("Model")["status"]["readyReplicas"] == 0


async def test_ready_is_an_event_once(world: LiveWorld) -> None:
    await served(world)
    for replicas in (1, 1):
        world.merge("Model", {"metadata": {"labels": {"n": str(replicas)}}})
        await world.look()

    assert await world.events() == ["AllReplicasReady"]


async def test_the_status_of_a_namesake_is_not_overwritten(world: LiveWorld) -> None:
    world.create(a_model())
    found = world.cluster.model(CHAT)
    world.deafen()
    world.api.objects.delete(rest.MODELS, (TEAM, "chat"))
    world.create(a_model())

    assert isinstance(found, Model)
    with pytest.raises(errors.Stale):
        await world.look()

    assert "status" not in world.get("Model")


async def test_an_unreadable_model_is_told_and_its_children_stay(world: LiveWorld) -> None:
    await served(world)
    world.merge("Model", {"spec": {"replicas": "many"}})
    assert isinstance(world.cluster.model(CHAT), Unreadable)

    await world.look()

    assert world.told()[0] == "InvalidSpec"
    assert [path.split("/")[-1] for _, path in world.writes] == ["status"]


async def test_what_is_not_known_any_more_is_removed_from_the_status(world: LiveWorld) -> None:
    await served(world)
    world.merge("Model", {"spec": {"engine": {"args": ["--seed=1"]}}})
    await world.look()
    assert "rollout" in world.get("Model")["status"]

    world.merge("Model", {"spec": {"engine": {"args": None}}})
    for _ in range(2):
        await world.look()

    assert "rollout" not in world.get("Model")["status"]


async def test_a_model_that_waits_for_a_gpu_is_woken_by_one(world: LiveWorld) -> None:
    await served(world)
    model = world.cluster.model(CHAT)
    assert isinstance(model, Model)

    for waits in (True, False):
        plan = Plan(status=model.status, waits_for_capacity=waits)
        await world.cluster.report(CHAT, model, plan)
        assert (CHAT in world.caches.waiting) is waits


# --- pools and engines -----------------------------------------------------------------------


async def test_a_pool_is_reported_when_its_figures_change_and_its_events_are_told_once(
    world: LiveWorld,
) -> None:
    pool = Key("GPUNodePool", "", "h100")
    world.create(manifests.pool("h100", gpu="h100"))
    world.create(a_node())
    for _ in range(2):
        await world.look(pool)
    assert len(world.writes) == 1

    for at in range(3):
        body = a_pod(f"notebook-{at}", "x")
        limits = {"limits": {"nvidia.com/gpu": "1"}}
        body["spec"]["containers"] = [{"name": "main", "resources": limits}]
        world.create(body)
        await world.look(pool)

    assert len(world.writes) == 3
    status = world.api.objects.get(rest.GPU_NODE_POOLS, "", "h100")["status"]
    assert status["gpus"]["allocated"] == 3
    assert await world.events() == ["PoolReady"]


async def test_an_engine_is_reported_once(world: LiveWorld) -> None:
    engine = Key("Engine", "", "our-own")
    world.create(manifests.engine("our-own"))
    for _ in range(2):
        await world.look(engine)

    assert len(world.writes) == 1
    assert await world.look(Key("Engine", "", "vllm")) is None
    assert await world.look(Key("GPUNodePool", "", "nowhere")) is None
