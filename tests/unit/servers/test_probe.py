import asyncio
import json

import pytest

from modelfleet.engines import built_in
from modelfleet.plan.samples import Reason
from modelfleet.servers.probe import BUILT_IN, ProbeLimits, Prober, ProbeTarget
from unit.servers.targets import NOON
from unit.servers.wire import answering, endless, page, raw, reset

EVENTS = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n"
ROLE = b'data: {"choices": [{"delta": {"role": "assistant", "content": ""}}]}\n\n'
TOKEN = b'data: {"choices": [{"delta": {"content": "Hi"}, "finish_reason": null}]}\n\n'
LAST = b'data: {"choices": [{"delta": {}, "finish_reason": "length"}]}\n\n'
USAGE = b'data: {"choices": [], "usage": {"completion_tokens": 4}}\n\n'
DONE = b"data: [DONE]\n\n"


@pytest.fixture
def prober(client):
    return Prober(client, ProbeLimits(seconds=0.3, at_once=3, answer_bytes=10_000))


def a_target(port, question="chat", **differing):
    fields = {"pod": "u-1", "namespace": "team", "model": "chat", "revision": "abc"}
    return ProbeTarget(
        **{
            **fields,
            "address": "127.0.0.1",
            "port": port,
            "question": question,
            "name": "chat-default",
            **differing,
        }
    )


async def ask(prober, reply, question="chat"):
    async with answering(reply) as wire:
        return await prober.probe(a_target(wire.port, question), NOON)


async def test_a_stream_tells_when_its_first_token_came(prober):
    parts = (EVENTS, ROLE, b": keep-alive\n\n", TOKEN[:20], TOKEN[20:], TOKEN, LAST, USAGE, DONE)

    result = await ask(prober, raw(*parts, pause=0.01))

    assert (result.ok, result.pod, result.revision, result.at) == (True, "u-1", "abc", NOON)
    assert 0.02 < result.first_token_seconds < result.seconds


async def test_a_stream_of_text(prober):
    text = b'data: {"choices": [{"text": "Hi", "finish_reason": "stop"}]}\r\n\r\n'

    result = await ask(prober, raw(EVENTS + text + DONE), "completion")

    assert result.ok
    assert result.first_token_seconds is not None


@pytest.mark.parametrize(
    "end",
    [raw(EVENTS + TOKEN + LAST), raw(EVENTS + TOKEN + LAST + DONE, hang=True)],
    ids=["no mark", "no end"],
)
async def test_a_stream_is_whole_when_its_engine_says_so(prober, end):
    assert (await ask(prober, end)).ok


async def test_an_answer_without_a_token_is_an_answer(prober):
    result = await ask(prober, raw(EVENTS + ROLE + LAST + DONE))

    assert (result.ok, result.first_token_seconds) == (True, None)


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        ("chat", b'{"choices": [{"message": {"content": "Hi"}}]}'),
        ("embeddings", b'{"data": [{"embedding": [0.1, 0.2]}]}'),
        ("health", b""),
    ],
)
async def test_answers_in_one_go(prober, question, answer):
    result = await ask(prober, page(answer, kind="application/json"), question)

    assert (result.ok, result.first_token_seconds) == (True, None)


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        pytest.param(raw(hang=True), "timeout", id="no answer"),
        pytest.param(raw(EVENTS + TOKEN, hang=True), "timeout", id="a stream that stops"),
        pytest.param(endless(EVENTS, TOKEN), "too_large", id="a stream without end"),
        pytest.param(raw(EVENTS + TOKEN), "cut", id="a stream that is cut"),
        pytest.param(raw(EVENTS + b"data: {oops\n\n"), "unparsable", id="a broken event"),
        pytest.param(raw(EVENTS + b"data: 7\n\n"), "unparsable", id="a number"),
        pytest.param(raw(EVENTS + b'data: {"error": {"code": 500}}\n\n'), "status", id="an error"),
        pytest.param(page(b'{"choices": []}'), "unparsable", id="no choice"),
        pytest.param(page(b"It works!"), "unparsable", id="prose"),
        pytest.param(page(b"x" * 20_000), "too_large", id="too much"),
        pytest.param(page(b"", "503 Busy"), "status", id="status"),
        pytest.param(page(b"", "302 Found", "", "Location: /x"), "status", id="redirect"),
        pytest.param(reset, "cut", id="reset"),
    ],
)
async def test_what_is_no_answer(prober, reply, reason):
    result = await ask(prober, reply)

    assert (result.ok, result.failure) == (False, Reason(reason))
    assert result.first_token_seconds is None
    assert result.seconds > 0


@pytest.mark.parametrize(
    "event", ['{"choices": 1}', '{"choices": [1]}', '{"choices": [{"delta": 1}]}']
)
async def test_strange_events_are_passed_over(prober, event):
    assert (await ask(prober, raw(EVENTS + f"data: {event}\n".encode() + DONE))).failure == "cut"


async def test_what_is_asked(prober):
    async with answering(page(b"", "500 No")) as wire:
        for question in ("chat", "completion", "embeddings", "health"):
            await prober.probe(a_target(wire.port, question, health_path="/up"), NOON)

    heads, bodies = zip(*(one.decode().split("\r\n\r\n") for one in wire.requests), strict=True)
    assert [head.split(" HTTP")[0] for head in heads] == [
        "POST /v1/chat/completions",
        "POST /v1/completions",
        "POST /v1/embeddings",
        "GET /up",
    ]
    assert all("x-modelfleet-probe: true" in head.lower() for head in heads)
    chat = json.loads(bodies[0])
    assert (chat["model"], chat["max_tokens"], chat["stream"]) == ("chat-default", 4, True)


async def test_so_many_at_once_and_no_more(prober):
    async with answering(raw(EVENTS + TOKEN, pause=0.02)) as wire:
        await asyncio.gather(*(prober.probe(a_target(wire.port), NOON) for _ in range(9)))

    assert wire.most_connected == 3


async def test_only_addresses_are_called(prober):
    result = await prober.probe(a_target(80, address="example.org"), NOON)

    assert result.failure == Reason.ADDRESS


def test_each_built_in_engine_has_a_question():
    assert set(BUILT_IN) == set(built_in())
