"""Blue-green: the new revision comes up whole and unseen, then takes all traffic at once.

It starts only when all of its replicas fit beside the old ones: half a green fleet would hold GPUs
for nothing, and two Models that each hold half of what they need would wait for each other.

The promises, which the tests hold over random clusters:

- Requests reach one revision at a time, and none moves to a revision that has fewer replicas ready
  than the one that it leaves, up to `spec.replicas`.
- The blue fleet stays until the Service was seen to lead to the green one, and for as long as the
  green one fails. Until then it follows `spec.replicas` as far as the green one leaves it room.
"""

from modelfleet.plan.census import Census
from modelfleet.plan.headroom import shortfall
from modelfleet.plan.rollout.situation import Situation
from modelfleet.plan.rollout.step import Rollout


def blue_green(at: Situation) -> Rollout:
    """Start the green fleet, wait until it is ready, switch, let the blue one go."""
    blue = _blue(at)
    green = _green_replicas(at)
    leads = _leads(at, blue, green)
    stays = 0 if leads and at.route == at.new.revision else _blue_replicas(at, blue, green)
    others = {one.revision: 0 for one in at.old}
    return Rollout(
        replicas={**others, blue.revision: stays, at.new.revision: green},
        because=_because(at, green, leads),
        strategy="BlueGreen",
        route=_route(at, blue, leads),
        waits_for_capacity=at.room is not None and green < at.count,
    )


def _blue(at: Situation) -> Census:
    """Return the old revision that serves: the one with the traffic, unless only others answer."""
    return max(
        at.old, key=lambda one: (one.ready > 0, one.revision == at.route, one.ready, one.number)
    )


def _green_replicas(at: Situation) -> int:
    """Return all or none at first; more than that, after the spec has grown, as far as they fit."""
    if at.room is None:
        return at.count
    spare = _spare(at)
    if not at.new.asked:
        return at.count if spare >= at.count else 0
    return min(at.count, at.new.asked + spare)


def _blue_replicas(at: Situation, blue: Census, green: int) -> int:
    if at.room is None or not green:
        return at.count
    left = _spare(at) - max(0, green - at.new.asked)
    return min(at.count, _present(blue) + left)


def _spare(at: Situation) -> int:
    """Room for replicas that neither fleet has asked for yet."""
    pending = at.new.unplaced + sum(_present(one) - len(one.placed) for one in at.old)
    return max(0, (at.room or 0) - pending)


def _present(one: Census) -> int:
    return max(one.asked, len(one.alive))


def _leads(at: Situation, blue: Census, green: int) -> bool:
    """Return whether the green fleet gets the traffic, or keeps it after the switch.

    It is whole with fewer than `spec.replicas` where that has grown meanwhile and the GPUs for the
    rest are those of the blue one.
    """
    whole = at.new.ready >= green >= min(at.count, _present(blue))
    return whole or (at.route == at.new.revision and at.new.ready >= blue.ready)


def _route(at: Situation, blue: Census, leads: bool) -> str | None:
    """Return who has the traffic. An exchange that was under way keeps it on both fleets."""
    if leads:
        return at.new.revision
    halved = at.route is None and at.new.ready > 0 and blue.ready < at.count
    return None if halved else blue.revision


def _because(at: Situation, green: int, leads: bool) -> str:
    if leads:
        return f"revision {at.new.revision} has all traffic, and the old replicas leave"
    if at.new.broken:
        return f"revision {at.new.revision} fails, so the old replicas keep all traffic"
    if green:
        return f"revision {at.new.revision} takes all traffic once all its replicas are ready"
    lack = shortfall(at.gpus, at.pools)
    lack += "; other Models are about to take what is free" if at.promised else ""
    return f"BlueGreen needs room for {at.count} more at once: {lack}"
