"""Exchange of replicas: beside the old ones where room is proven, else old first.

The promises, which the tests hold over random clusters:

- Where new replicas fit beside the old ones, ready replicas never fall below `spec.replicas`.
- On a full pool one old replica gives way at a time. The next one goes only when the GPU of the
  last one is free, a new pod has taken its place and is ready. So no pod of ours waits for a GPU
  that we hold ourselves, and a revision that never becomes ready costs one replica.
- With fewer GPUs than `spec.replicas`, or when somebody else takes a GPU that we gave up, the
  rollout goes on with what is there, and leaves at least one ready replica.
- `minAvailable` is never broken by giving way: the exchange waits, and says for what.
"""

from modelfleet.plan.census import ready_in
from modelfleet.plan.headroom import shortfall
from modelfleet.plan.rollout.situation import Situation
from modelfleet.plan.rollout.step import Rollout

SURGE_SHARE = 4
"""Without GPUs the room for a replica is not known, so one in four is added at a time."""

OTHERS_FIRST = "replicas of another size, of other Models, take their places first"


def exchange(at: Situation) -> Rollout:
    """Take the next step from the old revisions to the new one."""
    new = _new_replicas(at)
    replicas = {at.new.revision: new, **_share(at, _old_replicas(at))}
    return Rollout(
        replicas=replicas,
        because=_because(at),
        strategy="Replace" if at.replaces or (at.full and at.manner != "Surge") else "Surge",
        waits_for_capacity=at.room is not None and new < at.count,
    )


def _new_replicas(at: Situation) -> int:
    """Never fewer than asked before: taking pods back and forth would help nobody."""
    wish = max(at.new.asked, _surge(at), at.new.asked + at.overtaken)
    return min(at.count, wish)


def _surge(at: Situation) -> int:
    if at.fruitless:
        return at.new.asked
    if at.room is not None:
        return at.new.asked + at.unpaid
    extra = -(-at.count // SURGE_SHARE)
    present = sum(max(at.keepable[one.revision], len(one.alive)) for one in at.old)
    return at.new.asked if at.new.blocked else at.count + extra - present - at.leaving


def _old_replicas(at: Situation) -> int:
    """Return how many old replicas stay in all."""
    needed = max(0, at.count - at.new.ready)
    if at.new.broken:
        spare = at.unpaid if at.room is not None else needed
        return min(needed, at.kept + (spare if at.fruitless else 0))
    return max(0, min(needed, at.kept) - _gives_way(at))


def _gives_way(at: Situation) -> int:
    """Return 1 where an old replica must go so that the exchange goes on, else 0."""
    if not at.stands_still or not at.helps or at.missing < 0:
        return 0  # below 0, some are not needed any more and go first
    if at.manner == "Surge" or at.at_its_floor:
        return 0
    if at.missing == 0:
        return 1
    if at.larger and at.room == 0:
        return 1  # until enough of its neighbours are gone as well
    others_ready = at.new.ready + ready_in(at.old) - 1
    return int(at.overtaken and others_ready > 0)


def _share(at: Situation, total: int) -> dict[str, int]:
    """Share `total` among the old revisions: those first in removal order lose first.

    Replicas that are not ready go before any that is, of whichever revision.
    """
    shares = dict(at.keepable)
    excess = at.kept - total
    ready = {one.revision: min(one.ready, shares[one.revision]) for one in at.old}
    for floors in (ready, dict.fromkeys(ready, 0)):
        for revision, floor in floors.items():
            lost = min(shares[revision] - floor, max(0, excess))
            shares[revision] -= lost
            excess -= lost
    if excess < 0:
        shares[at.old[-1].revision] -= excess
    return shares


def _because(at: Situation) -> str:
    if at.new.broken:
        return f"revision {at.new.revision} fails, so the old replicas stay"
    if len(at.new.placed) >= at.count:
        return "every new replica has its place, and the old ones leave as those become ready"
    if at.replaces and (at.helps or not at.stands_still):
        return f"strategy Replace: old replicas give way one at a time{_floored(at)}"
    if not at.full:
        return "new replicas fit beside the old ones"
    return f"{_lack(at)}; {_consequence(at)}{_floored(at)}"


def _lack(at: Situation) -> str:
    if at.room is None:
        return "no node takes a new replica beside the old ones"
    lack = shortfall(at.gpus, at.pools)
    return f"{lack}; other Models are about to take what is free" if at.promised else lack


def _consequence(at: Situation) -> str:
    if at.manner == "Surge":
        return "strategy Surge waits for room beside the old replicas"
    if at.yields and at.fitting and at.stands_still:
        return OTHERS_FIRST
    if not at.helps and at.stands_still:
        return "no old replica holds such a GPU, so none gives way"
    if at.count == 1 and not at.at_its_floor:
        return "the only replica gives way first, so nothing answers until the new is ready"
    return "old replicas give way one at a time"


def _floored(at: Situation) -> str:
    if not at.at_its_floor or at.manner == "Surge":
        return ""
    if at.replaces:
        return f", but minAvailable {at.floor} lets none go: lower it, or choose another strategy"
    return f", but minAvailable {at.floor} lets none go: waiting for room beside them"
