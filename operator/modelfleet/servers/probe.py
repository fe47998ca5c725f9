"""A small labelled request to one pod, for what an engine's metrics do not tell."""

import asyncio
import logging
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

import aiohttp
import orjson

from modelfleet import clock, telemetry
from modelfleet.plan.samples import ProbeResult, Reason
from modelfleet.servers.client import Client, Failed, body_of, url_of

logger = logging.getLogger(__name__)

HEADER = "x-modelfleet-probe"
"""Marks the request as ours, for logs and for billing."""

PROMPT = "Hello"
TOKENS = 4

Question = Literal["chat", "completion", "embeddings", "health"]

BUILT_IN: Mapping[str, Question] = {
    "vllm": "chat",
    "sglang": "chat",
    "llama-cpp": "chat",
    "tei": "embeddings",
    # Models have the names of a store that we have not seen.
    "ollama": "health",
    "triton": "health",
}
"""What each built-in engine is asked. Of any other engine only its health path is known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeTarget:
    """A pod to ask. The address is the one that the API server reported."""

    pod: str
    """uid"""
    namespace: str
    model: str
    revision: str
    address: str
    port: int
    question: Question
    name: str
    """Under which the model is served."""
    health_path: str = "/health"


@dataclass(frozen=True, slots=True)
class ProbeLimits:
    """`seconds` bounds one request."""

    seconds: float = 10.0
    at_once: int = 16
    answer_bytes: int = 1024 * 1024
    """An embedding of 8,192 numbers fits."""


class Prober:
    """Asks pods, so many at once."""

    def __init__(self, client: Client, limits: ProbeLimits = ProbeLimits()) -> None:
        self._client, self._limits = client, limits
        self._turns = asyncio.Semaphore(limits.at_once)

    async def probe(self, target: ProbeTarget, now: datetime) -> ProbeResult:
        """Ask once. Whatever happens is a result; raises nothing.

        `now` is the wall clock's time. Waiting for a turn is no part of the result's seconds.
        """
        async with self._turns:
            began = clock.monotonic()
            found = await self._attempt(target, began)
            seconds = clock.monotonic() - began
        failure = found if isinstance(found, Failed) else None
        telemetry.SERVER_PROBES.labels(failure.reason if failure else "ok").inc()
        return ProbeResult(
            pod=target.pod,
            namespace=target.namespace,
            model=target.model,
            revision=target.revision,
            at=now,
            failure=failure.reason if failure else None,
            status=failure.status if failure else 0,
            seconds=seconds,
            first_token_seconds=None if isinstance(found, Failed) else found,
        )

    async def _attempt(self, target: ProbeTarget, began: float) -> float | Failed | None:
        try:
            return await self._ask(target, began)
        except Failed as error:
            return error
        except Exception as error:
            # Never the message or the trace: they may quote the answer.
            extra = {"model": target.model, "namespace": target.namespace}
            logger.error("a probe failed: %s", type(error).__name__, extra=extra)  # noqa: TRY400
            return Failed(Reason.DEFECT)

    async def _ask(self, target: ProbeTarget, began: float) -> float | None:
        method, path, body = _request(target)
        url = url_of(target.address, target.port, path)
        headers = {HEADER: "true", "Content-Type": "application/json"}
        async with self._client.request(
            method, url, self._limits.seconds, headers, body
        ) as response:
            if response.content_type == "text/event-stream":
                return await self._first_token(response, began)
            answer = await body_of(response, self._limits.answer_bytes)
        if target.question != "health":
            _require_answer(answer)
        return None

    async def _first_token(self, response: aiohttp.ClientResponse, began: float) -> float | None:
        """Read the stream to its end. Raises Failed if it ends before the engine says so."""
        first, finished = None, False
        async with aclosing(_events(response, self._limits.answer_bytes)) as events:
            async for event in events:
                if first is None and _has_token(event):
                    first = clock.monotonic() - began
                finished = finished or _is_last(event)
        if not finished:
            raise Failed(Reason.CUT)
        return first


def _request(target: ProbeTarget) -> tuple[str, str, bytes | None]:
    stream = {"model": target.name, "max_tokens": TOKENS, "temperature": 0, "stream": True}
    match target.question:
        case "chat":
            chat = {**stream, "messages": [{"role": "user", "content": PROMPT}]}
            return "POST", "/v1/chat/completions", orjson.dumps(chat)
        case "completion":
            return "POST", "/v1/completions", orjson.dumps({**stream, "prompt": PROMPT})
        case "embeddings":
            words = {"model": target.name, "input": PROMPT}
            return "POST", "/v1/embeddings", orjson.dumps(words)
        case "health":
            return "GET", target.health_path, None


async def _events(
    response: aiohttp.ClientResponse, limit: int
) -> AsyncGenerator[Mapping[str, Any], None]:
    """Yield what server-sent events carry, until the mark of the end. Raises Failed."""
    rest, size = b"", 0
    async for chunk in response.content.iter_any():
        size += len(chunk)
        if size > limit:
            raise Failed(Reason.TOO_LARGE)
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            if line.startswith(b"data:"):
                data = line[len(b"data:") :].strip()
                if data == b"[DONE]":
                    return
                yield _parsed(data)


def _parsed(data: bytes) -> Mapping[str, Any]:
    try:
        found = orjson.loads(data)
    except orjson.JSONDecodeError:
        raise Failed(Reason.UNPARSABLE) from None
    if not isinstance(found, dict):
        raise Failed(Reason.UNPARSABLE)
    if found.get("error"):
        raise Failed(Reason.STATUS, 500)
    return found


def _require_answer(body: bytes) -> None:
    found = _parsed(body)
    if not found.get("choices") and not found.get("data"):
        raise Failed(Reason.UNPARSABLE)


def _choice(event: Mapping[str, Any]) -> Mapping[str, Any]:
    choices = event.get("choices")
    first = choices[0] if isinstance(choices, list) and choices else None
    return first if isinstance(first, dict) else {}


def _has_token(event: Mapping[str, Any]) -> bool:
    choice = _choice(event)
    delta = choice.get("delta")
    said = delta if isinstance(delta, dict) else choice
    return any(said.get(name) for name in ("content", "text", "reasoning_content", "reasoning"))


def _is_last(event: Mapping[str, Any]) -> bool:
    return _choice(event).get("finish_reason") is not None
