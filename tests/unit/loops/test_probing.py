"""Rounds of probes in virtual time; what is sent is sent elsewhere, over real sockets."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from modelfleet.loops.probing import ProbeLoop
from modelfleet.plan.samples import ProbeResult
from modelfleet.plan.world import Key
from modelfleet.servers.probe import ProbeTarget
from support import virtual_time

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)
CHAT, CODE = Key("Model", "team", "chat"), Key("Model", "team", "code")
PODS = 3


def now():
    return NOON + timedelta(seconds=virtual_time.monotonic())


def targets_of(key):
    return [
        ProbeTarget(
            pod=f"{key.name}-{number}",
            namespace=key.namespace,
            model=key.name,
            revision="abc",
            address="10.0.0.1",
            port=8000,
            question="chat",
            name=key.name,
        )
        for number in range(PODS)
    ]


class Pods:
    """Answer after some seconds each, and note when they were asked."""

    def __init__(self, **seconds):
        self.seconds, self.asked = seconds, []

    async def probe(self, target, now):
        self.asked.append((virtual_time.monotonic(), target.model))
        await asyncio.sleep(self.seconds.get(target.model, 0.1))
        return ProbeResult(
            pod=target.pod,
            namespace=target.namespace,
            model=target.model,
            revision=target.revision,
            at=now,
            seconds=self.seconds.get(target.model, 0.1),
        )

    def times(self, model):
        return sorted({when for when, name in self.asked if name == model})


def run_for(seconds, pods, script, targets=targets_of):
    """Run a loop; `script` yields (pause, action) pairs. Return it."""

    async def main():
        loop = ProbeLoop(pods, targets, now=now, monotonic=virtual_time.monotonic)
        task = asyncio.create_task(loop.run())
        begun = virtual_time.monotonic()
        for pause, act in script(loop):
            await asyncio.sleep(pause)
            act()
        await asyncio.sleep(seconds - (virtual_time.monotonic() - begun))
        assert not task.done()
        await virtual_time.cancelled(task)
        return loop

    return virtual_time.run(main())


def test_with_nobody_asking_nothing_is_sent():
    pods = Pods()

    run_for(100, pods, lambda _: ())

    assert pods.asked == []


def test_each_pod_is_asked_once_in_an_interval():
    pods = Pods()

    loop = run_for(95, pods, lambda loop: [(0, lambda: loop.want(CHAT, 10))])

    assert [when - 1000 for when in pods.times("chat")] == list(range(0, 100, 10))
    assert len(pods.asked) == len(loop.results(CHAT)) == PODS * 10
    assert {one.pod for one in loop.results(CHAT)} == {"chat-0", "chat-1", "chat-2"}


def test_asking_again_changes_nothing_but_the_interval():
    pods = Pods()

    def script(loop):
        for _ in range(50):
            yield 1, lambda: loop.want(CHAT, 20)
        yield 0, lambda: loop.want(CHAT, 5)

    run_for(100, pods, script)

    times = [when - 1000 for when in pods.times("chat") if when < 1100]
    assert times == [1, 21, 41, *range(61, 100, 5)]


def test_an_engine_that_hangs_delays_only_itself():
    pods = Pods(chat=25)

    run_for(
        100, pods, lambda loop: [(0, lambda key=key: loop.want(key, 10)) for key in (CHAT, CODE)]
    )

    assert len(pods.times("code")) == 10
    assert len(pods.times("chat")) == 4


def test_what_became_of_them_is_forgotten_with_the_last_wish():
    pods = Pods()

    def script(loop):
        yield 0, lambda: loop.want(CHAT, 10)
        yield 15, lambda: loop.release(CHAT)
        yield 0, lambda: loop.release(CHAT)
        yield 30, lambda: loop.want(CHAT, 10)

    loop = run_for(50, pods, script)

    assert len(pods.times("chat")) == 3
    assert len(loop.results(CHAT)) == PODS
    assert loop.results(CODE) == ()


@pytest.mark.parametrize("times", [1, 3])
def test_a_defect_costs_only_its_own_requests(times, caplog):
    pods, failures = Pods(), iter(range(times))

    def targets(key):
        if next(failures, None) is not None:
            raise ZeroDivisionError
        return targets_of(key)

    run_for(95, pods, lambda loop: [(0, lambda: loop.want(CHAT, 10))], targets)

    assert len(pods.times("chat")) == 10 - times
    assert "probing failed" in caplog.text
