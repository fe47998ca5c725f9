from datetime import UTC, datetime, timedelta

import pytest

from modelfleet.cluster import events
from modelfleet.cluster.events import Recorder
from modelfleet.cluster.rest import EVENTS
from modelfleet.plan.world import Notice

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
CHAT = {"apiVersion": "v1", "kind": "Model", "namespace": "team", "name": "chat", "uid": "u1"}
STARTED = Notice(type="Normal", reason="Started", note="3 replicas")


class Clock:
    def __init__(self) -> None:
        self.seconds = 0.0

    def now(self) -> datetime:
        return NOON + timedelta(seconds=self.seconds)

    def monotonic(self) -> float:
        return self.seconds


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def recorder(session, clock) -> Recorder:
    return Recorder(session, "pod-1", clock.now, clock.monotonic)


def posted(api) -> list[dict]:
    return list(api.objects.of(EVENTS).values())


async def test_an_event_says_what_why_and_who(api, recorder):
    recorder.record(CHAT, STARTED, "Scale")
    await recorder.flush(5)

    (event,) = posted(api)
    assert event["regarding"] == CHAT
    assert event["note"] == "3 replicas"
    assert (event["type"], event["reason"], event["action"]) == ("Normal", "Started", "Scale")
    assert event["reportingController"] == "modelfleet.dev/operator"
    assert event["reportingInstance"] == "pod-1"
    assert event["eventTime"] == "2026-01-01T12:00:00.000000Z"


async def test_the_same_said_again_is_counted_and_not_posted_anew(api, recorder, clock):
    for _ in range(5):
        recorder.record(CHAT, STARTED)
        await recorder.flush(5)
        clock.seconds += 13
    recorder.record(CHAT, STARTED)
    await recorder.flush(5)

    (event,) = posted(api)
    assert event["series"] == {"count": 6, "lastObservedTime": "2026-01-01T12:01:05.000000Z"}
    assert len(api.requests) == 2


async def test_another_note_is_another_event(api, recorder):
    recorder.record(CHAT, STARTED)
    recorder.record(CHAT, Notice(type="Normal", reason="Started", note="4 replicas"))
    await recorder.flush(5)

    assert len(posted(api)) == 2


async def test_a_restart_goes_on_counting(api, session, recorder, clock):
    recorder.record(CHAT, STARTED)
    await recorder.flush(5)
    for _ in range(2):
        restarted = Recorder(session, "pod-2", clock.now, clock.monotonic)
        restarted.record(CHAT, STARTED)
        await restarted.flush(5)

    assert [event["series"]["count"] for event in posted(api)] == [3]


async def test_an_event_that_has_expired_is_posted_anew(api, recorder, clock):
    recorder.record(CHAT, STARTED)
    await recorder.flush(5)
    api.objects.of(EVENTS).clear()
    clock.seconds = 3600
    recorder.record(CHAT, STARTED)
    await recorder.flush(5)

    (event,) = posted(api)
    assert "series" not in event


async def test_one_object_cannot_flood_and_others_do_not_suffer(api, recorder):
    for number in range(100):
        recorder.record(CHAT, Notice(type="Normal", reason="Started", note=str(number)))
    recorder.record(CHAT | {"uid": "u2", "name": "other"}, STARTED)
    await recorder.flush(5)

    about = [event["regarding"]["name"] for event in posted(api)]
    assert about.count("chat") == events.BURST
    assert about.count("other") == 1


async def test_the_allowance_grows_again(api, recorder, clock):
    for number in range(100):
        recorder.record(CHAT, Notice(type="Normal", reason="Started", note=str(number)))
    clock.seconds = 2 * events.REFILL_SECONDS
    for number in range(100, 200):
        recorder.record(CHAT, Notice(type="Normal", reason="Started", note=str(number)))
    await recorder.flush(5)

    assert len(posted(api)) == events.BURST + 2


async def test_what_is_too_much_is_dropped_and_not_waited_for(api, recorder):
    for number in range(events.WAITING + 50):
        recorder.record(CHAT | {"uid": f"u{number}", "name": f"m{number}"}, STARTED)
    await recorder.flush(20)

    assert len(posted(api)) == events.WAITING


async def test_a_failure_is_counted_and_forgotten(api, recorder):
    api.fail("POST", 403)
    recorder.record(CHAT, STARTED)
    await recorder.flush(5)
    recorder.record(CHAT, STARTED)
    await recorder.flush(5)

    assert len(posted(api)) == 1


async def test_long_notes_are_cut(api, recorder):
    recorder.record(CHAT, Notice(type="Warning", reason="Long", note="ü" * 3000))
    await recorder.flush(5)

    assert len(posted(api)[0]["note"].encode()) <= 1024


async def test_events_about_cluster_wide_objects_live_in_default(api, recorder):
    pool = {"apiVersion": "v1", "kind": "GPUNodePool", "namespace": "", "name": "h100", "uid": "p"}
    recorder.record(pool, STARTED)
    await recorder.flush(5)

    (event,) = posted(api)
    assert event["metadata"]["namespace"] == "default"
    assert "namespace" not in event["regarding"]
