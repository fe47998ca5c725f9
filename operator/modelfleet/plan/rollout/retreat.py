"""The way back: all traffic to the stable revision, and every replica of it again."""

from collections.abc import Iterable
from dataclasses import replace

from modelfleet.plan.census import Census, ready_in
from modelfleet.plan.rollout.exchange import exchange
from modelfleet.plan.rollout.situation import Situation
from modelfleet.plan.rollout.step import Rollout


def retreat(back: Situation, because: str, *, at_once: bool) -> Rollout:
    """Leave every revision but `back.new`, which is the stable one.

    It takes all traffic as soon as it has as many ready replicas as the others, or `at_once`: as
    soon as it has one. From then on the others only hold GPUs, and go. Until then they are
    exchanged one after the other, so that requests are answered all the time.
    """
    stable, others = back.new, ready_in(back.old)
    bound = stable.ready >= max(1, others) or (at_once and stable.ready > 0)
    bound = bound or (back.route == stable.revision and stable.ready > 0)
    if not bound and others:
        return replace(exchange(back), strategy="Canary", because=because)
    return Rollout(
        replicas={**{one.revision: 0 for one in back.old}, stable.revision: restored(back)},
        because=because,
        strategy="Canary",
        route=stable.revision if stable.ready and linger(back.old) else None,
        waits_for_capacity=back.room is not None and stable.asked < back.count,
    )


def restored(back: Situation) -> int:
    """Return the stable revision's replicas: all, as soon as there is a place for each."""
    if back.room is None:
        return back.count
    return min(back.count, back.new.asked + back.unpaid)


def linger(revisions: Iterable[Census]) -> bool:
    """Return whether any of them has a pod left that a Service would lead to, or has just led to.

    Who watches pods and who watches Services learn of a change at different times.
    """
    return any(one.alive or one.leaving for one in revisions)


def superseded(at: Situation, stable: Census) -> tuple[Census, ...]:
    """Return the revisions that are neither wanted nor stable: canaries of specs before."""
    return tuple(one for one in at.old if one is not stable)
