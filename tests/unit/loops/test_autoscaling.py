"""What is read for autoscaled Models, from a simulated engine over real sockets."""

import asyncio
from contextlib import asynccontextmanager

import yarl

from modelfleet.loops.autoscaling import Autoscaler
from modelfleet.plan.scaling import Memory
from modelfleet.servers.client import Client
from support import virtual_time
from unit.devcluster_engine.worlds import FAST, serving
from unit.loops.test_targets import CHAT, NEW, a_pod, a_revision, caches_with


class Looks:
    """Notes which Models are shown, and fails where a test says so."""

    def __init__(self):
        self.shown, self.broken = [], 0

    def __call__(self, key):
        self.shown.append(key)
        if self.broken:
            self.broken -= 1
            raise ZeroDivisionError


@asynccontextmanager
async def autoscaler_of_one_pod(look):
    async with serving(annotations={"profile": FAST}) as (_, url), Client() as client:
        there = yarl.URL(url)
        caches = caches_with(
            a_pod("a", address=there.host),
            revisions=[a_revision(NEW, there.port, engine={"name": "vllm"})],
        )
        autoscaler = Autoscaler(client, caches, interval=0.05)
        task = asyncio.create_task(autoscaler.run(look))
        try:
            async with asyncio.timeout(10):
                yield autoscaler
        finally:
            await virtual_time.cancelled(task)


async def until(holds):
    while not holds():
        await asyncio.sleep(0.01)


async def test_a_model_is_read_again_and_again_and_shown_each_time():
    look = Looks()
    async with autoscaler_of_one_pod(look) as autoscaler:
        autoscaler.note(CHAT, Memory())
        await until(lambda: len(look.shown) >= 3)
        pages = autoscaler.pages(CHAT)

    assert set(look.shown) == {CHAT}
    assert {one.pod for one in pages} == {"uid-a"}
    assert pages[-1].values["running"] == 0
    assert 1 <= len(pages) <= 3


async def test_one_that_is_autoscaled_no_longer_is_forgotten():
    look = Looks()
    async with autoscaler_of_one_pod(look) as autoscaler:
        autoscaler.note(CHAT, Memory())
        await until(lambda: autoscaler.pages(CHAT))
        autoscaler.note(CHAT, None)

        assert autoscaler.memory(CHAT) is None
        assert autoscaler.pages(CHAT) == ()
        shown = len(look.shown)
        await asyncio.sleep(0.3)
        assert len(look.shown) <= shown + 1


async def test_a_look_that_fails_costs_no_other():
    look = Looks()
    look.broken = 2
    async with autoscaler_of_one_pod(look) as autoscaler:
        autoscaler.note(CHAT, Memory())
        await until(lambda: len(look.shown) >= 4)


async def test_the_newest_memory_counts():
    look = Looks()
    async with autoscaler_of_one_pod(look) as autoscaler:
        autoscaler.note(CHAT, Memory())
        autoscaler.note(CHAT, Memory(lulls=(3.0,)))

        assert autoscaler.memory(CHAT) == Memory(lulls=(3.0,))
