"""Rounds in virtual time; what a round reads is read elsewhere, over real sockets."""

import asyncio
import itertools
from datetime import UTC, datetime, timedelta

import pytest

from modelfleet.api.v1alpha1.engine import Metrics
from modelfleet.loops.scraping import ScrapeLoop
from modelfleet.plan.samples import Scrape
from modelfleet.plan.world import Key
from modelfleet.servers.samples import Samples
from modelfleet.servers.scrape import Target
from support import virtual_time

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)
CHAT, CODE = Key("Model", "team", "chat"), Key("Model", "team", "code")


def now():
    return NOON + timedelta(seconds=virtual_time.monotonic())


def targets_of(keys):
    return [
        Target(
            pod=f"{key.name}-pod",
            namespace=key.namespace,
            model=key.name,
            revision="abc",
            address="10.0.0.1",
            port=8000,
            metrics=Metrics(),
        )
        for key in sorted(keys)
    ]


class Pods:
    """Answers after `seconds`, and notes when it was asked for whom."""

    def __init__(self, seconds=0.0, broken=0):
        self.seconds, self.broken = seconds, broken
        self.asked, self.busy, self.overlaps = [], False, 0

    async def scrape(self, targets, now):
        self.overlaps += self.busy
        self.busy = True
        self.asked.append((virtual_time.monotonic(), [one.model for one in targets]))
        await asyncio.sleep(self.seconds)
        self.busy = False
        if len(self.asked) <= self.broken:
            raise ZeroDivisionError
        return [
            Scrape(
                pod=one.pod,
                namespace=one.namespace,
                model=one.model,
                revision=one.revision,
                at=now,
                values={"running": 1.0},
            )
            for one in targets
        ]


def run_for(seconds, pods, script=lambda _: None, done=lambda _: None):
    """Run a loop with an interval of 10 s; `script` yields (pause, action) pairs."""
    samples = Samples()

    async def main():
        loop = ScrapeLoop(
            pods,
            samples,
            targets_of,
            interval=10,
            on_done=done,
            now=now,
            monotonic=virtual_time.monotonic,
        )
        task = asyncio.create_task(loop.run())
        begun = virtual_time.monotonic()
        for pause, act in script(loop) or ():
            await asyncio.sleep(pause)
            act()
        await asyncio.sleep(seconds - (virtual_time.monotonic() - begun))
        await virtual_time.cancelled(task)

    virtual_time.run(main())
    return samples


def wanting(*keys):
    return lambda loop: [(0, lambda key=key: loop.want(key, "canary")) for key in keys]


def test_with_nobody_asking_nothing_is_read():
    pods = Pods()

    run_for(100, pods)

    assert pods.asked == []


def test_only_what_is_asked_about_is_read():
    pods, done = Pods(), []

    samples = run_for(35, pods, wanting(CHAT), done.append)

    assert {tuple(models) for _, models in pods.asked} == {("chat",)}
    assert set(done) == {frozenset({CHAT})}
    assert len(samples.of("team", "chat", since=NOON)) == len(pods.asked) == len(done)


def test_rounds_come_at_their_interval_and_not_in_step():
    pods = Pods(seconds=3)

    run_for(400, pods, wanting(CHAT))

    starts = [when for when, _ in pods.asked]
    gaps = [later - earlier for earlier, later in itertools.pairwise(starts)]
    assert all(9 <= gap <= 11 for gap in gaps)
    assert len({round(gap, 3) for gap in gaps}) > 5


def test_slow_rounds_never_overlap_and_leave_a_pause():
    pods = Pods(seconds=25)

    run_for(200, pods, wanting(CHAT))

    starts = [when for when, _ in pods.asked]
    assert pods.overlaps == 0
    assert all(b - a >= 26 for a, b in itertools.pairwise(starts))
    assert len(starts) >= 7


def test_reasons_are_taken_back_one_by_one():
    pods = Pods()

    def script(loop):
        yield 0, lambda: loop.want(CHAT, "canary")
        yield 0, lambda: loop.want(CHAT, "autoscaling")
        yield 0, lambda: loop.want(CHAT, "autoscaling")
        yield 0, lambda: loop.want(CODE, "canary")
        yield 15, lambda: loop.release(CODE, "canary")
        yield 0, lambda: loop.release(CHAT, "autoscaling")
        yield 15, lambda: loop.release(CHAT, "canary")
        yield 0, lambda: loop.release(CHAT, "canary")
        yield 100, lambda: loop.want(CODE, "canary")

    run_for(135, pods, script)

    assert pods.asked[1][1] == ["chat", "code"]
    assert pods.asked[2][1] == ["chat"]
    assert pods.asked[-1][1] == ["code"]
    assert not [when for when, _ in pods.asked if 1031 < when < 1129]


def test_some_are_read_in_every_round_and_others_in_some():
    pods = Pods()

    def script(loop):
        yield 0, lambda: loop.want(CHAT, "canary", every=3)
        yield 0, lambda: loop.want(CODE, "rollout")
        yield 95, lambda: loop.want(CHAT, "rollout")
        yield 60, lambda: loop.release(CHAT, "rollout")

    run_for(250, pods, script)

    early, late = (
        [models for when, models in pods.asked if a < when < b]
        for a, b in ((1000, 1090), (1165, 1250))
    )
    both = [models for when, models in pods.asked if 1106 < when < 1150]
    assert all("chat" in models for models in both)
    for some in (early, late):
        assert all("code" in models for models in some)
        turns = [number for number, models in enumerate(some) if "chat" in models]
        assert len(turns) >= 2
        assert {b - a for a, b in itertools.pairwise(turns)} == {3}


@pytest.mark.parametrize("broken", ["reading", "telling"])
def test_a_round_that_fails_costs_only_itself(broken, caplog):
    pods = Pods(broken=2 if broken == "reading" else 0)

    def done(_):
        if broken == "telling" and len(pods.asked) <= 2:
            raise ZeroDivisionError

    run_for(50, pods, wanting(CHAT), done)

    assert len(pods.asked) >= 4
    assert sum(one.levelname == "ERROR" for one in caplog.records) == 2
