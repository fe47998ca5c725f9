"""OpenAI's API: chat, completions, embeddings, models."""

from collections.abc import Callable
from typing import Any

from aiohttp import web

from devcluster.engine.answers import words
from devcluster.engine.answers.asks import Ask, chat_ask, prompt_size, text_ask
from devcluster.engine.answers.refusals import Refused
from devcluster.engine.answers.replies import body_of, json_reply, started_stream
from devcluster.engine.answers.sse import Events
from devcluster.engine.dialects import Dialect
from devcluster.engine.engine import ABORT, Engine, Job
from devcluster.engine.pods import EngineSpec
from devcluster.engine.sockets import reset


async def chat(engine: Engine, request: web.BaseRequest) -> web.StreamResponse:
    """Answer `/v1/chat/completions`."""
    return await _complete(engine, request, chat_ask)


async def completions(engine: Engine, request: web.BaseRequest) -> web.StreamResponse:
    """Answer `/v1/completions`."""
    return await _complete(engine, request, text_ask)


async def embeddings(engine: Engine, request: web.BaseRequest) -> web.StreamResponse:
    """Answer `/v1/embeddings`."""
    body = await body_of(request)
    engine.check_model(body.get("model"))
    tokens = prompt_size(body.get("input"))
    texts = _texts(body["input"])
    with engine.job(request) as job:
        await engine.run(job, tokens, 0, "stop", streamed=False).finished()
        data = [_vector(n, body, t) for n, t in enumerate(texts)]
    return json_reply(
        engine,
        {
            "object": "list",
            "data": data,
            "model": body.get("model") or engine.spec.names[0],
            "usage": {"prompt_tokens": tokens, "total_tokens": tokens},
        },
    )


async def models(engine: Engine, _: web.BaseRequest) -> web.StreamResponse:
    """Answer `/v1/models`: the served names, and the adapters with the model they belong to."""
    spec = engine.spec
    data = [_model(name, spec, None) for name in spec.names]
    data += [_model(name, spec, spec.names[0]) for name in engine.adapters]
    return json_reply(engine, {"object": "list", "data": data})


def _texts(given: Any) -> list[Any]:
    """Return the texts of an embedding request: one may come bare, as a text or as tokens."""
    single = isinstance(given, str) or isinstance(given[0], int)
    return [given] if single else list(given)


def _model(name: str, spec: EngineSpec, parent: str | None) -> dict[str, Any]:
    model = {"id": name, "object": "model", "created": 0, "owned_by": "simulated"}
    if spec.dialect is Dialect.LLAMA_CPP:
        return model
    return {**model, "root": name, "parent": parent, "max_model_len": spec.max_model_len}


def _vector(index: int, body: dict[str, Any], text: Any) -> dict[str, Any]:
    dimensions = body.get("dimensions") or words.DIMENSIONS
    if not isinstance(dimensions, int) or not 0 < dimensions <= 4096:
        raise Refused.invalid("dimensions must be between 1 and 4096")
    vector = words.embedding(words.seed_for(str(text)), dimensions)
    encoded = words.as_base64(vector) if body.get("encoding_format") == "base64" else vector
    return {"object": "embedding", "index": index, "embedding": encoded}


async def _complete(
    engine: Engine, request: web.BaseRequest, read: Callable[[dict[str, Any], EngineSpec], Ask]
) -> web.StreamResponse:
    body = await body_of(request)
    engine.check_model(body.get("model"))
    ask = read(body, engine.spec)
    with engine.job(request) as job:
        if ask.stream:
            return await _stream(engine, job, ask)
        await engine.admit(job, ask).finished()
        reply = json_reply(engine, _answer(ask))
        await reply.prepare(request)
        await reply.write_eof()
        return reply


def _answer(ask: Ask) -> dict[str, Any]:
    text = words.text(ask.seed, ask.output_tokens)
    content: dict[str, Any] = (
        {"message": {"role": "assistant", "content": text}} if ask.chat else {"text": text}
    )
    choice = {"index": 0, **content, "logprobs": None, "finish_reason": ask.reason}
    usage = ask.usage(ask.output_tokens)
    return {**ask.envelope(streamed=False), "choices": [choice], "usage": usage}


async def _stream(engine: Engine, job: Job, ask: Ask) -> web.StreamResponse:
    ticket = engine.admit(job, ask)
    response = await started_stream(engine, job.request, "text/event-stream")
    events = Events(ask)
    sent, opening = 0, events.opening()
    while not ticket.is_finished or sent < ticket.generated:
        there = await ticket.more()
        await response.write(opening + events.tokens(sent, there))
        sent, opening = there, b""
    if ticket.reason == ABORT:
        reset(job.request.transport)
        return response
    await response.write(events.closing())
    await response.write_eof()
    return response
