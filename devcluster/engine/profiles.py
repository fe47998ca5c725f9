"""How fast a simulated engine is and how much fits into it."""

from dataclasses import dataclass, fields, replace
from typing import Any


class BadProfile(ValueError):
    """A profile that cannot be used. The message says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """The figures of the timing model. The defaults are about an 8B model on one modern GPU."""

    prefill_tokens_per_second: float = 8000.0
    prefill_seconds: float = 0.0
    """Of each prompt, besides those of its tokens."""
    decode_tokens_per_second: float = 60.0
    """Of one sequence that runs alone."""
    decode_slowdown: float = 0.01
    """Share by which each further running sequence slows all of them."""
    kv_tokens: int = 400_000
    max_running: int = 256
    max_queued: int | None = None
    """Requests that may wait; None means any number."""
    output_tokens: int = 128
    """Mean length of an answer to a request without a limit."""
    exit_seconds: float = 0.0
    """From the end of the drain to the end of the process."""

    def __post_init__(self) -> None:
        for name in ("prefill_tokens_per_second", "decode_tokens_per_second", "kv_tokens"):
            if not getattr(self, name) > 0:
                raise BadProfile(f"{_camel(name)} must be positive")
        for name in ("prefill_seconds", "decode_slowdown", "exit_seconds", "max_queued"):
            if (getattr(self, name) or 0) < 0:
                raise BadProfile(f"{_camel(name)} must not be negative")
        if self.max_running < 1 or self.output_tokens < 1:
            raise BadProfile("maxRunning and outputTokens must be at least 1")

    def decode_rate(self, running: int) -> float:
        """Return the tokens per second of each of `running` sequences."""
        return self.decode_tokens_per_second / (1 + self.decode_slowdown * max(running - 1, 0))


def overridden(profile: Profile, document: Any) -> Profile:
    """Return `profile` with the members of a JSON object in camel case. Raises `BadProfile`."""
    if not isinstance(document, dict):
        raise BadProfile("a profile is a JSON object")
    known = {_camel(field.name): field.name for field in fields(Profile)}
    unknown = sorted(set(document) - set(known))
    if unknown:
        raise BadProfile(f"unknown members: {', '.join(unknown)}; known: {', '.join(known)}")
    try:
        return replace(profile, **{known[key]: _number(v) for key, v in document.items()})
    except TypeError as error:
        raise BadProfile(f"not a number: {error}") from error


def _number(value: Any) -> Any:
    if isinstance(value, bool) or not isinstance(value, int | float | None):
        raise BadProfile(f"{value!r} is not a number")
    return value


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(word.title() for word in rest)
