"""Traces that are made and not recorded: arrivals by chance at a rate that changes by a shape."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from modelfleet.plan.simulation.chance import Chance
from modelfleet.plan.simulation.traces import LONGEST_SECONDS, MOST_REQUESTS, Trace, trace_of

Rate = Callable[[float], float]
"""Requests per second at a share of the trace, 0 to 1."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """What a trace is made from. Tokens are lognormal, as lengths of prompts about are."""

    hours: float = 24.0
    requests_per_second: float = 1.2
    """On average."""
    prompt_tokens: float = 1200.0
    output_tokens: float = 200.0
    seed: int = 1

    @property
    def seconds(self) -> float:
        """The length of the trace."""
        return self.hours * 3600


MINUTE = 60.0
PROMPT_SIGMA, OUTPUT_SIGMA = 0.8, 0.7
NOISE, MEMORY = 0.25, 0.8
"""Deviation of the logarithm of the rate, and how much of it a minute leaves to the next."""


def diurnal(shape: Shape) -> Trace:
    """Return days that begin at midnight, quiet at four and busy at four, with noise."""
    days = max(shape.hours / 24, 1e-9)

    def rate(share: float) -> float:
        hour = share * days * 24
        return 1 - 0.8 * math.cos(2 * math.pi * (hour - 4) / 24)

    return _made(shape, rate, NOISE)


STEPS = (
    (0.00, 0.5, 0.5),
    (0.15, 1.5, 1.5),
    (0.30, 0.5, 0.5),
    (0.40, 0.5, 2.0),
    (0.55, 2.0, 2.0),
    (0.65, 2.0, 0.3),
    (0.80, 0.3, 0.3),
    (0.85, 1.8, 1.8),
    (0.90, 0.3, 0.3),
    (0.95, 1.0, 1.0),
    (1.00, 1.0, 1.0),
)
"""From this share on, the rate goes from the second number to the third until the next begins."""


def steps(shape: Shape) -> Trace:
    """Return steps up and down, ramps between them, and one short burst; no noise but chance."""
    return _made(shape, _stepped, 0.0)


def _stepped(share: float) -> float:
    index = max(place for place, step in enumerate(STEPS[:-1]) if step[0] <= share)
    (begin, low, high), end = STEPS[index], STEPS[index + 1][0]
    return low + (high - low) * (share - begin) / (end - begin)


Make = Callable[[Shape], Trace]

SHAPES: Mapping[str, Make] = {"diurnal": diurnal, "steps": steps}


def is_possible(shape: Shape) -> bool:
    """Say whether the shape gives a trace of a length that can be replayed."""
    requests = shape.requests_per_second * shape.seconds
    numbers = (shape.prompt_tokens, shape.output_tokens)
    return (
        0 < shape.seconds <= LONGEST_SECONDS
        and 0 < requests <= MOST_REQUESTS / 2
        and all(1 <= one <= 1_000_000 for one in numbers)
    )


def _made(shape: Shape, rate: Rate, noise: float) -> Trace:
    chance, drift = Chance(shape.seed), 0.0
    factor = shape.requests_per_second / _mean(rate)
    requests: list[tuple[float, int, int]] = []
    minute = 0.0
    while minute < shape.seconds:
        drift = MEMORY * drift + math.sqrt(1 - MEMORY * MEMORY) * noise * chance.normal()
        per_second = factor * rate(minute / shape.seconds) * math.exp(drift - noise * noise / 2)
        end = min(minute + MINUTE, shape.seconds)
        at = minute + chance.exponential(1 / per_second)
        while at < end:
            requests.append((at, *_lengths(shape, chance)))
            at += chance.exponential(1 / per_second)
        minute = end
    return trace_of(requests, shape.seconds)


def _mean(rate: Rate) -> float:
    """Return the mean over the whole trace, minute for minute of a day."""
    parts = 1440
    return sum(rate((index + 0.5) / parts) for index in range(parts)) / parts


def _lengths(shape: Shape, chance: Chance) -> tuple[int, int]:
    prompt = chance.lognormal(shape.prompt_tokens, PROMPT_SIGMA)
    output = chance.lognormal(shape.output_tokens, OUTPUT_SIGMA)
    return max(round(prompt), 1), max(round(output), 1)
