import asyncio
import itertools
import random
from collections import Counter
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modelfleet.cluster.errors import Rejected, Unavailable
from modelfleet.loops.workqueue import (
    LONG_RESYNC,
    LONGEST_DELAY,
    QueueClosed,
    WorkQueue,
    backoff,
    run_workers,
    work,
)
from modelfleet.plan.world import Key
from support import virtual_time
from support.chance import examples


def key(name: str) -> Key:
    return Key("Model", "team", name)


A, B, C = key("a"), key("b"), key("c")


def a_queue() -> WorkQueue:
    return WorkQueue(monotonic=virtual_time.monotonic)


async def turns(queue: WorkQueue, seconds: float, reconcile=None, workers: int = 1):
    """Work for so long; return [(seconds from now, name)]."""
    started, seen = virtual_time.monotonic(), []

    async def look(one: Key) -> timedelta | None:
        seen.append((round(virtual_time.monotonic() - started, 3), one.name))
        return await reconcile(one) if reconcile else None

    workers_task = asyncio.create_task(run_workers(queue, look, workers))
    await asyncio.sleep(seconds)
    await virtual_time.cancelled(workers_task)
    return seen


def test_a_key_woken_often_has_one_turn():
    async def main():
        queue = a_queue()
        for _ in range(5):
            queue.wake(A)
        queue.wake(B)
        assert len(queue) == 2
        return await turns(queue, 1)

    assert virtual_time.run(main()) == [(0, "a"), (0, "b")]


def test_a_key_woken_during_its_turn_has_another_after_it():
    async def main():
        queue = a_queue()
        queue.wake(A)

        async def look(_: Key) -> None:
            if virtual_time.monotonic() < 1001:
                await asyncio.sleep(0.5)
                queue.wake(A)
                queue.wake(A)
                await asyncio.sleep(0.5)

        return await turns(queue, 10, look, workers=4)

    assert virtual_time.run(main()) == [(0, "a"), (1, "a")]


def test_of_two_delays_the_earlier_counts():
    async def main():
        queue = a_queue()
        queue.wake(A, 5)
        queue.wake(A, 3)
        queue.wake(A, 8)
        return await turns(queue, 20)

    assert virtual_time.run(main()) == [(3, "a")]


def test_a_wake_at_once_replaces_a_later_one():
    async def main():
        queue = a_queue()
        queue.wake(A, 5)
        queue.wake(A)
        return await turns(queue, 20)

    assert virtual_time.run(main()) == [(0, "a")]


def test_a_turn_says_when_to_look_again():
    async def main():
        queue = a_queue()
        queue.wake(A)

        async def look(_: Key) -> timedelta:
            return timedelta(seconds=10)

        return await turns(queue, 35, look)

    assert virtual_time.run(main()) == [(0, "a"), (10, "a"), (20, "a"), (30, "a")]


def test_a_hot_key_does_not_starve_the_others():
    async def main():
        queue = a_queue()
        queue.wake(A)

        async def look(one: Key) -> None:
            if one == A:
                queue.wake(A)
                if virtual_time.monotonic() == 1000:
                    queue.wake(B)
                    queue.wake(C)
            await asyncio.sleep(1)

        return await turns(queue, 4.5, look)

    assert [name for _, name in virtual_time.run(main())] == ["a", "b", "c", "a", "a"]


def test_failures_in_a_row_are_spaced_ever_wider_up_to_a_limit():
    async def main():
        queue = a_queue()
        queue.wake(A)

        async def look(_: Key) -> None:
            raise Unavailable("down")

        return await turns(queue, 1000, look)

    times = [at for at, _ in virtual_time.run(main())]
    gaps = [later - earlier for earlier, later in itertools.pairwise(times)]
    assert 0.1 < gaps[0] < 0.3
    for shorter, longer in itertools.pairwise(gaps[:8]):
        assert 1.2 < longer / shorter < 3.1
    assert all(0.8 * LONGEST_DELAY <= gap <= 1.2 * LONGEST_DELAY for gap in gaps[10:])


def test_one_success_ends_the_row_of_failures():
    async def main():
        queue = a_queue()
        looks = 0
        queue.wake(A)

        async def look(_: Key) -> None:
            nonlocal looks
            looks += 1
            if looks <= 5:
                raise Unavailable("down")

        await turns(queue, 60, look)
        return looks, queue.failures(A)

    assert virtual_time.run(main()) == (6, 0)


def test_a_change_need_not_wait_for_the_back_off():
    async def main():
        queue = a_queue()
        for _ in range(8):
            queue.wake(A)
            async with queue.next() as turn:
                turn.back_off(Unavailable("down"))
        queue.wake(A)
        return await turns(queue, 1)

    assert virtual_time.run(main())[0] == (0, "a")


def test_what_was_refused_waits_for_a_change_or_the_long_resync():
    async def main():
        queue = a_queue()
        queue.wake(A)

        async def look(_: Key) -> None:
            raise Rejected("quota")

        asyncio.get_running_loop().call_later(100, queue.wake, A)
        return await turns(queue, 100 + 1.2 * LONG_RESYNC, look)

    times = [at for at, _ in virtual_time.run(main())]
    assert times[:2] == [0, 100]
    assert 0.8 * LONG_RESYNC <= times[2] - 100 <= 1.2 * LONG_RESYNC


def test_a_defect_costs_a_turn_and_not_a_worker():
    async def main():
        queue = a_queue()
        queue.wake(A)
        queue.wake(B)

        async def look(one: Key) -> None:
            if one == A and virtual_time.monotonic() < 1000.1:
                raise KeyError("a defect")

        return await turns(queue, 1, look)

    seen = [name for _, name in virtual_time.run(main())]
    assert seen == ["a", "b", "a"]


def test_closing_lets_turns_end_and_gives_no_more():
    async def main():
        queue, ended = a_queue(), []

        async def look(one: Key) -> None:
            await asyncio.sleep(5)
            ended.append(one)

        workers = asyncio.create_task(run_workers(queue, look, 2))
        for one in (A, B, C):
            queue.wake(one)
        await asyncio.sleep(1)
        all_ended = await queue.close(timeout=10)
        await workers
        queue.wake(A)
        return all_ended, ended, len(queue)

    all_ended, ended, waiting = virtual_time.run(main())
    assert all_ended
    assert ended == [A, B]
    assert waiting == 1, "c was not worked on, and a was not taken in any more"


def test_closing_does_not_wait_for_ever():
    async def main():
        queue = a_queue()
        queue.wake(A)

        async def look(_: Key) -> None:
            await asyncio.sleep(100)

        worker = asyncio.create_task(work(queue, look))
        await asyncio.sleep(1)
        ended = await queue.close(timeout=2)
        await virtual_time.cancelled(worker)
        return ended, virtual_time.monotonic()

    assert virtual_time.run(main()) == (False, 1003)


def test_a_closed_queue_has_no_turns():
    async def main():
        queue = a_queue()
        await queue.close()
        for _ in range(2):
            with pytest.raises(QueueClosed):
                async with queue.next():
                    pass

    virtual_time.run(main())


def test_it_knows_what_waits_and_works_too_long():
    async def main():
        queue = a_queue()
        assert queue.oldest_age() == queue.longest_turn() == 0
        queue.wake(A)
        await asyncio.sleep(3)
        queue.wake(B)
        await asyncio.sleep(4)
        assert queue.oldest_age() == 7
        async with queue.next():
            await asyncio.sleep(2)
            assert queue.longest_turn() == 2
            assert queue.oldest_age() == 6

    virtual_time.run(main())


async def test_other_threads_may_wake():
    queue = WorkQueue()
    await asyncio.to_thread(queue.wake_from_thread, A)

    async with asyncio.timeout(5), queue.next() as turn:
        assert turn.key == A


def test_replaced_instants_do_not_pile_up():
    async def main():
        queue = a_queue()
        for number in range(5000):
            queue.wake(A, 600 - number / 10)
        return len(queue._later)

    assert virtual_time.run(main()) < 1000


def test_back_off_does_not_overflow():
    assert backoff(10_000) <= 1.2 * LONGEST_DELAY


SCRIPTS = st.lists(
    st.tuples(
        st.integers(0, 3),  # which key
        st.sampled_from([0, 0, 0.1, 0.5, 2]),  # woken with this delay
        st.sampled_from([0, 0.05, 0.3, 1]),  # after this pause
    ),
    max_size=60,
)


@settings(max_examples=examples(60), deadline=None)
@given(SCRIPTS, st.integers(1, 4), st.integers(0, 2**32))
def test_no_key_is_in_two_hands_and_no_wake_is_lost(script, workers, seed):
    """However keys are woken, and whatever turns come to."""
    rng = random.Random(seed)

    async def main():
        queue, working, last_look, last_wake = a_queue(), Counter(), {}, {}

        async def look(one: Key) -> timedelta | None:
            working[one] += 1
            assert working[one] == 1
            last_look[one] = virtual_time.monotonic()
            await asyncio.sleep(rng.choice([0, 0.01, 0.4]))
            working[one] -= 1
            match rng.randrange(4):
                case 0:
                    raise Unavailable("down")
                case 1:
                    return timedelta(seconds=rng.random())
            return None

        task = asyncio.create_task(run_workers(queue, look, workers))
        for number, delay, pause in script:
            await asyncio.sleep(pause)
            last_wake[key(str(number))] = virtual_time.monotonic()
            queue.wake(key(str(number)), delay)
        await asyncio.sleep(300)
        assert all(last_look[one] >= at for one, at in last_wake.items())
        assert await queue.close(5)
        await task

    virtual_time.run(main())
