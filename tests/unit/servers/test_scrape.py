"""What becomes of answers, good and bad, over real sockets."""

import asyncio
import gzip
from pathlib import Path

import pytest

from modelfleet.engines import built_in
from modelfleet.plan.samples import Process, Reason, Scrape, ScrapeFailure
from modelfleet.servers.scrape import Limits, Scraper
from unit.servers.targets import NOON, a_target
from unit.servers.wire import Reply, answering, endless, page, raw, reset

REAL_VLLM = (Path(__file__).parent / "pages" / "vllm-0.32.0.txt").read_bytes()
RUNNING = b"vllm:num_requests_running 2\n"
OK = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n"
SGLANG = b"""\
# TYPE sglang:num_running_reqs gauge
sglang:num_running_reqs{dp_rank="0",model_name="m",tp_rank="0"} 3
sglang:num_running_reqs{dp_rank="0",model_name="m",tp_rank="1"} 3
sglang:num_running_reqs{dp_rank="1",model_name="m",tp_rank="0"} 2
sglang:num_queue_reqs{dp_rank="0",model_name="m",tp_rank="0"} 0
sglang:token_usage{dp_rank="0",model_name="m",tp_rank="0"} 0.5
sglang:token_usage{dp_rank="1",model_name="m",tp_rank="0"} 0.75
"""
LLAMA_CPP = b"""\
# HELP llamacpp:requests_processing Number of requests processing.
# TYPE llamacpp:requests_processing gauge
llamacpp:requests_processing 1
llamacpp:requests_deferred 4
llamacpp:tokens_predicted_total 1234
"""


async def read(scraper: Scraper, reply: Reply, engine: str = "vllm") -> Scrape | ScrapeFailure:
    async with answering(reply) as wire:
        (answer,) = await scraper.scrape([a_target(wire.port, engine)], NOON)
    return answer


async def read_well(scraper: Scraper, body: bytes, engine: str = "vllm", *more: str) -> Scrape:
    answer = await read(scraper, page(body, "200 OK", "text/plain; version=0.0.4", *more), engine)
    assert isinstance(answer, Scrape)
    return answer


async def test_the_page_of_a_real_engine(scraper):
    answer = await read_well(scraper, REAL_VLLM)

    assert (answer.pod, answer.namespace, answer.model, answer.revision) == (
        "u-1",
        "team",
        "chat",
        "abc",
    )
    assert answer.values["running"] == 4.0
    assert answer.values["errors"] == 0.0
    assert answer.histograms["timeToFirstToken"].count == 6
    assert answer.process == Process(restarts=0, started=1795422002.61)
    assert answer.at >= NOON


async def test_ranks_tell_of_the_same_requests(scraper):
    answer = await read_well(scraper, SGLANG, "sglang")

    assert answer.values == {"running": 5.0, "waiting": 0.0, "kvCacheUsage": 0.75}


async def test_llama_cpp_has_no_labels_and_says_in_a_header_when_it_started(scraper):
    answer = await read_well(scraper, LLAMA_CPP, "llama-cpp", "Process-Start-Time-Unix: 1795422")

    assert answer.values == {"running": 1.0, "waiting": 4.0, "generationTokens": 1234.0}
    assert answer.process.started == 1795422


async def test_the_page_of_another_engine_says_nothing(scraper):
    answer = await read_well(scraper, LLAMA_CPP)

    assert (dict(answer.values), dict(answer.histograms)) == ({}, {})


async def test_an_engine_may_have_nothing_to_tell_yet(scraper):
    assert (await read_well(scraper, b"", "tei")).values == {}


async def test_what_is_not_a_number_is_unknown(scraper):
    answer = await read_well(scraper, b"vllm:num_requests_waiting NaN\n" + RUNNING)

    assert answer.values == {"running": 2.0}


async def test_a_body_in_chunks(scraper):
    chunks = b"1c\r\n" + RUNNING + b"\r\n0\r\n\r\n"

    answer = await read(scraper, raw(OK + b"Transfer-Encoding: chunked\r\n\r\n", chunks))

    assert answer.values == {"running": 2.0}


@pytest.mark.parametrize("kind", ["", "text/plain", "application/openmetrics-text; version=1.0.0"])
async def test_content_types_of_a_page(scraper, kind):
    assert isinstance(await read(scraper, page(RUNNING, kind=kind)), Scrape)


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        pytest.param(raw(hang=True), "timeout", id="no headers"),
        pytest.param(endless(b"HTTP/1.1 200 OK\r\nA: ", b"x", 0.02), "timeout", id="slow headers"),
        pytest.param(endless(OK + b"\r\n", b"a", 0.02), "timeout", id="slow body"),
        pytest.param(endless(OK + b"\r\n", b"a 1\n" * 5000), "too_large", id="endless body"),
        pytest.param(raw(OK + b"Content-Length: 9999999\r\n\r\n"), "too_large", id="huge length"),
        pytest.param(page(b"a 1\n" * 3000), "too_large", id="lines without end"),
        pytest.param(page(b"\n" * 90_000), "too_large", id="empty lines"),
        pytest.param(endless(b"HTTP/1.1 200 OK\r\n", b"A: b\r\n" * 99), "cut", id="many headers"),
        pytest.param(raw(b"HTTP/1.1 200 OK\r\nA: " + b"x" * 99_999), "cut", id="a huge header"),
        pytest.param(reset, "cut", id="reset"),
        pytest.param(raw(), "cut", id="closed without an answer"),
        pytest.param(raw(OK + b"Content-Length: 99\r\n\r\n" + RUNNING), "cut", id="cut off"),
        pytest.param(
            raw(OK + b"Transfer-Encoding: chunked\r\n\r\n1c\r\n" + RUNNING),
            "cut",
            id="no last chunk",
        ),
        pytest.param(raw(b"SSH-2.0-OpenSSH_9.9\r\n"), "cut", id="not HTTP"),
        pytest.param(
            raw(OK + b"\r\nvllm:num_requests_running 2"), "unparsable", id="half a number"
        ),
        pytest.param(page(b"\xff\xfe\n"), "unparsable", id="not UTF-8"),
        pytest.param(page(b"It works!\n"), "unparsable", id="prose"),
        pytest.param(page(b"<html>\n", kind="text/html"), "not_text", id="HTML"),
        pytest.param(page(b"{}\n", kind="application/json"), "not_text", id="JSON"),
    ],
)
async def test_a_bad_answer_is_a_failure(scraper, reply, reason):
    answer = await read(scraper, reply)

    assert isinstance(answer, ScrapeFailure)
    assert (answer.pod, answer.model, answer.reason) == ("u-1", "chat", Reason(reason))


@pytest.mark.parametrize("status", [206, 301, 401, 404, 500, 503])
async def test_a_status_other_than_200_is_a_failure(scraper, status):
    answer = await read(scraper, page(RUNNING, f"{status} Well"))

    assert (answer.reason, answer.status) == (Reason.STATUS, status)


async def test_redirects_are_not_followed_and_cookies_not_kept(scraper):
    async with answering(page(RUNNING)) as other:
        to = f"Location: http://127.0.0.1:{other.port}/metrics"
        async with answering(page(b"", "302 Found", "", to, "Set-Cookie: a=b")) as wire:
            for _ in range(2):
                (answer,) = await scraper.scrape([a_target(wire.port)], NOON)

    assert (answer.reason, answer.status, other.requests) == (Reason.STATUS, 302, [])
    assert not any(b"cookie" in request.lower() for request in wire.requests)


async def test_a_packed_answer_is_not_unpacked(scraper):
    bomb = gzip.compress(b"a 1\n" * 25_000_000)

    answer = await read(scraper, page(bomb, "200 OK", "text/plain", "Content-Encoding: gzip"))

    assert answer.reason == Reason.NOT_TEXT


async def test_huge_labels_are_not_read(scraper):
    huge = b'vllm:num_requests_waiting{a="' + b"x" * 50_000 + b'"} 1\n'

    assert (await read_well(scraper, huge + RUNNING)).values == {"running": 2.0}


async def test_nobody_listens(scraper):
    async with answering(reset) as wire:
        pass
    (answer,) = await scraper.scrape([a_target(wire.port)], NOON)

    assert answer.reason == Reason.REFUSED


@pytest.mark.parametrize(
    "address",
    ["localhost", "pod.example", "", "169.254.169.254", "fe80::1", "0.0.0.0", "224.0.0.1", "1.2.3"],
)
async def test_only_addresses_of_pods_are_called(scraper, address):
    async with answering(page(RUNNING)) as wire:
        (answer,) = await scraper.scrape([a_target(wire.port, address=address)], NOON)

    assert (answer.reason, wire.requests) == (Reason.ADDRESS, [])


async def test_what_is_asked(scraper):
    async with answering(page(RUNNING)) as wire:
        await scraper.scrape([a_target(wire.port)], NOON)

    (request,) = (one.decode().lower() for one in wire.requests)
    assert request.startswith("get /metrics http/1.1\r\n")
    assert "accept-encoding: identity\r\n" in request
    assert "user-agent: modelfleet/" in request


async def test_no_proxy_of_the_environment_is_asked(scraper, monkeypatch):
    async with answering(page(RUNNING)) as wire, answering(reset) as proxy:
        monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{proxy.port}")
        (answer,) = await scraper.scrape([a_target(wire.port)], NOON)

    assert (type(answer), proxy.requests) == (Scrape, [])


async def test_answers_come_in_the_order_of_the_targets(scraper):
    async with answering(page(RUNNING)) as good, answering(raw(hang=True)) as slow:
        ports = [slow.port, good.port] * 20
        targets = [a_target(port, pod=f"u-{number}") for number, port in enumerate(ports)]
        answers = await scraper.scrape(targets, NOON)

    assert [one.pod for one in answers] == [one.pod for one in targets]
    assert [type(one) for one in answers] == [ScrapeFailure, Scrape] * 20


async def test_no_more_connections_than_allowed(client):
    scraper = Scraper(client, Limits(at_once=5))
    async with answering(page(REAL_VLLM)) as wire:
        targets = [a_target(wire.port)] * 100
        rounds = await asyncio.gather(*(scraper.scrape(targets, NOON) for _ in range(3)))

    assert {type(one) for answers in rounds for one in answers} == {Scrape}
    assert wire.most_connected <= 5


@pytest.mark.parametrize(
    "reply",
    [page(RUNNING), page(b"", "500 No"), raw(OK + b"\r\n", hang=True)],
    ids=["good", "bad", "hanging"],
)
async def test_no_connection_is_left(scraper, reply):
    async with answering(reply) as wire:
        await scraper.scrape([a_target(wire.port)] * 8, NOON)
        async with asyncio.timeout(5):
            while wire.connected:
                await asyncio.sleep(0.005)


async def test_a_round_may_be_cancelled(scraper):
    async with answering(raw(hang=True)) as wire:
        task = asyncio.create_task(scraper.scrape([a_target(wire.port)] * 100, NOON))
        while not wire.requests:
            await asyncio.sleep(0.001)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

        (answer,) = await scraper.scrape([a_target(wire.port)], NOON)
    assert answer.reason == Reason.TIMEOUT


async def test_no_targets(scraper):
    assert await scraper.scrape([], NOON) == []


async def test_a_client_that_was_closed_opens_again(client, scraper):
    async with answering(page(RUNNING)) as wire:
        await scraper.scrape([a_target(wire.port)], NOON)
        await client.close()
        (answer,) = await scraper.scrape([a_target(wire.port)], NOON)

    assert isinstance(answer, Scrape)


async def test_every_engine_with_metrics_can_be_read(scraper):
    for name, engine in built_in().items():
        if engine.spec.metrics:
            assert isinstance(await read(scraper, page(b"up 1\n"), name), Scrape)
