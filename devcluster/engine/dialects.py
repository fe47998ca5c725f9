"""What engines do differently, as far as a client of theirs can tell."""

import re
from collections.abc import Sequence
from dataclasses import replace
from enum import StrEnum

from devcluster.engine.profiles import Profile


class Dialect(StrEnum):
    """An engine, or a generation of it, with its own metric names."""

    VLLM = "vllm"
    VLLM_0_9 = "vllm-0.9"
    SGLANG = "sglang"
    LLAMA_CPP = "llama-cpp"
    TEI = "tei"
    OLLAMA = "ollama"
    TRITON = "triton"

    @property
    def is_vllm(self) -> bool:
        """Say whether this is a vLLM of any version."""
        return self in (Dialect.VLLM, Dialect.VLLM_0_9)


LISTENS_WHILE_LOADING = frozenset({Dialect.SGLANG, Dialect.LLAMA_CPP, Dialect.OLLAMA})
"""The others open their port when the model is loaded."""

TRITON_METRICS_PORT = 8002
LLAMA_QUEUED_EXIT_SECONDS = 120.0
"""A terminated llama-server leaves queued clients hanging for this long."""
_TRITON_EXIT_TIMEOUT_SECONDS = 30.0

_ALIASES = {"llama.cpp": "llama-cpp", "llamacpp": "llama-cpp"}
"""How people write it where no object's name is asked for."""
_RENAMED_IN = (0, 12)
"""The first vLLM without the names of 0.9."""


def dialect_for(engine: str, image: str) -> Dialect | None:
    """Return the dialect of an engine by its label and image, or None for an unknown engine."""
    name = engine.lower()
    try:
        dialect = Dialect(_ALIASES.get(name, name))
    except ValueError:
        return None
    if dialect is Dialect.VLLM and _is_old(image):
        return Dialect.VLLM_0_9
    return dialect


def _is_old(image: str) -> bool:
    match = re.search(r":v?(\d+)\.(\d+)", image)
    return match is not None and (int(match[1]), int(match[2])) < _RENAMED_IN


class Arguments:
    """The words of an engine's command line, read leniently: unknown ones are skipped."""

    def __init__(self, words: Sequence[str]) -> None:
        self._words = words

    def has(self, flag: str) -> bool:
        """Say whether `flag` is given, alone or with a value after `=`."""
        return any(word.split("=", 1)[0] == flag for word in self._words)

    def values(self, *flags: str) -> list[str]:
        """Return what follows any of `flags`, up to the next flag."""
        found: list[str] = []
        taking = False
        for word in self._words:
            flag, _, value = word.partition("=")
            if word.startswith("-"):
                taking = flag in flags
                found += [value] if taking and value else []
            elif taking:
                found.append(word)
        return found

    def number(self, *flags: str) -> int | None:
        """Return the whole number after one of `flags`, or None."""
        return next((int(value) for value in self.values(*flags) if value.isdigit()), None)


def served_names(dialect: Dialect, arguments: Arguments, model: str) -> tuple[str, ...]:
    """Return the names that a request may use for the model; `model` where none is given."""
    names = arguments.values("--served-model-name", "--alias", "-a")
    if dialect is Dialect.LLAMA_CPP:
        names = [part for name in names for part in name.split(",") if part]
    return tuple(dict.fromkeys(names)) or (model,)


def shutdown_timeout_for(dialect: Dialect, arguments: Arguments) -> float:
    """Return the seconds that an engine was told to let requests finish; 0: none."""
    if dialect is Dialect.TRITON:
        given = arguments.number("--exit-timeout-secs")
        return _TRITON_EXIT_TIMEOUT_SECONDS if given is None else float(given)
    return float(arguments.number("--shutdown-timeout") or 0)


def first_adapters(arguments: Arguments) -> tuple[tuple[str, str], ...]:
    """Return the adapters given on the command line, as (name, path)."""
    pairs = (value.split("=", 1) for value in arguments.values("--lora-modules", "--lora-paths"))
    return tuple((pair[0], pair[1]) for pair in pairs if len(pair) == 2)


def profile_for(dialect: Dialect, arguments: Arguments) -> Profile:
    """Return the figures that follow from the engine's own arguments."""
    limits = {
        "max_running": arguments.number(
            "--max-num-seqs", "--max-running-requests", "-np", "--parallel"
        ),
        "max_queued": arguments.number("--max-num-queued-reqs", "--max-queued-requests"),
        "kv_tokens": arguments.number("-c", "--ctx-size", "--max-total-tokens"),
    }
    base = _DEFAULTS.get(dialect, Profile())
    return replace(base, **{name: value for name, value in limits.items() if value})


_DEFAULTS = {
    Dialect.LLAMA_CPP: Profile(
        prefill_tokens_per_second=1500, decode_tokens_per_second=40, kv_tokens=32768, max_running=4
    ),
    Dialect.OLLAMA: Profile(
        prefill_tokens_per_second=1500, decode_tokens_per_second=40, max_running=4, max_queued=512
    ),
    Dialect.TEI: Profile(prefill_tokens_per_second=40_000, max_running=32),
}
