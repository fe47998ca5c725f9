"""The whole process but its main function, against a small API server over real sockets."""

import asyncio
import copy
from datetime import UTC, datetime, timedelta

import aiohttp
import pytest

from unit.devcluster_engine.worlds import FAST, SLOW, FakeApi, a_pod, an_address, playing


@pytest.fixture
async def http():
    timeout = aiohttp.ClientTimeout(total=5)
    async with aiohttp.ClientSession(timeout=timeout) as session:
        yield session


def url_of(pod):
    return f"http://{pod['status']['podIP']}:18000"


async def health(http, pod):
    """Return the status of `/health`, or None if the connection is refused."""
    try:
        async with http.get(url_of(pod) + "/health") as reply:
            return reply.status
    except aiohttp.ClientConnectorError:
        return None


async def until(check, wanted):
    async with asyncio.timeout(5):
        while await check() != wanted:
            await asyncio.sleep(0.002)


def changed(pod, state=None, **metadata):
    """Return a pod in another state, or with other metadata."""
    new = copy.deepcopy(pod)
    if state is not None:
        address = pod["status"]["podIP"]
        new["status"] = a_pod(state=state, address=address)["status"]
    new["metadata"].update(metadata)
    return new


def deletion(grace=30):
    at = datetime.now(UTC) + timedelta(seconds=grace)
    return {
        "deletionTimestamp": at.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "deletionGracePeriodSeconds": grace,
    }


def a_node(lost):
    value = "true" if lost else "false"
    annotations = {"sim.modelfleet.dev/lost": value}
    return {"metadata": {"name": "node-0", "uid": "n-0", "annotations": annotations}}


async def test_a_pod_answers_from_when_it_is_ready_until_it_crashes(http):
    api, pod = FakeApi(), a_pod(state="waiting")
    async with playing(api):
        api.put("pods", pod)
        assert await health(http, pod) is None
        api.put("pods", changed(pod, "running"))
        assert await health(http, pod) is None
        api.put("pods", changed(pod, "ready"))
        await until(lambda: health(http, pod), 200)
        api.put("pods", changed(pod, "waiting"))
        await until(lambda: health(http, pod), None)


async def test_pods_that_were_there_before_are_found(http):
    api, pod = FakeApi(), a_pod()
    api.put("pods", pod)
    async with playing(api):
        await until(lambda: health(http, pod), 200)


async def test_a_deleted_pod_drains_and_is_removed(http):
    args, annotations = ["--shutdown-timeout=20"], {"profile": FAST.replace("1e5", "200")}
    api, pod = FakeApi(), a_pod(args=args, annotations=annotations)
    body = {"model": "chat", "prompt": "Hi", "max_tokens": 40, "stream": True}
    api.put("pods", pod)
    async with playing(api):
        await until(lambda: health(http, pod), 200)
        async with http.post(url_of(pod) + "/v1/completions", json=body) as reply:
            await reply.content.readany()
            api.put("pods", changed(pod, **deletion()))
            await until(lambda: health(http, pod), None)
            assert "chat-0" in api.objects["pods"]
            assert (await reply.text()).endswith("data: [DONE]\n\n")
        await api.until(lambda: not api.objects["pods"])

    status = api.patches[0]["status"]
    assert status["phase"] == "Succeeded"
    assert status["containerStatuses"][0]["state"]["terminated"]["exitCode"] == 0


async def test_pre_stop_keeps_a_pod_serving(http):
    pod = a_pod(lifecycle={"preStop": {"exec": {"command": ["sleep", "0.3"]}}})
    api = FakeApi()
    api.put("pods", pod)
    async with playing(api):
        await until(lambda: health(http, pod), 200)
        api.put("pods", changed(pod, **deletion()))
        await asyncio.sleep(0.05)
        assert await health(http, pod) == 200
        await api.until(lambda: not api.objects["pods"])
        assert await health(http, pod) is None


async def test_the_grace_period_ends_what_hangs(http):
    api, pod = FakeApi(), a_pod(annotations={"profile": SLOW})
    body = {"model": "chat", "prompt": "Hi", "max_tokens": 4000, "stream": True}
    api.put("pods", pod)
    async with playing(api):
        await until(lambda: health(http, pod), 200)
        async with http.post(url_of(pod) + "/v1/completions", json=body) as reply:
            await reply.content.readany()
            # Asked for a while ago: this process was away, and the time is nearly over.
            late = deletion(grace=1)
            late["deletionGracePeriodSeconds"] = 30
            api.put("pods", changed(pod, **late))
            with pytest.raises(aiohttp.ClientError):
                await reply.text()
        await api.until(lambda: not api.objects["pods"])

    terminated = api.patches[0]["status"]["containerStatuses"][0]["state"]["terminated"]
    assert terminated["exitCode"] == 137


async def test_a_pod_that_never_ran_is_removed_at_once():
    api, pod = (
        FakeApi(),
        a_pod(state="waiting", **{"lifecycle": {"preStop": {"sleep": {"seconds": 60}}}}),
    )
    api.put("pods", pod)
    async with playing(api):
        api.put("pods", changed(pod, **deletion(grace=90)))
        await api.until(lambda: not api.objects["pods"])

    assert api.patches == []


async def test_many_pods_are_removed_and_a_finalizer_gets_its_status():
    api = FakeApi()
    pods = [a_pod(name=f"chat-{n}", state="ready") for n in range(60)]
    pods[-1]["metadata"]["finalizers"] = ["example.com/wait"]
    for pod in pods:
        api.put("pods", pod)
    async with playing(api):
        for pod in pods:
            api.put("pods", changed(pod, **deletion()))
        await api.until(lambda: len(api.objects["pods"]) == 1)
        await api.until(lambda: "uid-" + "chat-59" in str(api.patches))

    assert list(api.objects["pods"]) == ["chat-59"]


async def test_a_removal_is_tried_until_it_succeeds():
    api, pod = FakeApi(), a_pod(state="waiting")
    api.put("pods", changed(pod, **deletion()))
    api.refusals = 2
    async with playing(api):
        await api.until(lambda: not api.objects["pods"])


async def test_another_pod_of_the_same_name_is_left_alone(http):
    api, old = FakeApi(), a_pod()
    new = a_pod(address=an_address())
    api.put("pods", old)
    async with playing(api):
        await until(lambda: health(http, old), 200)
        api.objects["pods"]["chat-0"] = new  # replaced while the deletion of the old one is seen
        api.watchers_see = changed(old, **deletion())
        api._tell("pods", api.watchers_see, "MODIFIED")
        await until(lambda: health(http, old), None)
        assert api.objects["pods"]["chat-0"] is new


async def test_a_force_deleted_pod_stops_answering(http):
    api, pod = FakeApi(), a_pod()
    api.put("pods", pod)
    async with playing(api) as fleet:
        await until(lambda: health(http, pod), 200)
        api.remove("pods", "chat-0")
        await until(lambda: health(http, pod), None)
        assert len(fleet) == 0


async def test_a_lost_node_takes_its_pods_and_ends_nothing(http):
    api, pod = FakeApi(), a_pod()
    api.put("pods", pod)
    async with playing(api):
        await until(lambda: health(http, pod), 200)
        api.put("nodes", a_node(lost=True))
        await until(lambda: health(http, pod), None)
        api.put("pods", changed(pod, **deletion(grace=0)))
        await asyncio.sleep(0.05)
        assert "chat-0" in api.objects["pods"]

        api.put("nodes", a_node(lost=False))
        await api.until(lambda: not api.objects["pods"])


async def test_a_restarted_container_is_a_new_engine(http):
    api, pod = FakeApi(), a_pod()
    api.put("pods", pod)
    async with playing(api):
        await until(lambda: health(http, pod), 200)
        again = changed(pod, "running")
        again["status"]["containerStatuses"][0]["restartCount"] = 1
        api.put("pods", again)
        await until(lambda: health(http, pod), None)
        again = changed(again)
        again["status"]["containerStatuses"][0].update(ready=True, started=True)
        api.put("pods", again)
        await until(lambda: health(http, pod), 200)


async def test_an_address_is_taken_over_from_a_pod_that_is_gone(http):
    address = an_address()
    api, old = FakeApi(), a_pod(name="old", address=address)
    api.put("pods", old)
    async with playing(api):
        await until(lambda: health(http, old), 200)
        new = a_pod(name="new", address=address, engine="llama-cpp", state="running")
        api.put("pods", new)
        api.remove("pods", "old")
        await until(lambda: health(http, new), 503)


async def test_annotations_take_effect_while_it_runs(http):
    api, pod = FakeApi(), a_pod(annotations={"profile": FAST})
    body = {"model": "chat", "prompt": "Hi"}

    async def status():
        async with http.post(url_of(pod) + "/v1/completions", json=body) as reply:
            return reply.status

    api.put("pods", pod)
    async with playing(api):
        await until(lambda: health(http, pod), 200)
        assert await status() == 200
        failing = changed(pod, annotations={"sim.modelfleet.dev/error-rate": "1"})
        api.put("pods", failing)
        await until(status, 500)


async def test_a_crash_after_some_requests_is_reported_and_comes_again_after_a_restart(http):
    api, pod = FakeApi(), a_pod(annotations={"crash-after-requests": "2", "profile": FAST})
    body = {"model": "chat", "prompt": "Hi"}
    api.put("pods", pod)
    async with playing(api):
        for restarts in range(2):
            again = changed(pod, "ready")
            again["status"]["containerStatuses"][0]["restartCount"] = restarts
            api.put("pods", again)
            await until(lambda: health(http, pod), 200)
            async with http.post(url_of(pod) + "/v1/completions", json=body) as reply:
                assert reply.status == 200
            with pytest.raises(aiohttp.ClientError):
                await http.post(url_of(pod) + "/v1/completions", json=body)
            await api.until(lambda: api.patches)
            (patch,) = api.patches
            (status,) = patch["status"]["containerStatuses"]
            assert status["restartCount"] == restarts
            assert (status["ready"], status["state"]["terminated"]["exitCode"]) == (False, 139)
            assert {one["status"] for one in patch["status"]["conditions"]} == {"False"}
            assert "phase" not in patch["status"]
            assert await health(http, pod) is None
            api.patches.clear()


async def test_the_feed_survives_lost_watches_and_old_versions(http):
    api, pod = FakeApi(), a_pod()
    async with playing(api):
        await api.until(lambda: len(api.watchers) == 2)
        lists = api.lists
        api.forgotten = {"pods", "nodes"}
        api.drop_watches()
        await api.until(lambda: not api.watchers)
        api.history.clear()
        api.objects["pods"]["chat-0"] = pod  # nobody watches
        await until(lambda: health(http, pod), 200)
        assert api.lists > lists

        await api.until(lambda: len(api.watchers) == 2)
        del api.objects["pods"]["chat-0"]
        api.forgotten = {"pods", "nodes"}
        api.drop_watches()
        await until(lambda: health(http, pod), None)
