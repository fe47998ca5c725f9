"""Decisions in the words of people: one line, the same for the same decision."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from modelfleet.plan.scaling.facts import Facts
from modelfleet.plan.scaling.signals import Load, Want

MICRO = 1_000_000


def line(wants: Sequence[Want], load: Load, replicas: int, because: str) -> str:
    """Return the decision: how many, why, and what each signal asks for."""
    asked = "; ".join(_asked(one) for one in wants)
    count = f"{replicas} replica" if replicas == 1 else f"{replicas} replicas"
    if not load.replicas:
        return f"{count}: {because}"
    told = "" if len(load.fresh) == load.replicas else f" ({_told(load)})"
    unpriced = "" if load.facts.price is not None else "; no price is known, so cost is not weighed"
    return f"{count}: {because}. {asked}{told}{unpriced}"


def _asked(want: Want) -> str:
    if want.suffices is None and not want.needs:
        return f"{want.signal}: not known"
    wanted = str(want.needs if want.suffices is None else max(want.best, want.needs))
    return f"{want.signal}: {want.told} asks for {wanted}"


def _told(load: Load) -> str:
    return f"{len(load.fresh)} of {load.replicas} replicas tell"


def unknown(wants: Sequence[Want], load: Load) -> str:
    """Return what is not known."""
    if not load.replicas:
        return "no replica is ready to tell its load"
    signals = ", ".join(one.signal for one in wants if one.suffices is None)
    if len(load.fresh) < load.replicas:
        return f"{signals} not known: {_told(load)}"
    return f"{signals} not known of every replica"


def coming(facts: Facts) -> str:
    """Return the replicas that are on their way."""
    parts = [
        f"{count} {'replica' if count == 1 else 'replicas'} {state}"
        for count, state in ((facts.loading, "loading"), (facts.pending, "without a node"))
        if count
    ]
    return " and ".join(parts)


def span(length: timedelta) -> str:
    """Return a length of time."""
    return seconds(length.total_seconds())


def seconds(length: float) -> str:
    """Return a length of time in the two largest units that say something."""
    whole = round(length)
    if whole < 120:
        return f"{whole} s"
    if whole < 7200:
        minutes, rest = divmod(whole, 60)
        return f"{minutes} min {rest} s" if rest else f"{minutes} min"
    hours, rest = divmod(whole, 3600)
    return f"{hours} h {rest // 60} min" if rest >= 60 else f"{hours} h"


def clock(at: datetime) -> str:
    """Return an instant of today."""
    return f"{at:%H:%M:%S} UTC"


def money(micro: int) -> str:
    """Return an amount in the currency of the prices, to the hundredth."""
    cents = round(micro / (MICRO // 100))
    return f"{cents // 100}.{cents % 100:02d}"
