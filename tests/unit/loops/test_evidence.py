"""What is known of a Model that is compared, from a simulated engine over real sockets."""

import asyncio
from contextlib import asynccontextmanager

import yarl

from modelfleet.loops.evidence import Evidence
from modelfleet.servers.client import Client
from support import virtual_time
from unit.devcluster_engine.worlds import FAST, serving
from unit.loops.test_targets import CHAT, NEW, a_pod, a_revision, caches_with


@asynccontextmanager
async def evidence_of_one_pod(**annotations):
    """Give what knows of a Model with one pod, at work."""
    async with (
        serving(annotations={"profile": FAST, **annotations}) as (_, url),
        Client() as client,
    ):
        there = yarl.URL(url)
        caches = caches_with(
            a_pod("a", address=there.host),
            revisions=[a_revision(NEW, there.port, engine={"name": "vllm"})],
        )
        evidence = Evidence(client, caches)
        task = asyncio.create_task(evidence.run())
        try:
            async with asyncio.timeout(10):
                yield evidence
        finally:
            await virtual_time.cancelled(task)


async def until(holds):
    while not holds():
        await asyncio.sleep(0.01)


async def test_its_pods_are_read_and_asked():
    async with evidence_of_one_pod() as evidence:
        evidence.watch(CHAT, 12, True)
        await until(lambda: evidence.probes(CHAT))
        await until(lambda: any(one.values["succeeded"] for one in evidence.scrapes(CHAT)))

        told, (answer,) = evidence.scrapes(CHAT)[-1], evidence.probes(CHAT)

    assert (told.pod, told.revision, told.process.restarts) == ("uid-a", NEW, 2)
    assert told.process.started is not None
    assert {"errors", "aborted"} < told.values.keys()
    assert told.histograms["timeToFirstToken"].count == 1
    assert (answer.pod, answer.ok) == ("uid-a", True)
    assert answer.first_token_seconds is not None


async def test_without_probes_it_is_only_read():
    async with evidence_of_one_pod() as evidence:
        evidence.watch(CHAT, 12, True)
        await until(lambda: evidence.probes(CHAT))
        evidence.watch(CHAT, 12, False)
        assert evidence.probes(CHAT) == ()

        await until(lambda: evidence.scrapes(CHAT))


async def test_nothing_is_known_of_a_model_that_is_compared_no_longer():
    async with evidence_of_one_pod() as evidence:
        evidence.watch(CHAT, 12, True)
        await until(lambda: evidence.probes(CHAT) and evidence.scrapes(CHAT))

        evidence.watch(CHAT, None, False)
        assert evidence.scrapes(CHAT) == evidence.probes(CHAT) == ()

        evidence.watch(CHAT, 12, True)
        assert evidence.scrapes(CHAT) == evidence.probes(CHAT) == ()


async def test_a_failed_request_is_told_and_no_reading_is_none():
    async with evidence_of_one_pod(**{"error-rate": "1"}) as evidence:
        assert evidence.scrapes(CHAT) == evidence.probes(CHAT) == ()
        evidence.watch(CHAT, 12, True)
        await until(lambda: evidence.probes(CHAT))

        (answer,) = evidence.probes(CHAT)

    assert (answer.ok, answer.status) == (False, 500)
