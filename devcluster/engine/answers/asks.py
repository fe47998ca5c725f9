"""Requests for text, read from the bodies that clients send."""

import time
from dataclasses import dataclass, field
from itertools import count
from typing import Any

from devcluster.engine.answers.refusals import Refused
from devcluster.engine.answers.words import natural_length, seed_for, tokens_in
from devcluster.engine.dialects import Dialect
from devcluster.engine.pods import EngineSpec

_TOKENS_PER_MESSAGE = 4
"""What a chat template adds to each message."""
_numbers = count(1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """A request for text."""

    model: str
    chat: bool
    prompt_tokens: int
    output_tokens: int
    reason: str
    """`length` if the answer ends because of the request's limit, else `stop`."""
    seed: int
    stream: bool = False
    include_usage: bool = False
    number: int = field(default_factory=lambda: next(_numbers))
    created: int = field(default_factory=lambda: int(time.time()))

    def envelope(self, *, streamed: bool) -> dict[str, Any]:
        """Return what every answer and every event of it starts with."""
        kind = "chat.completion" if self.chat else "text_completion"
        return {
            "id": f"{'chatcmpl' if self.chat else 'cmpl'}-simulated-{self.number}",
            "object": f"{kind}.chunk" if streamed and self.chat else kind,
            "created": self.created,
            "model": self.model,
            "system_fingerprint": "simulated",
        }

    def usage(self, generated: int) -> dict[str, int]:
        """Return the token counts, with `generated` tokens so far."""
        return {
            "prompt_tokens": self.prompt_tokens,
            "total_tokens": self.prompt_tokens + generated,
            "completion_tokens": generated,
        }


def chat_ask(body: dict[str, Any], spec: EngineSpec) -> Ask:
    """Read a request for a chat completion. Raises `Refused`."""
    messages = body.get("messages")
    if not isinstance(messages, list) or not messages:
        raise Refused.invalid("messages: a list with at least one message is required")
    if not all(isinstance(message, dict) for message in messages):
        raise Refused.invalid("messages: each must be an object")
    prompt = "\n".join(_content(message.get("content")) for message in messages)
    tokens = tokens_in(prompt) + _TOKENS_PER_MESSAGE * len(messages)
    limit = body.get("max_completion_tokens", body.get("max_tokens"))
    return _ask(body, spec, prompt, tokens, limit, chat=True)


def text_ask(body: dict[str, Any], spec: EngineSpec) -> Ask:
    """Read a request for a plain completion. Raises `Refused`."""
    prompt = body.get("prompt")
    if prompt is None:
        raise Refused.invalid("prompt: required")
    limit = body.get("max_tokens", 16)  # OpenAI's default
    return _ask(body, spec, str(prompt), prompt_size(prompt), limit, chat=False)


def prompt_size(prompt: Any) -> int:
    """Return the tokens of a text, of a list of token numbers, or of a list of either."""
    if isinstance(prompt, str):
        return tokens_in(prompt)
    if isinstance(prompt, list) and prompt:
        if all(isinstance(token, int) for token in prompt):
            return len(prompt)
        return sum(prompt_size(part) for part in prompt)
    raise Refused.invalid("a text or a list of tokens is required")


def _ask(
    body: dict[str, Any], spec: EngineSpec, prompt: str, tokens: int, limit: Any, *, chat: bool
) -> Ask:
    limit = _limit(limit)
    seed = seed_for(prompt)
    natural = natural_length(seed, spec.profile.output_tokens)
    _check_context(spec, tokens, limit)
    options = body.get("stream_options")
    return Ask(
        model=_model_of(body, spec),
        chat=chat,
        prompt_tokens=tokens,
        output_tokens=natural if limit is None else limit,
        reason="stop" if limit is None else "length",
        seed=seed,
        stream=body.get("stream") is True,
        include_usage=isinstance(options, dict) and options.get("include_usage") is True,
    )


def _model_of(body: dict[str, Any], spec: EngineSpec) -> str:
    model = body.get("model")
    return model if isinstance(model, str) and model else spec.names[0]


def _limit(limit: Any) -> int | None:
    if limit is None or limit == -1:  # llama.cpp's way to say "no limit"
        return None
    if not isinstance(limit, int) or isinstance(limit, bool) or limit < 1:
        raise Refused.invalid(f"max_tokens must be at least 1, got {limit}")
    return limit


def _check_context(spec: EngineSpec, tokens: int, limit: int | None) -> None:
    longest = spec.max_model_len
    if longest is None or spec.dialect is Dialect.LLAMA_CPP:
        return
    if tokens + (limit or 1) > longest:
        raise Refused.invalid(
            f"This simulated model's maximum context length is {longest} tokens; "
            f"the request needs {tokens} of prompt and {limit or 1} of output"
        )


def _content(content: Any) -> str:
    if isinstance(content, str):
        return content
    if isinstance(content, list):
        return " ".join(str(part.get("text", "")) for part in content if isinstance(part, dict))
    return ""
