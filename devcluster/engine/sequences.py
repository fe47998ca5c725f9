"""Requests on their way through an engine, and what happens to them there."""

import math
from dataclasses import dataclass


@dataclass(slots=True, kw_only=True, eq=False)
class Sequence:
    """One request on its way through the engine. Instants are seconds on the caller's clock."""

    prompt_tokens: int
    output_tokens: int
    """Tokens to generate; 0 for an embedding, which ends with its prefill."""
    submitted_at: float
    queued_at: float
    admitted_at: float | None = None
    prefilled_at: float | None = None
    first_token_at: float | None = None
    finished_at: float | None = None
    preemptions: int = 0
    kept_tokens: int = 0
    """Generated before the last preemption."""
    decodes_from: float | None = None
    """Reading of the token clock when decoding (re)started; None while it does not decode."""
    decodes_to: float = math.inf
    """Reading at which its last token comes."""

    @property
    def needs(self) -> int:
        """KV tokens that must be computed before (the next) decoding."""
        return self.prompt_tokens + self.kept_tokens


@dataclass(frozen=True, slots=True)
class Prefilled:
    """The prompt of `sequence` has been computed; its first token, if any, is there."""

    sequence: Sequence


@dataclass(frozen=True, slots=True)
class Decoded:
    """`tokens` tokens of `sequences` sequences came, each `latency` seconds after the last."""

    tokens: int
    latency: float
    sequences: int


@dataclass(frozen=True, slots=True)
class Preempted:
    """`sequence` lost its KV cache to others and waits again."""

    sequence: Sequence


@dataclass(frozen=True, slots=True)
class Finished:
    """`sequence` has all its tokens."""

    sequence: Sequence


Event = Prefilled | Decoded | Preempted | Finished
