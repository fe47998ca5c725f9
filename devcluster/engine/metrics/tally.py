"""What one engine has done since it started, in the quantities that engines report."""

import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from devcluster.engine.metrics.exposition import Bounds, Histogram
from devcluster.engine.sequences import Decoded, Sequence


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """What an engine does at the moment of a scrape."""

    running: int = 0
    waiting: int = 0
    kv_used: float = 0.0
    kv_usage: float = 0.0
    token_rate: float = 0.0
    """Tokens that all sequences together generate per second."""


@dataclass(slots=True)
class Tally:
    """Counters and histograms. `bounds` names the histograms that the engine has."""

    bounds: Mapping[str, Bounds]
    started: float = field(default_factory=time.time)
    """When the process began, in seconds since the epoch."""
    prompt_tokens: int = 0
    generation_tokens: int = 0
    preemptions: int = 0
    rejections: int = 0
    decode_steps: float = 0.0
    decode_slots: float = 0.0
    """Sum over the decode steps of the sequences in each."""
    prefill_seconds: float = 0.0
    decode_seconds: float = 0.0
    queue_seconds: float = 0.0
    ended_prompt_tokens: int = 0
    ended_generation_tokens: int = 0
    longest: int = 0
    """Most tokens that a sequence had, its prompt included."""
    ended: Counter[tuple[str, bool]] = field(default_factory=Counter)
    """Requests by (reason of the end, streamed or not)."""
    tokens: Counter[tuple[str, bool]] = field(default_factory=Counter)
    """Tokens of ended requests by ("prompt" or "generation", streamed or not)."""
    http: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    """Requests by (handler, method, class of the status)."""
    histograms: dict[str, Histogram] = field(default_factory=dict)

    def histogram(self, name: str) -> Histogram:
        """Return a histogram by its name in `bounds`."""
        return self.histograms.get(name) or Histogram(self.bounds[name])

    def observe(self, name: str, value: float, times: int = 1) -> None:
        """Observe a value, if the engine has this histogram."""
        if name in self.bounds:
            if name not in self.histograms:
                self.histograms[name] = Histogram(self.bounds[name])
            self.histograms[name].observe(value, times)

    def prefilled(self, sequence: Sequence) -> None:
        """Count a prompt that was computed, and its first token."""
        assert sequence.first_token_at is not None
        self.prompt_tokens += sequence.prompt_tokens
        self.generation_tokens += min(sequence.output_tokens, 1)
        self.decode_steps += 1
        self.decode_slots += 1
        self.observe("iteration_tokens", sequence.prompt_tokens)
        if sequence.output_tokens:
            self.observe("ttft", sequence.first_token_at - sequence.submitted_at)

    def decoded(self, event: Decoded) -> None:
        """Count tokens that followed others."""
        self.generation_tokens += event.tokens
        self.decode_steps += event.tokens / event.sequences
        self.decode_slots += event.tokens
        self.observe("itl", event.latency, event.tokens)
        steps = max(round(event.tokens / event.sequences), 1)
        self.observe("iteration_tokens", event.sequences, steps)

    def finished(self, sequence: Sequence, reason: str, streamed: bool, generated: int) -> None:
        """Count the end of a request; `generated` tokens were made, fewer if it was cut."""
        self.ended[reason, streamed] += 1
        self.tokens["prompt", streamed] += sequence.prompt_tokens
        self.tokens["generation", streamed] += generated
        self.ended_prompt_tokens += sequence.prompt_tokens
        self.ended_generation_tokens += generated
        self.longest = max(self.longest, sequence.prompt_tokens + generated)
        self.observe("prompt_tokens", sequence.prompt_tokens)
        self.observe("generation_tokens", generated)
        self.observe("max_tokens", sequence.output_tokens)
        self.observe("params_n", 1)
        self.observe("preemptions", sequence.preemptions)
        self._observe_phases(sequence, generated)

    def _observe_phases(self, sequence: Sequence, generated: int) -> None:
        """Observe where the time went: submitted, admitted, first token, finished."""
        admitted, first, end = sequence.admitted_at, sequence.first_token_at, sequence.finished_at
        if admitted is None or first is None or end is None:
            return
        queued = max(sequence.admitted_at or 0.0, sequence.submitted_at) - sequence.submitted_at
        first = max(first, sequence.submitted_at + queued)
        self.queue_seconds += queued
        self.prefill_seconds += first - sequence.submitted_at - queued
        self.decode_seconds += end - first
        self.observe("e2e", end - sequence.submitted_at)
        self.observe("queue", queued)
        self.observe("inference", end - sequence.submitted_at - queued)
        self.observe("prefill", first - sequence.submitted_at - queued)
        self.observe("decode", end - first)
        if generated > 1:
            self.observe("tpot", (end - first) / (generated - 1))
