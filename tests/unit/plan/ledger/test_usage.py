"""What engines tell of their use; what they do not tell is not known."""

from datetime import timedelta
from typing import Any

from modelfleet.plan.ledger.tokens import Tokens
from modelfleet.plan.ledger.usage import busy_of, tokens_of
from modelfleet.plan.samples import Process, Scrape
from support.builders import NOON


def told(pod: str = "a", after: int = 0, restarts: int = 0, **values: Any) -> Scrape:
    return Scrape(
        pod=pod,
        namespace="ns",
        model="chat",
        revision="abc",
        at=NOON + timedelta(seconds=after),
        process=Process(restarts=restarts),
        values=values,
    )


def test_busy_is_the_part_of_the_readings_with_requests() -> None:
    readings = [
        told(running=1, waiting=0),
        told(running=0, waiting=0),
        told(running=0, waiting=2),
        told(running=0, waiting=0),
    ]

    assert busy_of(readings) == {"a": 500_000}


def test_an_engine_that_does_not_tell_what_waits_is_not_known_to_be_idle() -> None:
    assert busy_of([told(running=0)]) == {}


def test_tokens_are_those_of_the_newest_reading_of_each_process() -> None:
    readings = [
        told(after=30, promptTokens=9.0, generationTokens=4.0),
        told(after=15, promptTokens=5.0, generationTokens=2.0),
        told(after=45, restarts=1, promptTokens=1.0, generationTokens=1.0),
        told("b", promptTokens=7.0),
    ]

    assert tokens_of(readings) == {"a/0": Tokens(9, 4), "a/1": Tokens(1, 1)}
