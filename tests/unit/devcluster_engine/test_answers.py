"""What clients get from a simulated engine, over real sockets."""

import base64
import json

import aiohttp
import pytest

from unit.devcluster_engine.worlds import FAST, SLOW, serving

CHAT = {"model": "chat", "messages": [{"role": "user", "content": "Hello there"}], "max_tokens": 7}


@pytest.fixture
async def http():
    async with aiohttp.ClientSession() as session:
        yield session


async def post(http, url, body):
    async with http.post(url, json=body) as reply:
        return reply, await reply.text()


def events_of(text):
    assert text.endswith("\n\n")
    events = [event.removeprefix("data: ") for event in text.strip().split("\n\n")]
    assert events.pop() == "[DONE]"
    return [json.loads(event) for event in events]


async def test_a_chat_is_answered_and_labelled(http):
    async with serving(annotations={"profile": FAST}) as (_, url):
        reply, text = await post(http, f"{url}/v1/chat/completions", CHAT)
        document = json.loads(text)

    assert reply.status == 200
    assert reply.headers["x-modelfleet-simulated"] == "true"
    assert document["system_fingerprint"] == "simulated"
    assert document["object"] == "chat.completion"
    assert document["choices"][0]["finish_reason"] == "length"
    assert document["usage"]["completion_tokens"] == 7
    assert document["usage"]["total_tokens"] == document["usage"]["prompt_tokens"] + 7


async def test_a_stream_says_the_same_token_by_token(http):
    streamed = {**CHAT, "stream": True, "stream_options": {"include_usage": True}}
    async with serving(annotations={"profile": FAST}) as (_, url):
        async with http.post(f"{url}/v1/chat/completions", json=CHAT) as reply:
            whole = await reply.json()
        async with http.post(f"{url}/v1/chat/completions", json=streamed) as reply:
            events = events_of(await reply.text())

    first, *tokens, end, usage = events
    assert reply.content_type == "text/event-stream"
    assert first["choices"][0]["delta"] == {"role": "assistant", "content": ""}
    text = "".join(event["choices"][0]["delta"]["content"] for event in tokens)
    assert text == whole["choices"][0]["message"]["content"]
    assert len(tokens) == 7
    assert end["choices"][0]["finish_reason"] == "length"
    assert (usage["choices"], usage["usage"]) == ([], whole["usage"])
    assert {event["object"] for event in events} == {"chat.completion.chunk"}


async def test_a_plain_completion_streams_text(http):
    body = {"model": "chat", "prompt": [1, 2, 3], "max_tokens": 4, "stream": True}
    async with serving(annotations={"profile": FAST}) as (_, url):
        _, text = await post(http, f"{url}/v1/completions", body)
    events = events_of(text)

    assert "".join(e["choices"][0]["text"] for e in events) == "This answer is simulated"
    assert {e["object"] for e in events} == {"text_completion"}


async def test_an_answer_without_limit_stops_by_itself(http):
    body = {key: value for key, value in CHAT.items() if key != "max_tokens"}
    async with serving(annotations={"profile": FAST}) as (_, url):
        _, text = await post(http, f"{url}/v1/chat/completions", body)
    document = json.loads(text)

    assert document["choices"][0]["finish_reason"] == "stop"


@pytest.mark.parametrize(
    ("engine", "image", "status"),
    [
        ("vllm", "vllm/vllm-openai:v0.33.0", 404),
        ("sglang", "lmsysorg/sglang:v0.5.23", 404),
        ("llama-cpp", "ghcr.io/ggml-org/llama.cpp:server", 200),
    ],
)
async def test_an_unknown_model(http, engine, image, status):
    async with serving(engine=engine, image=image, annotations={"profile": FAST}) as (_, url):
        body = {**CHAT, "model": "other"}
        async with http.post(f"{url}/v1/chat/completions", json=body) as reply:
            assert reply.status == status


async def test_vllm_names_the_model_that_it_does_not_have(http):
    async with serving() as (_, url):
        body = {**CHAT, "model": "other"}
        async with http.post(f"{url}/v1/chat/completions", json=body) as reply:
            error = (await reply.json())["error"]

    assert (error["code"], error["type"]) == (404, "NotFoundError")
    assert "`other` does not exist" in error["message"]


@pytest.mark.parametrize(
    ("path", "body"),
    [
        pytest.param("chat/completions", b"{", id="not JSON"),
        pytest.param("chat/completions", b"[]", id="not an object"),
        pytest.param("chat/completions", b'{"messages": []}', id="no message"),
        pytest.param("chat/completions", b'{"messages": [{}], "max_tokens": 0}', id="no token"),
        pytest.param("completions", b"{}", id="no prompt"),
        pytest.param("embeddings", b'{"input": []}', id="no input"),
        pytest.param("completions", b'{"prompt": "a", "max_tokens": 99999}', id="too long"),
    ],
)
async def test_a_senseless_request_is_refused(http, path, body):
    async with serving(args=["--max-model-len=8192"]) as (_, url):
        reply = await http.post(f"{url}/v1/{path}", data=body)
        error = (await reply.json())["error"]
    assert (reply.status, error["type"]) == (400, "BadRequestError")


async def test_served_names_are_listed_and_known(http):
    args = ["--served-model-name", "small", "tiny", "--port=8000"]
    async with serving(args=args, annotations={"profile": FAST}) as (_, url):
        async with http.get(f"{url}/v1/models") as reply:
            models = (await reply.json())["data"]
        async with http.post(f"{url}/v1/chat/completions", json={**CHAT, "model": "tiny"}) as reply:
            assert (await reply.json())["model"] == "tiny"

    assert [model["id"] for model in models] == ["small", "tiny"]
    assert {model["owned_by"] for model in models} == {"simulated"}


async def test_embeddings_as_numbers_and_as_base64(http):
    async with serving(engine="tei", annotations={"profile": FAST}) as (_, url):
        answers = []
        for encoding in ("float", "base64"):
            body = {"input": ["a", "b"], "encoding_format": encoding, "dimensions": 8}
            async with http.post(f"{url}/v1/embeddings", json=body) as reply:
                answers.append((await reply.json())["data"])
        async with http.post(f"{url}/embed", json={"inputs": "a"}) as reply:
            native = await reply.json()

    numbers, encoded = answers
    assert len(numbers) == 2
    assert len(numbers[0]["embedding"]) == 8
    assert len(base64.b64decode(encoded[0]["embedding"])) == 8 * 4
    assert len(native) == 1


async def test_a_full_queue_answers_503_and_counts_it(http):
    profile = '{"decodeTokensPerSecond": 1, "maxRunning": 1, "maxQueued": 0}'
    async with serving(annotations={"profile": profile}) as (_, url):
        body = {**CHAT, "stream": True, "max_tokens": 1000}
        async with http.post(f"{url}/v1/chat/completions", json=body) as running:
            await running.content.readany()
            async with http.post(f"{url}/v1/chat/completions", json=CHAT) as refused:
                assert refused.status == 503
        async with http.get(f"{url}/metrics") as reply:
            page = await reply.text()

    rejected = 'vllm:admission_rejections_total{model_name="chat",reason="max_num_queued_reqs"} 1.0'
    assert rejected in page


async def test_errors_on_demand(http):
    async with serving(annotations={"error-rate": "1"}) as (_, url):
        reply, _ = await post(http, f"{url}/v1/chat/completions", CHAT)
    assert reply.status == 500


async def test_streams_cut_on_demand(http):
    body = {**CHAT, "stream": True, "max_tokens": 50}
    async with serving(annotations={"abort-rate": "1", "profile": FAST}) as (_, url):
        with pytest.raises(aiohttp.ClientError):
            async with http.post(f"{url}/v1/chat/completions", json=body) as reply:
                await reply.text()
        async with http.get(f"{url}/metrics") as reply:
            page = await reply.text()

    assert 'finished_reason="abort",model_name="chat"} 1.0' in page


async def test_a_client_that_leaves_frees_its_place(http):
    async with serving(annotations={"profile": SLOW}) as (server, url):
        body = {**CHAT, "stream": True, "max_tokens": 1000}
        async with http.post(f"{url}/v1/chat/completions", json=body) as reply:
            await reply.content.readany()
            assert server.engine.batcher.load().running == 1
            reply.close()
        await server.engine.idle.wait()

        assert server.engine.batcher.load().running == 0


async def test_adapters_come_and_go(http):
    options = {
        "args": ["--enable-lora"],
        "env": [{"name": "VLLM_ALLOW_RUNTIME_LORA_UPDATING", "value": "1"}],
        "annotations": {"profile": FAST},
    }
    body = {"lora_name": "legal", "lora_path": "/adapters/legal"}
    async with serving(**options) as (_, url):
        statuses = []
        for path in ("load", "load", "unload", "unload"):
            async with http.post(f"{url}/v1/{path}_lora_adapter", json=body) as reply:
                statuses.append(reply.status)
            async with http.post(
                f"{url}/v1/chat/completions", json={**CHAT, "model": "legal"}
            ) as reply:
                statuses.append(reply.status)

    assert statuses == [200, 200, 400, 200, 200, 404, 404, 404]


async def test_adapters_of_the_command_line_are_served(http):
    args = ["--enable-lora", "--lora-modules", "legal=/adapters/legal", "--port", "8000"]
    async with serving(args=args, annotations={"profile": FAST}) as (_, url):
        reply, _ = await post(http, f"{url}/v1/chat/completions", {**CHAT, "model": "legal"})
        async with http.get(f"{url}/v1/models") as listing:
            models = (await listing.json())["data"]

    assert reply.status == 200
    assert [(model["id"], model["parent"]) for model in models] == [
        ("chat", None),
        ("legal", "chat"),
    ]


async def test_ollama_streams_lines(http):
    body = {"model": "chat", "messages": CHAT["messages"], "options": {"num_predict": 3}}
    async with serving(engine="ollama", image="ollama", annotations={"profile": FAST}) as (_, url):
        async with http.post(f"{url}/api/chat", json=body) as reply:
            lines = [json.loads(line) for line in (await reply.text()).splitlines()]
        async with http.get(f"{url}/metrics") as missing:
            assert missing.status == 404

    assert [line["done"] for line in lines] == [False, False, False, True]
    assert lines[-1]["eval_count"] == 3


async def test_triton_generates_and_is_ready(http):
    async with serving(engine="triton", annotations={"profile": FAST}) as (_, url):
        for path in ("v2/health/live", "v2/health/ready", "v2/models/chat/ready"):
            async with http.get(f"{url}/{path}") as reply:
                assert reply.status == 200
        body = {"text_input": "Hi", "max_tokens": 3}
        async with http.post(f"{url}/v2/models/chat/generate", json=body) as reply:
            assert (await reply.json())["text_output"] == "This answer is"
        async with http.get(url.replace(":18000", ":8002") + "/metrics") as reply:
            assert "nv_inference_request_success" in await reply.text()


@pytest.mark.parametrize(
    ("engine", "path", "status"),
    [("llama-cpp", "/metrics", 501), ("sglang", "/metrics", 404), ("vllm", "/nowhere", 404)],
)
async def test_what_was_not_switched_on_is_not_there(http, engine, path, status):
    async with serving(engine=engine) as (_, url), http.get(url + path) as reply:
        assert reply.status == status
