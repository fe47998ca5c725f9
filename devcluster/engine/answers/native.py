"""What engines answer besides OpenAI's API."""

import asyncio
from typing import Any

import orjson
from aiohttp import web

from devcluster.engine.answers import words
from devcluster.engine.answers.asks import Ask, chat_ask, prompt_size, text_ask
from devcluster.engine.answers.refusals import Refused
from devcluster.engine.answers.replies import body_of, json_reply, started_stream, text_reply
from devcluster.engine.dialects import Dialect
from devcluster.engine.engine import Engine, Job, Phase
from devcluster.engine.lies import HANGS_FOR, Lie, told


async def health(engine: Engine, _: web.BaseRequest) -> web.StreamResponse:
    """Answer `/health`. SGLang says when it drains; vLLM answers nothing, in a good way."""
    if engine.dialect is Dialect.SGLANG and engine.phase is Phase.DRAINING:
        return text_reply(engine, status=503)
    if engine.dialect is Dialect.LLAMA_CPP:
        return json_reply(engine, {"status": "ok"})
    return text_reply(engine)


async def metrics_page(engine: Engine, _: web.BaseRequest) -> web.StreamResponse:
    """Answer `/metrics`, where the engine was told to have it."""
    if engine.spec.lie is Lie.MISSING:
        raise Refused.no_such_path()
    if engine.spec.lie is Lie.HANGS:
        await asyncio.sleep(HANGS_FOR)
    if engine.spec.metrics_on:
        reply = text_reply(engine, told(engine.metrics_page(), engine.spec.lie))
        reply.headers["Content-Type"] = "text/plain; version=0.0.4; charset=utf-8"
        return reply
    if engine.dialect is Dialect.LLAMA_CPP:
        raise Refused(501, "This server does not support metrics endpoint; start with --metrics")
    raise Refused.no_such_path()


async def version(engine: Engine, _: web.BaseRequest) -> web.StreamResponse:
    """Answer with the version that the image's tag gives."""
    tag = engine.spec.image.rpartition(":")[2]
    return json_reply(engine, {"version": tag.removeprefix("v") if tag else "simulated"})


async def load(engine: Engine, _: web.BaseRequest) -> web.StreamResponse:
    """Answer vLLM's `/load`."""
    return json_reply(engine, {"server_load": len(engine.jobs)})


async def server_info(engine: Engine, _: web.BaseRequest) -> web.StreamResponse:
    """Answer SGLang's `/model_info` and `/server_info`, and TEI's `/info`."""
    spec = engine.spec
    return json_reply(
        engine,
        {
            "model_path": spec.names[0],
            "model_id": spec.names[0],
            "served_model_name": spec.names[0],
            "is_generation": spec.dialect is Dialect.SGLANG,
            "max_concurrent_requests": spec.profile.max_running,
            "version": "simulated",
        },
    )


async def props(engine: Engine, _: web.BaseRequest) -> web.StreamResponse:
    """Answer llama-server's `/props`."""
    slots = engine.spec.profile.max_running
    return json_reply(engine, {"model_alias": engine.spec.names[0], "total_slots": slots})


async def slots(engine: Engine, _: web.BaseRequest) -> web.StreamResponse:
    """Answer llama-server's `/slots`."""
    busy = engine.batcher.load().running
    count = range(engine.spec.profile.max_running)
    return json_reply(engine, [{"id": n, "is_processing": n < busy} for n in count])


async def no_adapters(engine: Engine, _: web.BaseRequest) -> web.StreamResponse:
    """Answer llama-server's `/lora-adapters`: none was given at the start."""
    return json_reply(engine, [])


async def load_adapter(engine: Engine, request: web.BaseRequest) -> web.StreamResponse:
    """Take an adapter in. It is forgotten when the engine ends, as in the real ones."""
    name = await _adapter_name(engine, request)
    body = await body_of(request)
    if not body.get("lora_path"):
        raise Refused.invalid("Both 'lora_name' and 'lora_path' must be provided.")
    if name in engine.adapters and body.get("load_inplace") is not True:
        raise Refused.invalid(f"The lora adapter '{name}' has already been loaded.")
    engine.adapters[name] = str(body["lora_path"])
    return text_reply(engine, f"Success: LoRA adapter '{name}' added (simulated).")


async def unload_adapter(engine: Engine, request: web.BaseRequest) -> web.StreamResponse:
    """Drop an adapter."""
    name = await _adapter_name(engine, request)
    if name not in engine.adapters:
        raise Refused(404, f"The lora adapter '{name}' cannot be found.")
    del engine.adapters[name]
    return text_reply(engine, f"Success: LoRA adapter '{name}' removed (simulated).")


async def _adapter_name(engine: Engine, request: web.BaseRequest) -> str:
    if not engine.spec.adapters_on:
        raise Refused.no_such_path()
    name = (await body_of(request)).get("lora_name")
    if not isinstance(name, str) or not name:
        raise Refused.invalid("'lora_name' must be provided.")
    return name


async def tei_embed(engine: Engine, request: web.BaseRequest) -> web.StreamResponse:
    """Answer TEI's `/embed`: one vector per input."""
    body = await body_of(request)
    inputs = body.get("inputs")
    tokens = prompt_size(inputs)
    texts = [inputs] if isinstance(inputs, str) else list(inputs or ())
    with engine.job(request) as job:
        await engine.run(job, tokens, 0, "stop", streamed=False).finished()
    return json_reply(engine, [words.embedding(words.seed_for(str(text))) for text in texts])


async def ollama_root(engine: Engine, _: web.BaseRequest) -> web.StreamResponse:
    """Answer the address that Ollama's users open first."""
    return text_reply(engine, "Ollama is running (simulated)")


async def ollama_tags(engine: Engine, _: web.BaseRequest) -> web.StreamResponse:
    """Answer `/api/tags` and `/api/ps`: the models there are; none while loading."""
    names = engine.spec.names if engine.phase is not Phase.LOADING else ()
    return json_reply(engine, {"models": [{"name": name, "model": name} for name in names]})


async def ollama_chat(engine: Engine, request: web.BaseRequest) -> web.StreamResponse:
    """Answer `/api/chat` and `/api/generate`, streamed unless told otherwise."""
    body = await body_of(request)
    engine.check_model(body.get("model"))
    options = body.get("options")
    limit = options.get("num_predict") if isinstance(options, dict) else None
    chat = "messages" in body
    ask = (chat_ask if chat else text_ask)(
        {**body, "max_tokens": limit, "stream": body.get("stream") is not False}, engine.spec
    )
    with engine.job(request) as job:
        ticket = engine.admit(job, ask)
        if ask.stream:
            return await _ollama_stream(engine, job, ask)
        await ticket.finished()
        return json_reply(engine, _ollama_end(ask, words.text(ask.seed, ask.output_tokens)))


async def _ollama_stream(engine: Engine, job: Job, ask: Ask) -> web.StreamResponse:
    ticket = job.ticket
    assert ticket is not None
    response = await started_stream(engine, job.request, "application/x-ndjson")
    sent = 0
    while not ticket.is_finished or sent < ticket.generated:
        there = await ticket.more()
        lines = (_ollama_part(ask, words.word(ask.seed, n)) for n in range(sent, there))
        await response.write(b"".join(orjson.dumps(line) + b"\n" for line in lines))
        sent = there
    await response.write(orjson.dumps(_ollama_end(ask, "")) + b"\n")
    await response.write_eof()
    return response


def _ollama_part(ask: Ask, text: str) -> dict[str, Any]:
    content: dict[str, Any] = (
        {"message": {"role": "assistant", "content": text}} if ask.chat else {"response": text}
    )
    return {"model": ask.model, **content, "done": False}


def _ollama_end(ask: Ask, text: str) -> dict[str, Any]:
    counts = {"prompt_eval_count": ask.prompt_tokens, "eval_count": ask.output_tokens}
    return {**_ollama_part(ask, text), "done": True, "done_reason": ask.reason, **counts}


async def triton_model(engine: Engine, request: web.BaseRequest) -> web.StreamResponse:
    """Answer below `/v2/models/NAME`: readiness and generation."""
    name, _, action = request.path.removeprefix("/v2/models/").partition("/")
    engine.check_model(name)
    if request.method == "GET" and action in ("", "ready"):
        return text_reply(engine) if action else json_reply(engine, {"name": name})
    if request.method == "POST" and action == "generate":
        return await _triton_generate(engine, request, name)
    raise Refused.no_such_path()


async def _triton_generate(
    engine: Engine, request: web.BaseRequest, name: str
) -> web.StreamResponse:
    body = await body_of(request)
    limit = body.get("max_tokens", (body.get("parameters") or {}).get("max_tokens"))
    given = {"model": name, "prompt": body.get("text_input"), "max_tokens": limit}
    ask = text_ask(given, engine.spec)
    with engine.job(request) as job:
        await engine.admit(job, ask).finished()
        text = words.text(ask.seed, ask.output_tokens)
    return json_reply(engine, {"model_name": name, "model_version": "1", "text_output": text})
