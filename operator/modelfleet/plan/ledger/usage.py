"""What engines tell of their use: how often they had requests, and how many tokens they made."""

from collections import defaultdict
from collections.abc import Iterable

from modelfleet.plan.ledger.tokens import Tokens
from modelfleet.plan.ledger.units import MILLION
from modelfleet.plan.samples import Scrape


def busy_of(scrapes: Iterable[Scrape]) -> dict[str, int]:
    """Return for each pod, by uid, in how many millionths of its readings it had requests.

    A pod whose engine does not tell both what runs and what waits is absent: not known is not idle.
    """
    seen: dict[str, list[bool]] = defaultdict(list)
    for one in scrapes:
        running, waiting = one.values.get("running"), one.values.get("waiting")
        if running is not None and waiting is not None:
            seen[one.pod].append(running + waiting > 0)
    return {pod: MILLION * sum(busy) // len(busy) for pod, busy in seen.items()}


def tokens_of(scrapes: Iterable[Scrape]) -> dict[str, Tokens]:
    """Return the newest counters of each process of an engine; absent where it tells none.

    A process is a pod and how often its container was started: counters begin anew with it.
    """
    newest: dict[str, Tokens] = {}
    for one in sorted(scrapes, key=lambda scrape: scrape.at):
        read, written = one.values.get("promptTokens"), one.values.get("generationTokens")
        if read is not None and written is not None:
            newest[f"{one.pod}/{one.process.restarts}"] = Tokens(int(read), int(written))
    return newest
