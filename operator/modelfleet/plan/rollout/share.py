"""How many replicas of both revisions a canary's step has, and the way there.

A step with weight w of n replicas has k = ⌊n·w/100⌋ new ones and n - k old ones, so it needs no
more GPUs than before. Where one replica is more than the weight, it comes beside the n old ones if
it fits there, else it takes the place of one. A single replica always needs room for a second:
without the old one there is nothing to compare with.

The way there keeps what an exchange promises: no pod waits for a GPU that we hold ourselves, one
old replica gives way at a time and only while nothing else is under way, and `minAvailable` holds.
With fewer GPUs than `spec.replicas` a step is what the weight makes of those that there are.
"""

from dataclasses import dataclass

from modelfleet.plan.census import Census
from modelfleet.plan.rollout.exchange import SURGE_SHARE, exchange
from modelfleet.plan.rollout.situation import Situation


@dataclass(frozen=True, slots=True)
class Share:
    """Replicas of the new revision and of the stable one."""

    new: int
    old: int

    @property
    def percent(self) -> int:
        """Of the requests for the new revision: they are spread over all replicas."""
        return round(100 * self.new / max(1, self.new + self.old))


def share_for(at: Situation, stable: Census, weight: int) -> Share:
    """Return what a step of `weight` percent is to have."""
    whole = at.count * weight // 100
    if whole:
        return Share(whole, at.count - whole)
    return Share(1, at.count if _comes_beside(at, stable) else at.count - 1)


def _comes_beside(at: Situation, stable: Census) -> bool:
    """Once an old one has given way, or a place that was proven is gone, there is no way back."""
    if at.count == 1:
        return True
    if at.new.blocked or stable.asked < at.count:
        return False
    return bool(at.new.asked or at.room is None or at.unpaid)


def possible(at: Situation, share: Share) -> Share:
    """Return as much of a share as there are GPUs for, and what is up already."""
    fits = _capacity(at)
    if fits >= at.count:
        return share
    new = max(1, fits * share.new // (share.new + share.old))
    return Share(max(new, min(at.new.asked, share.new)), min(share.old, max(1, fits - new)))


def _capacity(at: Situation) -> int:
    """Replicas that all our GPUs and the free ones are enough for."""
    if at.room is None:
        return at.count
    placed = len(at.new.placed) + sum(len(one.placed) for one in at.old)
    return placed + at.leaving + at.room


def toward(at: Situation, stable: Census, share: Share) -> Share:
    """Return the replicas that both revisions get now, on the way to a share."""
    if at.new.asked > share.new:
        return _back(at, stable, share)
    now = possible(at, share)
    old = min(stable.asked, max(share.old, at.count - at.new.ready))
    spare = _spare(at, stable)
    first = min(max(0, now.old - old), spare)
    new = at.new.asked + min(max(0, now.new - at.new.asked), spare - first, _allowed(at, stable))
    then = min(max(0, share.old - old - first), spare - first - (new - at.new.asked))
    if old == stable.asked and _lacks_a_place(at, stable, now):
        return Share(new, _giving_way(at, stable, now))
    return Share(new, old + first + then)


def _back(at: Situation, stable: Census, share: Share) -> Share:
    """Give places back to the stable revision, each once it serves there."""
    way = exchange(at.reverse(stable)).replicas
    new, old = way.get(at.new.revision, 0), way[stable.revision]
    return Share(max(share.new, new), min(share.old, old))


def _spare(at: Situation, stable: Census) -> int:
    """Free places that no pod of ours is about to take."""
    if at.room is None:
        return at.count
    others = sum(len(one.alive) - len(one.placed) for one in at.old if one is not stable)
    pending = (
        at.new.unplaced + others + max(stable.unplaced, len(stable.alive) - len(stable.placed))
    )
    return max(0, at.room - pending)


def _allowed(at: Situation, stable: Census) -> int:
    """Without GPUs the room is not known, so one replica in four is added at a time."""
    if at.room is not None:
        return at.count
    extra = -(-at.count // SURGE_SHARE)
    present = max(stable.asked, len(stable.alive)) + max(at.new.asked, len(at.new.alive))
    return 0 if at.new.blocked else max(0, at.count + extra - present - at.leaving)


def _lacks_a_place(at: Situation, stable: Census, now: Share) -> bool:
    """Return whether nothing will happen unless an old replica gives way."""
    everyone = (at.new, *at.old)
    moving = at.leaving or any(len(one.alive) > one.asked for one in everyone)
    waits = len(at.new.placed) < now.new and at.full and at.helps
    return bool(waits and not moving and not at.new.in_flight and stable.asked > 1)


def _giving_way(at: Situation, stable: Census, now: Share) -> int:
    """Those without a place or a use go first; then one that serves, unless that is too many."""
    useful = min(stable.asked, len(stable.useful))
    if useful < stable.asked:
        return max(1, useful)
    least = 1 if at.larger else now.old
    return stable.asked - int(stable.asked > least and not at.at_its_floor)
