"""What the steps of a rollout have in common: derived figures only, nothing decided."""

from collections.abc import Mapping
from functools import cached_property

from pydantic import ValidationError

from modelfleet.api.v1alpha1.model import Model, Resources
from modelfleet.api.v1alpha1.rollout import Analysis
from modelfleet.plan.census import Census, ready_in
from modelfleet.plan.claims import room_left, waits_its_turn
from modelfleet.plan.headroom import room_for
from modelfleet.plan.pools import candidates_for
from modelfleet.plan.world import Observed, Pod


class Situation:
    """What the steps of one exchange have in common. Derived figures only, nothing decided."""

    def __init__(self, model: Model, new: Census, old: tuple[Census, ...], seen: Observed) -> None:
        self.model, self.seen = model, seen
        self.count = model.spec.replicas
        self.gpus = model.spec.resources.gpus
        self.manner = model.spec.rollout.strategy
        self.replaces = self.manner == "Replace"
        self.floor = model.spec.rollout.min_available or 0
        self.route = seen.route
        self.new, self.old = new, old
        self.pools = candidates_for(model, seen.pools)
        free = room_left(model, self.pools, seen)
        self.room = self._places() if self.replaces else free
        """Replicas that fit now; None where that is not known because no GPU is needed."""

        self.elsewhere = self.replaces and bool(free)
        """Whether new replicas would fit but for the strategy, wherever the old ones are."""

        self.promised = self.room == 0 and room_for(self.gpus, self.pools) not in (0, None)

    @property
    def analysis(self) -> Analysis:
        """How a canary is judged."""
        return self.model.spec.rollout.canary.analysis

    def reverse(self, stable: Census) -> "Situation":
        """Return the way back to one of the old revisions, whose replicas may have another size."""
        others = tuple(one for one in (*self.old, self.new) if one is not stable)
        return Situation(_as_of(stable.revision, self.model, self.seen), stable, others, self.seen)

    def _places(self) -> int:
        """Places that old replicas have left, where the new ones may have no others."""
        old = sum(len(one.alive) for one in self.old) + self.leaving
        return max(0, self.count - len(self.new.placed) - old)

    @cached_property
    def leaving(self) -> int:
        """Terminating pods of all revisions."""
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
        """Old replicas worth keeping, of all revisions."""
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
        """Whether no new replica fits beside the old ones."""
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
        """Whether an old replica holds what a new one lacks, and nobody else would get it."""
        return self.fitting and not self.yields

    @cached_property
    def yields(self) -> bool:
        """Whether replicas of another size, of other Models, come first."""
        return bool(self.gpus) and waits_its_turn(self.gpus, self.pools, self.seen)

    @cached_property
    def fitting(self) -> bool:
        """Whether an old replica holds what a new one lacks."""
        old = [pod for one in self.old for pod in one.useful]
        if not self.gpus or self.elsewhere:
            return bool(old)
        resources = {pool.pool.spec.resource_name for pool in self.pools}
        names = {pool.name for pool in self.pools}
        return any(
            _held(pod, resources) and (not pod.pools or names & set(pod.pools)) for pod in old
        )

    @cached_property
    def at_its_floor(self) -> bool:
        """Whether one ready replica less would break `minAvailable`."""
        return bool(self.floor) and self.new.ready + ready_in(self.old) - 1 < self.floor

    @cached_property
    def larger(self) -> bool:
        """Whether one old replica's GPUs are too few for a new one."""
        resources = {pool.pool.spec.resource_name for pool in self.pools}
        held = [_held(pod, resources) for one in self.old for pod in one.useful]
        return bool(self.gpus) and min(held, default=self.gpus) < self.gpus


def _held(pod: Pod, resources: set[str]) -> int:
    return sum(amount for resource, amount in pod.requests if resource in resources)


def _as_of(revision: str, model: Model, seen: Observed) -> Model:
    """Return the Model with the GPUs and pools of a kept revision, as far as they are known."""
    inputs = next((one.inputs for one in seen.revisions if one.hash == revision), {})
    if not inputs:
        return model
    try:
        resources = Resources.model_validate(inputs.get("resources", {}))
    except ValidationError:
        return model  # another version wrote it
    update = {"resources": resources, "node_pools": tuple(inputs.get("nodePools", ()))}
    return model.model_copy(update={"spec": model.spec.model_copy(update=update)})
