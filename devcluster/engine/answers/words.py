"""What a simulated engine says: recognisably nothing, and the same for the same question."""

import random
from base64 import b64encode
from functools import lru_cache
from struct import pack
from zlib import crc32

import orjson

_OPENING = ("This", " answer", " is", " simulated", ":")
_NOUNS = """amber birch cedar delta ember fjord grove heath inlet jetty kelp larch meadow north
ocean pine quartz river stone tide upland valley willow yarrow zephyr brook cliff dune field glade
harbor island"""
_WORDS = tuple(f" {noun}" for noun in _NOUNS.split())
_STRIDE = 7  # has no factor in common with the number of words, so that all of them come up

_JSON_OPENING = tuple(orjson.dumps(word) for word in _OPENING)
_JSON_WORDS = tuple(orjson.dumps(word) for word in _WORDS)
DIMENSIONS = 384


def seed_for(text: str) -> int:
    """Return a number that depends on `text` alone."""
    return crc32(text.encode())


def word(seed: int, index: int) -> str:
    """Return the token at `index` of the answer to `seed`."""
    if index < len(_OPENING):
        return _OPENING[index]
    return _WORDS[(seed + index * _STRIDE) % len(_WORDS)]


def json_word(seed: int, index: int) -> bytes:
    """Return the same token as a JSON string."""
    if index < len(_OPENING):
        return _JSON_OPENING[index]
    return _JSON_WORDS[(seed + index * _STRIDE) % len(_JSON_WORDS)]


def text(seed: int, tokens: int) -> str:
    """Return a whole answer."""
    return "".join(word(seed, index) for index in range(tokens))


def tokens_in(prompt: str) -> int:
    """Return about how many tokens a tokenizer would make of `prompt`: four characters each."""
    return max(1, -(-len(prompt) // 4))


def natural_length(seed: int, mean: int) -> int:
    """Return how long an answer without a limit is: half to one and a half times the mean."""
    return max(1, mean // 2 + seed % (mean + 1))


@lru_cache(maxsize=512)
def embedding(seed: int, dimensions: int = DIMENSIONS) -> tuple[float, ...]:
    """Return a vector of length 1."""
    source = random.Random(seed)
    raw = [source.uniform(-1, 1) for _ in range(dimensions)]
    norm = sum(x * x for x in raw) ** 0.5
    return tuple(round(x / norm, 7) for x in raw)


def as_base64(vector: tuple[float, ...]) -> str:
    """Return a vector as little-endian 32-bit floats in base64, as OpenAI's clients ask for it."""
    return b64encode(pack(f"<{len(vector)}f", *vector)).decode()
