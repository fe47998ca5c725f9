"""How many replicas each live revision gets: surge where room is proven, else old first.

The promises, which the tests hold over random clusters:

- Where new replicas fit beside the old ones, ready replicas never fall below `spec.replicas`.
- On a full pool one old replica gives way at a time. The next one goes only when the GPU of the
  last one is free, a new pod has taken its place and is ready. So no pod of ours waits for a GPU
  that we hold ourselves, and a revision that never becomes ready costs one replica.
- With fewer GPUs than `spec.replicas`, or when somebody else takes a GPU that we gave up, the
  rollout goes on with what is there, and leaves at least one ready replica.

Nothing is remembered: the answer follows from pods, Deployments and free GPUs alone. Carried out
and asked again before anything else has happened, it comes to rest at once or after a few looks.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property

from modelfleet.api.v1alpha1.model import Model
from modelfleet.plan.census import Census, census_of, old_revisions, ready_in
from modelfleet.plan.claims import taken_by
from modelfleet.plan.headroom import room_for, shortfall
from modelfleet.plan.pools import candidates_for
from modelfleet.plan.world import Observed, Pod, Pool

SURGE_SHARE = 4
"""Without GPUs the room for a replica is not known, so one in four is added at a time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rollout:
    """The answer. A revision with 0 replicas is on its way out."""

    replicas: Mapping[str, int]
    """Revision hash → replicas of its Deployment."""
    because: str
    waits_for_capacity: bool = False
    """A free GPU would be used at once."""
    done: bool = False
    """Nothing of another revision is left."""


def rollout_for(model: Model, wanted: str | None, seen: Observed) -> Rollout:
    """Return the replicas of each live revision. `wanted` is None while the spec cannot be met."""
    if model.spec.paused:
        asked = {one: deployment.replicas for one, deployment in seen.deployments.items()}
        return Rollout(replicas=asked, because="spec.paused holds everything as it is")
    if wanted is None:
        return _kept(model, seen)
    old = old_revisions(wanted, seen)
    emptied = dict.fromkeys(seen.deployments, 0)
    if not old:
        return Rollout(
            replicas={**emptied, wanted: model.spec.replicas},
            because=f"revision {wanted} is the only one",
            done=True,
        )
    step = _exchange(_Situation(model, census_of(wanted, seen), old, seen))
    return replace(step, replicas={**emptied, **step.replicas})


def _kept(model: Model, seen: Observed) -> Rollout:
    """Leave what runs alone; only the revision that was fully ready last follows spec.replicas."""
    count = model.spec.replicas
    asked = {one: min(count, live.replicas) for one, live in sorted(seen.deployments.items())}
    if not asked:
        return Rollout(replicas={}, because="the spec cannot be met and nothing runs", done=True)
    stable = model.status.stable_revision
    if stable not in asked:
        stable = max(asked, key=lambda one: (census_of(one, seen).ready, asked[one], one))
    asked[stable] = max(asked[stable], count - (sum(asked.values()) - asked[stable]))
    return Rollout(
        replicas=asked,
        because=f"the spec cannot be met, so revision {stable} stays",
        done=len(asked) == 1,
    )


def _exchange(at: "_Situation") -> Rollout:
    """Take the next step from the old revisions to the new one."""
    new = _new_replicas(at)
    replicas = {at.new.revision: new, **_share(at, _old_replicas(at))}
    return Rollout(
        replicas=replicas,
        because=_because(at),
        waits_for_capacity=at.room is not None and new < at.count,
    )


class _Situation:
    """What the steps of one exchange have in common. Derived figures only, nothing decided."""

    def __init__(self, model: Model, new: Census, old: tuple[Census, ...], seen: Observed) -> None:
        self.count = model.spec.replicas
        self.gpus = model.spec.resources.gpus
        self.new, self.old = new, old
        self.pools = candidates_for(model, seen.pools)
        self.room = _unclaimed(self.gpus, self.pools, seen)
        """Replicas that fit now; None where that is not known because no GPU is needed."""

        self.promised = self.room == 0 and room_for(self.gpus, self.pools) != 0

    @cached_property
    def leaving(self) -> int:
        return self.new.leaving + sum(one.leaving for one in self.old)

    @cached_property
    def keepable(self) -> Mapping[str, int]:
        """Old revision → replicas worth keeping.

        Pods without a node and pods that fail again and again serve nobody. While the new
        revision fails as well, nothing is judged: the old one may be on its way back.
        """
        if self.new.broken:
            return {one.revision: one.asked for one in self.old}
        return {one.revision: min(one.asked, len(one.useful)) for one in self.old}

    @cached_property
    def kept(self) -> int:
        return sum(self.keepable.values())

    @cached_property
    def missing(self) -> int:
        """Replicas that neither the new ready ones nor the kept old ones make up for."""
        return self.count - self.new.ready - self.kept

    @cached_property
    def unpaid(self) -> int:
        """Room for replicas that no pod of ours is about to take."""
        pending = self.new.unplaced + sum(self._about_to_be_placed(one) for one in self.old)
        return max(0, (self.room or 0) - pending)

    def _about_to_be_placed(self, old: Census) -> int:
        """A pod that is there may get a node even while its Deployment shrinks."""
        present = max(self.keepable[old.revision], len(old.alive))
        return max(0, present - len(old.placed))

    @cached_property
    def settled(self) -> bool:
        """Whether earlier steps have had their effect: no pod leaves and none is loading."""
        everyone = (self.new, *self.old)
        releasing = self.leaving or any(len(one.alive) > one.asked for one in everyone)
        dropping = any(self.keepable[one.revision] < one.asked for one in self.old)
        return not releasing and not dropping and not self.new.in_flight

    @cached_property
    def full(self) -> bool:
        return self.room == 0 or self.new.blocked

    @cached_property
    def fruitless(self) -> bool:
        """Whether the new revision has failed without one replica ever being ready now."""
        return self.new.broken and not self.new.ready

    @cached_property
    def stands_still(self) -> bool:
        """Whether nothing will happen unless an old replica gives way."""
        return self.settled and self.full and self.new.ready < self.count

    @cached_property
    def overtaken(self) -> bool:
        """Whether what we gave up did not come to us, or there never were enough GPUs."""
        waiting = self.new.asked - self.new.ready
        return self.stands_still and self.missing > 0 and not waiting

    @cached_property
    def helps(self) -> bool:
        """Whether an old replica holds what a new one lacks."""
        old = [pod for one in self.old for pod in one.useful]
        if self.room is None:
            return bool(old)
        resources = {pool.pool.spec.resource_name for pool in self.pools}
        names = {pool.name for pool in self.pools}
        return any(
            _held(pod, resources) and (not pod.pools or names & set(pod.pools)) for pod in old
        )

    @cached_property
    def larger(self) -> bool:
        """Whether one old replica's GPUs are too few for a new one."""
        resources = {pool.pool.spec.resource_name for pool in self.pools}
        held = [_held(pod, resources) for one in self.old for pod in one.useful]
        return bool(self.gpus) and min(held, default=self.gpus) < self.gpus


def _unclaimed(gpus: int, pools: tuple[Pool, ...], seen: Observed) -> int | None:
    room = room_for(gpus, pools)
    return None if room is None else max(0, room - taken_by(seen.claims, gpus, pools))


def _held(pod: Pod, resources: set[str]) -> int:
    return sum(amount for resource, amount in pod.requests if resource in resources)


def _new_replicas(at: _Situation) -> int:
    """Never fewer than asked before: taking pods back and forth would help nobody."""
    wish = max(at.new.asked, _surge(at), at.new.asked + at.overtaken)
    return min(at.count, wish)


def _surge(at: _Situation) -> int:
    if at.fruitless:
        return at.new.asked
    if at.room is not None:
        return at.new.asked + at.unpaid
    extra = -(-at.count // SURGE_SHARE)
    present = sum(max(at.keepable[one.revision], len(one.alive)) for one in at.old)
    return at.new.asked if at.new.blocked else at.count + extra - present - at.leaving


def _old_replicas(at: _Situation) -> int:
    """Return how many old replicas stay in all."""
    needed = max(0, at.count - at.new.ready)
    if at.new.broken:
        spare = at.unpaid if at.room is not None else needed
        return min(needed, at.kept + (spare if at.fruitless else 0))
    return max(0, min(needed, at.kept) - _gives_way(at))


def _gives_way(at: _Situation) -> int:
    """Return 1 where an old replica must go so that the exchange goes on, else 0."""
    if not at.stands_still or not at.helps or at.missing < 0:
        return 0  # below 0, some are not needed any more and go first
    if at.missing == 0:
        return 1
    if at.larger and at.room == 0:
        return 1  # until enough of its neighbours are gone as well
    others_ready = at.new.ready + ready_in(at.old) - 1
    return int(at.overtaken and others_ready > 0)


def _share(at: _Situation, total: int) -> dict[str, int]:
    """Share `total` among the old revisions: those first in removal order lose first."""
    shares = dict(at.keepable)
    excess = at.kept - total
    for one in at.old:
        lost = min(shares[one.revision], max(0, excess))
        shares[one.revision] -= lost
        excess -= lost
    if excess < 0:
        shares[at.old[-1].revision] -= excess
    return shares


def _because(at: _Situation) -> str:
    if at.new.broken:
        return f"revision {at.new.revision} fails, so the old replicas stay"
    if len(at.new.placed) >= at.count:
        return "every new replica has its place, and the old ones leave as those become ready"
    if not at.full:
        return "new replicas fit beside the old ones"
    if at.room is None:
        return "no node takes a new replica beside the old ones, so they give way one at a time"
    lack = shortfall(at.gpus, at.pools)
    if at.promised:
        lack = f"{lack}; other Models are about to take what is free"
    if not at.helps and at.stands_still:
        return f"{lack}; no old replica holds such a GPU, so none gives way"
    if at.count == 1:
        return (
            f"{lack}; the only replica gives way first, so nothing answers until the new is ready"
        )
    return f"{lack}; old replicas give way one at a time"
