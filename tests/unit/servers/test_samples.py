import gc
import math
import tracemalloc
from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from modelfleet.plan.samples import Histogram, Process, Reason, Scrape, ScrapeFailure
from modelfleet.servers.inflight import in_flight
from modelfleet.servers.samples import Bounds, Samples
from unit.servers.targets import NOON

CHAT = ("team", "chat")


def after(seconds: float):
    return NOON + timedelta(seconds=seconds)


def a_scrape(pod="u-1", seconds=0.0, *, model="chat", revision="abc", restarts=0, **values):
    return Scrape(
        pod=pod,
        namespace="team",
        model=model,
        revision=revision,
        at=after(seconds),
        process=Process(restarts),
        values=values,
    )


def a_failure(pod="u-1", seconds=0.0):
    return ScrapeFailure(
        pod=pod,
        namespace="team",
        model="chat",
        revision="abc",
        at=after(seconds),
        reason=Reason.TIMEOUT,
    )


def samples_of(*answers, bounds=None):
    samples = Samples(bounds or Bounds())
    for one in answers:
        samples.add([one], one.at)
    return samples


finite = st.floats(0, 1e12)
histograms = st.builds(
    lambda bounds, counts, total: Histogram(
        (*bounds, math.inf), tuple(sorted(counts))[: len(bounds) + 1], total
    ),
    st.sampled_from([(), (0.1,), (0.1, 0.2, 0.4)]),
    st.lists(finite, min_size=4, max_size=4),
    st.none() | finite,
)
scrapes = st.builds(
    Scrape,
    pod=st.sampled_from(["u-1", "u-2"]),
    namespace=st.just("team"),
    model=st.just("chat"),
    revision=st.sampled_from(["abc", "def"]),
    at=st.just(NOON),
    process=st.builds(Process, st.integers(0, 2), st.none() | finite),
    values=st.dictionaries(st.sampled_from(["running", "waiting", "errors"]), finite),
    histograms=st.dictionaries(st.sampled_from(["timeToFirstToken"]), histograms),
)


@given(st.lists(scrapes, max_size=12))
def test_what_is_kept_is_what_was_read(found):
    samples = Samples()
    samples.add(found, NOON)

    for pod in ("u-1", "u-2"):
        kept = [one for one in samples.of(*CHAT, since=NOON) if one.pod == pod]
        assert kept == [one for one in found if one.pod == pod]


def test_readings_by_revision_and_since():
    old, new = a_scrape(revision="abc"), a_scrape("u-2", 30, revision="def")
    other = a_scrape("u-3", 30, model="other")
    samples = samples_of(old, new, other)

    assert samples.of(*CHAT, since=NOON) == (old, new)
    assert samples.of(*CHAT, since=NOON, revision="def") == (new,)
    assert samples.of(*CHAT, since=after(1)) == (new,)
    assert samples.of("another", "chat", since=NOON) == ()


def test_both_sides_of_a_restart_are_kept_apart():
    before, later = a_scrape(running=1.0), a_scrape(seconds=15, restarts=1, running=0.0)

    found = samples_of(before, later).of(*CHAT, since=NOON)

    assert [one.process.restarts for one in found] == [0, 1]


def test_the_oldest_readings_go_first():
    readings = [a_scrape(seconds=number) for number in range(10)]

    samples = samples_of(*readings, bounds=Bounds(per_pod=3))

    assert samples.of(*CHAT, since=NOON) == tuple(readings[-3:])


def test_readings_grow_old():
    samples = samples_of(
        *(a_scrape(seconds=60 * number) for number in range(20)),
        bounds=Bounds(timedelta(minutes=5)),
    )

    assert len(samples) == 6


def test_the_oldest_readings_go_first_through_restarts():
    readings = [a_scrape(seconds=number, restarts=number) for number in range(10)]

    samples = samples_of(*readings, bounds=Bounds(per_pod=3))

    assert samples.of(*CHAT, since=NOON) == tuple(readings[-3:])


def test_pods_that_are_gone_are_kept_while_they_matter():
    gone, other = a_scrape("gone"), a_scrape("other", 599)
    samples = samples_of(gone, other)
    assert samples.of(*CHAT, since=NOON) == (gone, other)

    samples.add([], after(601))

    assert (samples.of(*CHAT, since=NOON), samples.pods) == ((other,), 1)
    samples.add([], after(1200))
    assert (len(samples), samples.pods) == (0, 0)


def test_pods_that_never_answer_are_bounded_too():
    samples = Samples(Bounds(pods=10))
    for number in range(1000):
        samples.add([a_failure(f"u-{number}", number / 100)], after(number / 100))

    assert samples.pods <= 10
    assert "u-999" in samples.latest(*CHAT)


def test_more_pods_than_there_is_room_for_at_one_instant():
    samples = Samples(Bounds(pods=10))

    samples.add([a_scrape(f"u-{number}", model=f"m-{number}") for number in range(100)], NOON)

    assert 5 <= samples.pods <= 10
    assert samples.of("team", "m-99", since=NOON)


def test_a_clock_that_is_set_back_starts_anew():
    samples = samples_of(a_scrape(seconds=100), a_scrape(seconds=5))

    assert samples.of(*CHAT, since=NOON) == (a_scrape(seconds=5),)


def test_a_model_can_be_forgotten():
    samples = samples_of(a_scrape(), a_scrape("u-2", model="other"))

    samples.forget(*CHAT)
    samples.forget("no", "body")

    assert (samples.of(*CHAT, since=NOON), samples.pods) == ((), 1)


def test_memory_of_ten_thousand_pods():
    """Each of 20 readings of a loaded vLLM's 8 values and 2 histograms; here a fiftieth of them."""
    bounds = (*(float(number) for number in range(21)), math.inf)

    def a_busy_one(pod, turn):
        fresh = [float(pod * 1000 + turn * 10 + place) for place in range(12)]
        counts = tuple(0.0 for _ in range(4)) + tuple(fresh) + (fresh[-1],) * 6
        signals = ("running", "waiting", "kvCacheUsage", "promptTokens", "generationTokens")
        signals += ("succeeded", "errors", "preemptions")
        one = Histogram(bounds, counts, 0.1 * pod + turn)
        return Scrape(
            pod=f"pod-{pod}",
            namespace="team",
            model=f"m-{pod // 10}",
            revision="abc",
            at=after(15 * turn),
            process=Process(0, float(pod)),
            values={**dict(zip(signals, fresh, strict=False)), "kvCacheUsage": 0.1 + pod / 1000},
            histograms={"timeToFirstToken": one, "timePerOutputToken": one},
        )

    tracemalloc.start()
    samples = Samples()
    for turn in range(20):
        samples.add((a_busy_one(pod, turn) for pod in range(200)), after(15 * turn))
    gc.collect()  # freed tuples that Python holds for later count too
    used, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert len(samples) == 4000
    assert used * 50 < 60 * 2**20


def test_requests_in_flight():
    samples = samples_of(
        a_scrape("busy", 10, running=3.0, waiting=2.0),
        a_scrape("idle", 10, running=0.0, waiting=0.0),
        a_scrape("old", running=0.0, waiting=0.0),
        a_scrape("half", 10, running=0.0),
        a_scrape("strange", 10, running=-1.0, waiting=0.0),
        a_scrape("silent", 10, running=0.0, waiting=0.0),
        a_failure("silent", 11),
        a_failure("never", 11),
    )

    assert in_flight(samples, *CHAT, since=after(5)) == {"busy": 5, "idle": 0}


def test_a_pod_that_answers_again_is_known_again():
    samples = samples_of(a_failure(), a_scrape(seconds=1, running=1.0, waiting=0.0))

    assert in_flight(samples, *CHAT, since=NOON) == {"u-1": 1}


# --- the ends of the last run ------------------------------------------------------------


def ends(samples, since=0.0):
    found = samples.ends(*CHAT, since=after(since))
    return [(one.pod, (one.at - NOON).total_seconds()) for one in found]


def test_the_ends_of_each_pod_are_its_first_middle_and_last_reading():
    told = [a_scrape(pod, at, running=1.0) for at in range(0, 75, 15) for pod in ("u-1", "u-2")]

    assert ends(samples_of(*told)) == [
        *(("u-1", at) for at in (0, 30, 60)),
        *(("u-2", at) for at in (0, 30, 60)),
    ]
    assert ends(samples_of(*told[:2]), 0) == [("u-1", 0), ("u-2", 0)]
    assert ends(samples_of(*told), 31) == [("u-1", 45), ("u-1", 60), ("u-2", 45), ("u-2", 60)]
    assert ends(samples_of(*told), 61) == []


def test_only_the_last_process_has_ends():
    told = [a_scrape(seconds=at, restarts=at // 30, running=1.0) for at in range(0, 75, 15)]

    assert ends(samples_of(*told)) == [("u-1", 60)]


def test_what_failed_only_has_no_ends():
    assert ends(samples_of(a_failure())) == []
