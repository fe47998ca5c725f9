"""What each engine does while it loads and when it is told to end, over real sockets."""

import asyncio
from dataclasses import replace

import aiohttp
import pytest

from devcluster.engine.batcher import Pace
from devcluster.engine.pods import pod_from
from devcluster.engine.servers import SimulatedServer
from unit.devcluster_engine.worlds import SLOW, a_pod, serving

# 20 tokens take 0.13 s, so that a stream is seen in its middle and a test soon over.
UNHURRIED = '{"prefillTokensPerSecond": 1e6, "decodeTokensPerSecond": 150, "maxRunning": 1}'
STREAM = {"model": "chat", "prompt": "Hi", "max_tokens": 20, "stream": True}
ENDLESS = {**STREAM, "max_tokens": 5000}


@pytest.fixture
async def http():
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=5)) as session:
        yield session


async def started(http, url, body=STREAM):
    """Return a response whose first tokens have come."""
    reply = await http.post(f"{url}/v1/completions", json=body)
    await reply.content.readany()
    return reply


async def refuses(url):
    host, port = url.removeprefix("http://").split(":")
    try:
        _, writer = await asyncio.open_connection(host, int(port))
    except ConnectionRefusedError:
        return True
    writer.close()
    return False


@pytest.mark.parametrize("engine", ["vllm", "tei", "triton"])
async def test_while_loading_the_port_is_closed(engine):
    pod = pod_from(a_pod(engine=engine))
    server = SimulatedServer(pod.engine, pod.ip, Pace())
    await server.load()

    assert await refuses(f"http://{pod.ip}:18000")


@pytest.mark.parametrize(
    ("engine", "path"),
    [
        ("llama-cpp", "/health"),
        ("llama-cpp", "/v1/models"),
        ("llama-cpp", "/metrics"),
        ("sglang", "/health"),
    ],
)
async def test_while_loading_the_answer_is_503(http, engine, path):
    pod = pod_from(a_pod(engine=engine, args=["--metrics", "--enable-metrics"]))
    server = SimulatedServer(pod.engine, pod.ip, Pace())
    await server.load()
    url = f"http://{pod.ip}:18000"
    async with http.get(url + path) as loading:
        document = await loading.json()
    await server.serve()
    async with http.get(url + path) as ready:
        pass
    await server.kill()

    assert (loading.status, ready.status) == (503, 200)
    if engine == "llama-cpp":
        assert document["error"] == {
            "message": "Loading model",
            "type": "unavailable_error",
            "code": 503,
        }


@pytest.mark.parametrize("engine", ["vllm", "tei", "ollama"])
async def test_an_idle_engine_ends_at_once(engine):
    async with serving(engine=engine) as (server, url):
        await server.terminate()

        assert await refuses(url)


async def test_vllm_with_a_timeout_finishes_what_runs_and_what_waits(http):
    args = ["--shutdown-timeout", "30"]
    async with serving(args=args, annotations={"profile": UNHURRIED}) as (server, url):
        running = await started(http, url)
        waiting = asyncio.create_task(http.post(f"{url}/v1/completions", json=STREAM))
        while server.engine.batcher.load().waiting == 0:
            await asyncio.sleep(0.001)
        ending = asyncio.create_task(server.terminate())
        await asyncio.sleep(0)

        assert await refuses(url)
        for reply in (running, await waiting):
            assert (await reply.text()).endswith("data: [DONE]\n\n")
        await ending


async def test_vllm_cuts_what_is_left_after_its_timeout(http):
    async with serving(annotations={"profile": SLOW}) as (server, url):
        server.engine.spec = replace(server.engine.spec, shutdown_timeout=0.1)
        reply = await started(http, url, ENDLESS)
        await server.terminate()

        with pytest.raises(aiohttp.ClientError):
            await reply.text()


async def test_ollama_cuts_what_runs(http):
    async with serving(engine="ollama", annotations={"profile": SLOW}) as (server, url):
        reply = await started(http, url, ENDLESS)
        await server.terminate()

        with pytest.raises(aiohttp.ClientError):
            await reply.text()


async def test_vllm_without_a_timeout_leaves_clients_hanging_until_it_is_killed(http):
    async with serving(annotations={"profile": UNHURRIED}) as (server, url):
        reply = await started(http, url)
        ending = asyncio.create_task(server.terminate())
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(reply.text(), 0.3)
        assert not ending.done()

        await server.kill()
        await ending


async def test_killing_resets_the_connection(http):
    async with serving(annotations={"profile": SLOW}) as (server, url):
        reply = await started(http, url, ENDLESS)
        await server.kill()

        with pytest.raises(aiohttp.ClientError) as caught:
            await reply.text()
        assert "reset" in repr(caught.value) + repr(caught.value.__cause__)


async def test_llama_cpp_cuts_what_runs_and_lets_hang_what_waits(http):
    options = {"engine": "llama-cpp", "annotations": {"profile": UNHURRIED}}
    async with serving(**options) as (server, url):
        running = await started(http, url, ENDLESS)
        waiting = asyncio.create_task(http.post(f"{url}/v1/completions", json=STREAM))
        while server.engine.batcher.load().waiting == 0:
            await asyncio.sleep(0.001)
        ending = asyncio.create_task(server.terminate())

        with pytest.raises(aiohttp.ClientPayloadError):
            await running.text()
        text = asyncio.create_task((await waiting).text())
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(asyncio.shield(text), 0.3)
        assert not ending.done()

        await server.kill()
        await ending
        with pytest.raises(aiohttp.ClientError):
            await text


async def test_sglang_says_so_and_keeps_its_port_while_it_drains(http):
    options = {"engine": "sglang", "annotations": {"profile": UNHURRIED}}
    async with serving(**options) as (server, url):
        reply = await started(http, url)
        ending = asyncio.create_task(server.terminate())
        await asyncio.sleep(0)
        async with http.get(f"{url}/health") as health:
            assert health.status == 503

        assert (await reply.text()).endswith("data: [DONE]\n\n")
        await ending
        assert await refuses(url)


async def test_an_idle_keep_alive_connection_does_not_hold_up_the_end(http):
    async with serving(args=["--shutdown-timeout=30"]) as (server, url):
        async with http.get(f"{url}/health") as reply:
            assert reply.status == 200

        await server.terminate()

        assert await refuses(url)
