"""The events of OpenAI's streams, built without encoding the same JSON over and over."""

from typing import Any

import orjson

from devcluster.engine.answers.asks import Ask
from devcluster.engine.answers.words import json_word

DONE = b"data: [DONE]\n\n"


class Events:
    """The events of one answer. Concatenated in order, they are the stream."""

    def __init__(self, ask: Ask) -> None:
        self._ask = ask
        envelope = orjson.dumps(ask.envelope(streamed=True))[:-1]
        self._head = b"data: " + envelope + b',"choices":'
        inner = b'{"index":0,"delta":{"content":' if ask.chat else b'{"index":0,"text":'
        self._before = self._head + b"[" + inner
        closing = b"}" if ask.chat else b""
        self._after = closing + b',"logprobs":null,"finish_reason":null}]}\n\n'

    def opening(self) -> bytes:
        """Return what comes with the first token: a chat says who speaks."""
        if not self._ask.chat:
            return b""
        return self._event(self._choice({"role": "assistant", "content": ""}, None))

    def tokens(self, first: int, end: int) -> bytes:
        """Return an event for each token from `first` up to, but not with, `end`."""
        seed = self._ask.seed
        return b"".join(
            part
            for index in range(first, end)
            for part in (self._before, json_word(seed, index), self._after)
        )

    def closing(self) -> bytes:
        """Return why the answer ends, the usage if it was asked for, and the end of the stream."""
        empty: dict[str, Any] = {}
        end = self._event(self._choice(empty, self._ask.reason))
        if self._ask.include_usage:
            usage = orjson.dumps(self._ask.usage(self._ask.output_tokens))
            end += self._head + b'[],"usage":' + usage + b"}\n\n"
        return end + DONE

    def _choice(self, delta: dict[str, Any], reason: str | None) -> list[dict[str, Any]]:
        content: dict[str, Any] = {"delta": delta} if self._ask.chat else {"text": ""}
        return [{"index": 0, **content, "logprobs": None, "finish_reason": reason}]

    def _event(self, choices: list[dict[str, Any]]) -> bytes:
        return self._head + orjson.dumps(choices) + b"}\n\n"
