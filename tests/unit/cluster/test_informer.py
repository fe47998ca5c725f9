import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from modelfleet.cluster.informer import DOUBTS, Informer, Pace, Scope
from modelfleet.cluster.rest import NODES, PODS
from modelfleet.cluster.session import Limits, Session
from modelfleet.cluster.store import Store
from support.eventually import eventually
from support.fake_api import FakeApi
from support.objects import an_object


def a_store() -> Store[str]:
    return Store(PODS, lambda raw: raw["metadata"]["labels"].get("app", ""))


QUICK = Pace(first=0.01, longest=0.02)


def an_informer(session: Session, store: Store[str], scope: Scope | None = None) -> Informer[str]:
    return Informer(session, store, scope or Scope(), pace=QUICK)


@asynccontextmanager
async def following(informer: Informer[str]) -> AsyncIterator[Store[str]]:
    task = asyncio.create_task(informer.run())
    try:
        async with asyncio.timeout(10):
            await informer.synced.wait()
            yield informer.store
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def create(api: FakeApi, name: str, app: str = "a", namespace: str = "team") -> None:
    api.objects.create(PODS, an_object(PODS, name, namespace, app=app))


def delete(api: FakeApi, name: str, namespace: str = "team") -> None:
    api.objects.delete(PODS, (namespace, name))


def relabel(api: FakeApi, name: str, app: str) -> None:
    api.objects.merge(PODS, ("team", name), {"metadata": {"labels": {"app": app}}})


def watches(api: FakeApi) -> int:
    return sum(verb == "WATCH" for verb, _ in api.requests)


def names(store: Store[str]) -> set[str]:
    return {name for _, name in store.names()}


@pytest.fixture(params=[(1, 33), (1, 36)], ids=["lists in pages", "streams the list"])
async def api(request) -> AsyncIterator[FakeApi]:
    async with FakeApi(version=request.param).running() as api:
        yield api


async def test_it_knows_what_there_was_and_what_comes(api, session):
    create(api, "first")
    async with following(an_informer(session, a_store())) as store:
        assert names(store) == {"first"}
        create(api, "second")
        relabel(api, "first", "b")
        await eventually(lambda: len(store) == 2 and store.get("team", "first") == "b")
        delete(api, "first")
        await eventually(lambda: names(store) == {"second"})


async def test_it_follows_only_what_it_was_asked_to(api, session):
    create(api, "ours", "a")
    create(api, "other", "b")
    create(api, "elsewhere", "a", namespace="away")
    async with following(an_informer(session, a_store(), Scope("team", "app=a"))) as store:
        assert names(store) == {"ours"}
        relabel(api, "other", "a")
        relabel(api, "ours", "b")
        create(api, "far", "a", namespace="away")
        await eventually(lambda: names(store) == {"other"})


async def test_many_pages_make_one_list(api, session):
    api.page = 7
    for number in range(30):
        create(api, f"p{number}")

    async with following(an_informer(session, a_store())) as store:
        assert len(store) == 30


async def test_a_dropped_watch_goes_on_where_it_was(api, session):
    create(api, "first")
    async with following(an_informer(session, a_store())) as store:
        lists = api.requests.count(("LIST", "/api/v1/pods"))
        api.break_watches()
        create(api, "second")
        await eventually(lambda: names(store) == {"first", "second"})
        assert api.requests.count(("LIST", "/api/v1/pods")) == lists


async def test_after_410_it_drops_what_vanished_unseen(api, session):
    create(api, "stays")
    create(api, "vanishes")
    informer = an_informer(session, a_store())
    told: list[tuple[str | None, str | None]] = []
    async with following(informer) as store:
        store.subscribe(lambda old, new: told.append((old, new)))
        api.deafen()  # the watch is open, but nobody tells
        delete(api, "vanishes")
        create(api, "new", "n")
        api.objects.compact()
        await cut_off(api)
        await eventually(lambda: names(store) == {"stays", "new"})

    assert ("a", None) in told
    assert (None, "n") in told


async def cut_off(api: FakeApi) -> None:
    """Hang up also on watches that were made deaf."""
    await api.hang_up()


async def test_a_410_event_in_the_stream_means_to_list_again(api, session):
    create(api, "first")
    async with following(an_informer(session, a_store())) as store:
        api.objects.compact()
        api.send("ERROR", {"kind": "Status", "code": 410, "reason": "Expired"})
        create(api, "second")
        await eventually(lambda: names(store) == {"first", "second"})


async def test_any_other_error_event_only_costs_the_watch(api, session):
    async with following(an_informer(session, a_store())) as store:
        for number in (1, 2):
            await eventually(lambda n=number: watches(api) == n)
            api.send("ERROR", {"kind": "Status", "code": 500, "message": "etcdserver: no leader"})
        await eventually(lambda: watches(api) == 3)
        create(api, "first")
        await eventually(lambda: names(store) == {"first"})


async def test_it_outlives_an_outage_of_the_server(api, session):
    create(api, "first")
    async with following(an_informer(session, a_store())) as store:
        api.fail("WATCH", 503, times=3)
        api.break_watches()
        delete(api, "first")
        create(api, "second")
        await eventually(lambda: names(store) == {"second"})


async def test_an_outage_is_no_reason_to_list_again(api, session):
    async with following(an_informer(session, a_store())) as store:
        await eventually(lambda: watches(api) == 1)
        before = len(api.requests)
        api.fail("WATCH", 503, times=6)
        api.break_watches()
        create(api, "first")
        await eventually(lambda: names(store) == {"first"}, within=10)

    assert {verb for verb, _ in api.requests[before:]} == {"WATCH"}


async def test_a_version_that_the_server_does_not_like_is_given_up(api, session):
    async with following(an_informer(session, a_store())) as store:
        await eventually(lambda: watches(api) == 1)
        before = len(api.requests)
        api.fail("WATCH", 504, times=DOUBTS)
        api.break_watches()
        await eventually(lambda: listed_anew(api, before), within=10)
        create(api, "first")
        await eventually(lambda: names(store) == {"first"})


def listed_anew(api: FakeApi, before: int) -> bool:
    later = zip(api.requests[before:], api.queries[before:], strict=True)
    return any(verb == "LIST" or "sendInitialEvents" in query for (verb, _), query in later)


async def test_it_waits_for_a_server_that_is_not_there_yet(api, session):
    create(api, "first")
    api.fail("LIST", 0, times=2)
    api.fail("WATCH", 0, times=2)
    async with following(an_informer(session, a_store())) as store:
        assert names(store) == {"first"}


async def test_a_store_may_have_an_informer_for_each_of_some_namespaces(api, session):
    create(api, "mine", namespace="team")
    create(api, "unseen", namespace="third")
    store = a_store()
    ours, theirs = (an_informer(session, store, Scope(namespace=one)) for one in ("team", "other"))
    async with following(ours), following(theirs):
        create(api, "theirs", namespace="other")
        create(api, "unseen-too", namespace="third")
        await eventually(lambda: names(store) == {"mine", "theirs"})
        api.objects.compact()
        api.break_watches()
        delete(api, "mine", namespace="team")
        await eventually(lambda: names(store) == {"theirs"})


async def test_a_bookmark_moves_the_place_to_continue_from(api, session):
    async with following(an_informer(session, a_store())) as store:
        api.objects.create(NODES, an_object(NODES, "n1"))  # another kind: no event for us
        await eventually(lambda: store.horizon() == api.objects.version)
        api.objects.compact()  # all before the bookmark is forgotten
        before = len(api.requests)
        api.break_watches()
        await eventually(lambda: len(api.watches) == 1)
        create(api, "first")
        await eventually(lambda: names(store) == {"first"})

    assert [verb for verb, _ in api.requests[before:]] == ["WATCH"]


async def test_events_that_come_twice_or_late_change_nothing(api, session):
    create(api, "p", "old")
    old = dict(api.objects.get(PODS, "team", "p"))
    async with following(an_informer(session, a_store())) as store:
        relabel(api, "p", "new")
        await eventually(lambda: store.get("team", "p") == "new")
        api.send("MODIFIED", old)
        api.send("ADDED", old)
        create(api, "last")
        await eventually(lambda: "last" in names(store))
        assert store.get("team", "p") == "new"


async def test_a_silent_connection_is_given_up(api):
    async with (
        Session(api.connection, Limits(attempts=1, silence=0.2)) as session,
        following(an_informer(session, a_store())) as store,
    ):
        api.deafen()
        create(api, "unheard")
        await eventually(lambda: names(store) == {"unheard"})


async def test_our_write_outlives_a_list_that_is_older(api, session):
    async with following(an_informer(session, a_store())) as store:
        create(api, "ours")
        store.put(api.objects.get(PODS, "team", "ours"))
        assert names(store) == {"ours"}
        delete(api, "ours")
        await eventually(lambda: not names(store))
        store.put(an_old(api, "ours"))
        assert not names(store)


def an_old(api: FakeApi, name: str) -> dict[str, object]:
    """The answer to the write that created it, which comes late."""
    return next(c.after for c in api.objects.history if c.after["metadata"]["name"] == name)


async def test_versions_that_go_backwards_mean_a_restored_cluster(api, session):
    create(api, "p", "before")
    async with following(an_informer(session, a_store())) as store:
        delete(api, "p")
        api.objects.version = 10
        create(api, "p", "restored")
        api.objects.compact()
        api.objects.oldest = 5
        api.send("ERROR", {"kind": "Status", "code": 410, "reason": "Expired"})
        await eventually(lambda: store.get("team", "p") == "restored")


async def test_how_long_the_server_has_been_silent(api, session):
    now = [100.0]
    informer = Informer(session, a_store(), pace=QUICK, monotonic=lambda: now[0])
    async with following(informer):
        await eventually(lambda: len(api.watches) == 1)
        now[0] += 60
        await eventually(lambda: informer.silent_for() == 0)
        api.deafen()
        now[0] += 60
        assert informer.silent_for() >= 60


def test_watches_that_fail_are_spaced_ever_wider_up_to_a_limit():
    delays = [Pace().delay(futile) for futile in range(0, 40)]

    assert 0.05 <= delays[0] <= 0.1
    assert delays[4] > 2 * delays[0]
    assert all(15 <= delay <= 30 for delay in delays[10:])
