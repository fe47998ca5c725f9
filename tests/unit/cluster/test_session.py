import aiohttp
import pytest

from modelfleet.cluster import errors
from modelfleet.cluster.credentials import StaticToken
from modelfleet.cluster.kubeconfig import Connection
from modelfleet.cluster.rest import (
    BY_KIND,
    LEASES,
    MODELS,
    NODES,
    PODS,
    Endpoint,
    endpoint_of,
    resource_of,
)
from modelfleet.cluster.session import METADATA_LIST, Limits, Session
from support.objects import an_object


def count(api, verb: str) -> int:
    return sum(one == verb for one, _ in api.requests)


@pytest.fixture
async def patient(api):
    async with Session(api.connection, Limits(attempts=3)) as session:
        yield session


@pytest.mark.parametrize(
    ("endpoint", "path"),
    [
        (PODS.all(), "/api/v1/pods"),
        (PODS.all("ns"), "/api/v1/namespaces/ns/pods"),
        (PODS.at("ns", "p", "status"), "/api/v1/namespaces/ns/pods/p/status"),
        (NODES.at(None, "n"), "/api/v1/nodes/n"),
        (NODES.at("ignored", "n"), "/api/v1/nodes/n"),
        (MODELS.at("ns", "m"), "/apis/modelfleet.dev/v1alpha1/namespaces/ns/models/m"),
        (PODS.at("ns", "../x"), "/api/v1/namespaces/ns/pods/..%2Fx"),
    ],
)
def test_paths(endpoint, path):
    assert endpoint.path == path


def test_a_manifest_knows_its_place():
    lease = an_object(LEASES, "l", "ns")

    assert resource_of(lease) == LEASES
    assert endpoint_of(lease) == LEASES.at("ns", "l")


def test_every_kind_has_one_resource():
    assert BY_KIND["Deployment"].api_version == "apps/v1"
    assert len({resource.plural for resource in BY_KIND.values()}) == len(BY_KIND)


async def test_objects_are_read_and_written(session):
    created = await session.create(PODS.all("team"), an_object(PODS, "p"))
    assert await session.get(PODS.at("team", "p")) == created

    patched = await session.patch(PODS.at("team", "p"), {"metadata": {"labels": {"a": "b"}}})
    assert (patched.code, patched.body["metadata"]["labels"]) == (200, {"a": "b"})

    with pytest.raises(errors.Conflict):
        await session.replace(PODS.at("team", "p"), created)

    await session.delete(PODS.at("team", "p"), {"propagationPolicy": "Background"})
    with pytest.raises(errors.NotFound):
        await session.get(PODS.at("team", "p"))


async def test_lists_come_in_pages(api, session):
    for number in range(5):
        api.objects.create(NODES, an_object(NODES, f"n{number}"))

    first = await session.page(NODES.all(), {"limit": "3"})
    second = await session.page(NODES.all(), {"limit": "3", "continue": first.next})

    assert (len(first.items), len(second.items), second.next) == (3, 2, "")
    assert first.resource_version == second.resource_version == str(api.objects.version)


async def test_metadata_alone_can_be_asked_for(api, session):
    api.objects.create(NODES, an_object(NODES, "n") | {"spec": {"podCIDR": "10.0.0.0/24"}})

    page = await session.page(NODES.all(), {}, accept=METADATA_LIST)

    assert list(page.items[0]) == ["metadata"]


async def test_what_passes_is_tried_again(api, patient):
    api.objects.create(NODES, an_object(NODES, "n"))
    api.fail("GET", 503, times=1)
    api.fail("GET", 0, times=1)

    assert (await patient.get(NODES.at(None, "n")))["metadata"]["name"] == "n"
    assert count(api, "GET") == 3


async def test_attempts_are_bounded(api, patient):
    api.fail("GET", 500, times=99)

    with pytest.raises(errors.Unavailable):
        await patient.get(NODES.at(None, "n"))
    assert count(api, "GET") == 3


async def test_the_wait_that_the_server_asks_for_is_kept(api, patient):
    api.fail("GET", 429, headers={"Retry-After": "0"})
    api.objects.create(NODES, an_object(NODES, "n"))

    assert await patient.get(NODES.at(None, "n"))


@pytest.mark.parametrize("code", [400, 403, 404, 409, 410, 422])
async def test_what_cannot_succeed_is_not_tried_again(api, patient, code):
    api.fail("GET", code)

    with pytest.raises(errors.ApiError):
        await patient.get(NODES.at(None, "n"))
    assert count(api, "GET") == 1


async def test_a_creation_is_never_sent_twice(api, patient):
    api.fail("POST", 0, after=True)

    with pytest.raises(errors.Unavailable):
        await patient.create(PODS.all("team"), an_object(PODS, "p"))
    assert count(api, "POST") == 1


async def test_a_patch_may_be_sent_once_only(api, patient):
    api.fail("PATCH", 503, times=99)

    with pytest.raises(errors.Unavailable):
        await patient.patch(PODS.at("team", "p"), {}, retry=False)
    assert count(api, "PATCH") == 1


async def test_a_server_that_is_not_there_is_unavailable():
    async with Session(Connection("http://127.0.0.1:1"), Limits(attempts=1)) as session:
        with pytest.raises(errors.Unavailable):
            await session.get(NODES.at(None, "n"))
        with pytest.raises(errors.Unavailable):
            async for _ in session.watch(NODES.all(), {}):
                pass


async def test_the_token_is_on_every_request(api):
    api.token = "secret"
    connection = Connection(api.connection.server, credentials=StaticToken("secret"))
    async with Session(connection, Limits(attempts=1)) as session:
        assert (await session.page(NODES.all(), {})).items == []
        async with session.client.get(f"{session.server}/version") as answer:
            assert answer.status == 200, "kopf's requests too"


async def test_a_wrong_token_is_unavailable_and_not_shown(api):
    api.token = "secret"
    connection = Connection(api.connection.server, credentials=StaticToken("wrong"))
    async with Session(connection, Limits(attempts=1)) as session:
        with pytest.raises(errors.Unavailable):
            await session.page(NODES.all(), {})
    assert "wrong" not in repr(connection)


async def test_the_server_knows_who_asks(session):
    assert session.client.headers["User-Agent"].startswith("modelfleet/")


async def test_a_client_that_somebody_closed_is_replaced(session):
    await session.client.close()

    assert (await session.page(NODES.all(), {})).items == []


async def test_the_version_of_the_server(session):
    assert await session.version() == (1, 33)


async def test_events_larger_than_any_buffer_arrive_whole(api, session):
    big = an_object(PODS, "big")
    big["metadata"]["annotations"] = {"blob": "x" * 1_500_000}
    since = str(api.objects.version)
    api.objects.create(PODS, big)

    async for event in session.watch(PODS.all(), {"resourceVersion": since}):
        assert len(event["object"]["metadata"]["annotations"]["blob"]) == 1_500_000
        break


async def test_a_watch_that_is_refused_says_why(api, session):
    api.fail("WATCH", 403)

    with pytest.raises(errors.Forbidden):
        async for _ in session.watch(PODS.all(), {}):
            pass


async def test_an_unknown_path_is_not_found(session):
    with pytest.raises(errors.NotFound):
        await session.get(Endpoint("Nothing", "/apis/none/v1/nothings"))


async def test_the_client_is_an_aiohttp_session(session):
    assert isinstance(session.client, aiohttp.ClientSession)
