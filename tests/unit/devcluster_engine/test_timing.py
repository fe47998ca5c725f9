"""The timing model: what it costs to queue, prefill, decode, and run out of KV cache."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from devcluster.engine.profiles import BadProfile, Profile, overridden
from devcluster.engine.sequences import Decoded, Finished, Preempted, Prefilled
from devcluster.engine.timing import QueueFull, Scheduler
from support.chance import examples

PLAIN = Profile(prefill_tokens_per_second=1000, decode_tokens_per_second=10, decode_slowdown=0)


def run_dry(scheduler, now=0.0, limit=100_000):
    """Advance from change to change until nothing runs; return all events and the last instant."""
    events = []
    for _ in range(limit):
        at = scheduler.next_change_at()
        if at is None:
            return events, now
        now = at
        events += scheduler.advance(now)
    raise AssertionError("the scheduler does not come to rest")


def test_one_sequence_takes_its_prefill_and_then_its_decoding():
    scheduler = Scheduler(PLAIN, now=5.0)

    sequence = scheduler.submit(500, 21, now=5.0)
    run_dry(scheduler)

    assert sequence.first_token_at == pytest.approx(5.5)
    assert sequence.finished_at == pytest.approx(5.5 + 20 / 10)


def test_tokens_come_one_by_one():
    scheduler = Scheduler(PLAIN, now=0.0)
    sequence = scheduler.submit(1000, 11, now=0.0)

    seen = []
    for tenths in range(22):
        scheduler.advance(tenths / 10 + 0.01)
        seen.append(scheduler.generated(sequence))

    assert seen == [0] * 10 + list(range(1, 12)) + [11]


def test_prompts_are_prefilled_one_after_another():
    scheduler = Scheduler(PLAIN, now=0.0)
    first, second = (scheduler.submit(1000, 1, now=0.0) for _ in range(2))

    run_dry(scheduler)

    assert (first.finished_at, second.finished_at) == (pytest.approx(1.0), pytest.approx(2.0))


def test_each_prompt_takes_its_seconds_besides_those_of_its_tokens():
    slow = Profile(prefill_tokens_per_second=1000, prefill_seconds=0.5, decode_slowdown=0)
    scheduler = Scheduler(slow, now=0.0)
    first, second = (scheduler.submit(500, 1, now=0.0) for _ in range(2))

    run_dry(scheduler)

    assert (first.finished_at, second.finished_at) == (pytest.approx(1.0), pytest.approx(2.0))


def test_a_batch_slows_each_of_its_sequences():
    slow = Profile(prefill_tokens_per_second=1e9, decode_tokens_per_second=10, decode_slowdown=0.5)
    scheduler = Scheduler(slow, now=0.0)
    sequences = [scheduler.submit(1, 11, now=0.0) for _ in range(3)]

    run_dry(scheduler)

    assert [s.finished_at for s in sequences] == pytest.approx([2.0] * 3, abs=1e-3)


def test_more_than_fit_wait_their_turn():
    scheduler = Scheduler(Profile(max_running=2), now=0.0)
    sequences = [scheduler.submit(10, 10, now=0.0) for _ in range(5)]

    assert (scheduler.running, scheduler.waiting) == (2, 3)
    assert [scheduler.is_waiting(s) for s in sequences] == [False, False, True, True, True]


def test_a_full_queue_refuses():
    scheduler = Scheduler(Profile(max_running=1, max_queued=1), now=0.0)
    scheduler.submit(10, 10, now=0.0)
    scheduler.submit(10, 10, now=0.0)

    with pytest.raises(QueueFull):
        scheduler.submit(10, 10, now=0.0)


def test_an_idle_engine_without_a_queue_still_serves():
    scheduler = Scheduler(Profile(max_queued=0), now=0.0)

    scheduler.submit(10, 10, now=0.0)

    assert scheduler.running == 1


def test_an_embedding_ends_with_its_prefill():
    scheduler = Scheduler(PLAIN, now=0.0)
    sequence = scheduler.submit(100, 0, now=0.0)

    events, _ = run_dry(scheduler)

    assert events == [Prefilled(sequence), Finished(sequence)]
    assert sequence.finished_at == pytest.approx(0.1)


def test_kv_usage_grows_with_each_token_and_ends_at_nothing():
    scheduler = Scheduler(PLAIN, now=0.0)
    scheduler.submit(100, 101, now=0.0)
    scheduler.advance(0.1)
    before = scheduler.kv_used
    scheduler.advance(1.1)
    after = scheduler.kv_used
    run_dry(scheduler)

    assert (before, after, scheduler.kv_used) == (
        pytest.approx(101),
        pytest.approx(111),
        pytest.approx(0),
    )


def test_a_full_kv_cache_preempts_the_last_who_still_finishes():
    scheduler = Scheduler(Profile(kv_tokens=300), now=0.0)
    first, last = (scheduler.submit(100, 100, now=0.0) for _ in range(2))

    events, _ = run_dry(scheduler)

    assert next(e.sequence for e in events if isinstance(e, Preempted)) is last
    assert first.finished_at < last.finished_at
    assert first.preemptions == 0


def test_a_cancelled_sequence_makes_room():
    scheduler = Scheduler(Profile(max_running=1), now=0.0)
    first, second = (scheduler.submit(10, 1000, now=0.0) for _ in range(2))
    scheduler.advance(1.0)

    scheduler.cancel(first)

    assert scheduler.is_waiting(second) is False
    assert scheduler.running == 1


@settings(max_examples=examples(60), deadline=None)
@given(
    requests=st.lists(
        st.tuples(st.integers(1, 200), st.integers(0, 60), st.floats(0, 3)), min_size=1, max_size=30
    ),
    kv_tokens=st.integers(50, 2000),
    max_running=st.integers(1, 8),
)
def test_every_request_ends_with_all_its_tokens(requests, kv_tokens, max_running):
    profile = Profile(
        prefill_tokens_per_second=3000,
        decode_tokens_per_second=50,
        kv_tokens=kv_tokens,
        max_running=max_running,
    )
    scheduler = Scheduler(profile, now=0.0)
    events, sequences = [], []
    for prompt, output, at in sorted(requests, key=lambda r: r[2]):
        events += scheduler.advance(at)
        sequences.append(scheduler.submit(prompt, output, at))
        assert scheduler.running <= max_running

    events += run_dry(scheduler, now=3.0)[0]

    assert {id(e.sequence) for e in events if isinstance(e, Finished)} == set(map(id, sequences))
    counted = sum(e.tokens for e in events if isinstance(e, Decoded))
    counted += sum(1 for e in events if isinstance(e, Prefilled) and e.sequence.output_tokens)
    # A preemption keeps whole tokens only, so that it costs up to one each.
    preemptions = sum(s.preemptions for s in sequences)
    asked = sum(s.output_tokens for s in sequences)
    assert asked - 1 <= counted <= asked + 2 * preemptions + 1
    assert (scheduler.running, scheduler.waiting) == (0, 0)
    assert scheduler.kv_used == pytest.approx(0, abs=1e-6)


@settings(max_examples=examples(30), deadline=None)
@given(step=st.floats(0.001, 0.5))
def test_how_often_one_looks_changes_nothing(step):
    def end_times(often):
        scheduler = Scheduler(Profile(kv_tokens=500, max_running=3), now=0.0)
        sequences = [scheduler.submit(60 + i, 40, now=0.0) for i in range(5)]
        for n in range(math.ceil(30 / step) if often else 0):
            scheduler.advance(n * step)
        scheduler.advance(60.0)
        return [s.finished_at for s in sequences]

    assert end_times(often=True) == pytest.approx(end_times(often=False), rel=1e-6)


@pytest.mark.parametrize(
    "document",
    [
        pytest.param([], id="not an object"),
        pytest.param({"speed": 1}, id="an unknown member"),
        pytest.param({"kvTokens": "many"}, id="not a number"),
        pytest.param({"decodeTokensPerSecond": 0}, id="no speed at all"),
        pytest.param({"maxRunning": 0}, id="nothing runs"),
    ],
)
def test_a_bad_profile_is_refused(document):
    with pytest.raises(BadProfile):
        overridden(Profile(), document)


def test_a_profile_takes_camel_case_members():
    profile = overridden(Profile(), {"maxQueued": 3, "prefillTokensPerSecond": 5})

    assert (profile.max_queued, profile.prefill_tokens_per_second) == (3, 5)
