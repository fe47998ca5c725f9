"""Blue-green: the new revision comes up whole and unseen, then takes all traffic at once.

It starts only when all of its replicas fit beside the old ones: half a green fleet would hold GPUs
for nothing, and two Models that each hold half of what they need would wait for each other.
"""

from modelfleet.plan.headroom import shortfall
from modelfleet.plan.rollout.situation import Situation
from modelfleet.plan.rollout.step import Rollout


def blue_green(at: Situation) -> Rollout:
    """Start the green fleet, wait until it is ready, switch, let the blue one go."""
    switched = at.new.ready >= at.count
    blue = at.old[-1].revision  # the most ready one
    new = at.count if at.new.asked or _fits(at) else 0
    keep = 0 if switched and _sees_green(at) else max(0, at.count)
    replicas = {one.revision: 0 for one in at.old} | {blue: min(keep, _asked(at, blue))}
    return Rollout(
        replicas=replicas | {at.new.revision: new},
        because=_because(at, new, switched),
        strategy="BlueGreen",
        route=at.new.revision if switched else blue,
        waits_for_capacity=not new,
    )


def _fits(at: Situation) -> bool:
    return at.room is None or at.unpaid >= at.count


def _asked(at: Situation, revision: str) -> int:
    return next(max(one.asked, len(one.alive)) for one in at.old if one.revision == revision)


def _sees_green(at: Situation) -> bool:
    """The Service must lead to the new revision before the old one goes."""
    return at.route == at.new.revision


def _because(at: Situation, new: int, switched: bool) -> str:
    if switched:
        return f"revision {at.new.revision} has all traffic, and the old replicas leave"
    if new:
        return f"revision {at.new.revision} takes all traffic once all its replicas are ready"
    lack = shortfall(at.gpus, at.pools)
    return f"BlueGreen needs room for {at.count} more replicas at once: {lack}"
