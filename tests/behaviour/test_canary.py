"""What the operator promises of a canary, from the first replica to the last or back."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from modelfleet.api import labels
from modelfleet.api.conditions import Condition
from modelfleet.api.v1alpha1.model import Model
from modelfleet.api.v1alpha1.rollout import RolloutStatus
from modelfleet.plan.revision import hash_for
from support.fake_cluster import FakeCluster, a_cluster
from support.fake_kubernetes import TEAM
from support.fake_nodes import CRASH_LOOP, IMAGE_NOT_FOUND
from support.manifests import model
from support.traffic import Behaviour, Traffic

REPLICAS = 4
FIRST, SECOND, THIRD = ({"name": "vllm", "args": [f"--seed={at}"]} for at in (1, 2, 3))
STEPS = [{"weight": 25, "durationSeconds": 120}, {"weight": 50, "durationSeconds": 120}]
CANARY = {"strategy": "Canary", "canary": {"steps": STEPS}}
INTERVAL = 60

GOOD = Behaviour()
FAILING = Behaviour(errors=0.5)
SLOW = Behaviour(first_token=0.9)


@dataclass
class Life:
    """A Model, its cluster, and what its users ask of it."""

    cluster: FakeCluster
    traffic: Traffic
    stable: str
    canary: str = ""

    def change(self, engine: dict[str, Any] = SECOND, behaviour: Behaviour = GOOD) -> None:
        """Ask for another revision, whose requests will meet this."""
        self.cluster.spec(engine=engine)
        self.canary = hash_for(Model.model_validate(self.cluster.get("Model", "chat")))
        self.traffic.behaviours = {**self.traffic.behaviours, self.canary: behaviour}

    def annotate(self, key: str, value: str | None) -> None:
        self.cluster.edit("Model", "chat", {"metadata": {"annotations": {key: value}}})

    def run(self, seconds: float) -> None:
        self.traffic.run(seconds)

    def until(self, holds: Callable[[], bool], most: int = 3600) -> int:
        """Let time pass until something holds; return how many seconds it took."""
        for passed in range(0, most, 10):
            if holds():
                return passed
            self.traffic.run(10)
        raise AssertionError(f"not within {most} s: {self.told}")

    @property
    def told(self) -> RolloutStatus:
        """The rollout, as the status tells it; empty where there is none."""
        return self.cluster.status().rollout or RolloutStatus()

    @property
    def asked(self) -> dict[str, int]:
        """Revision → replicas of its Deployment."""
        return {
            one["metadata"]["labels"][labels.REVISION]: one["spec"]["replicas"]
            for (kind, _), one in self.cluster.children().items()
            if kind == "Deployment"
        }

    @property
    def bound(self) -> str | None:
        """The only revision that the Service leads to."""
        selector = self.cluster.get("Service", "chat")["spec"]["selector"]
        bound: str | None = selector.get(labels.REVISION)
        return bound

    def condition(self, kind: str) -> Condition | None:
        return self.cluster.condition("Model", "chat", kind)

    @property
    def is_promoted(self) -> bool:
        return self._is_whole(self.canary) and self.told == RolloutStatus()

    @property
    def is_back(self) -> bool:
        return self._is_whole(self.stable) and self.bound is None

    @property
    def has_failed(self) -> bool:
        return self.is_back and self.told.failed_revision == self.canary

    def _is_whole(self, revision: str) -> bool:
        pods = [pod for pod in self.cluster.pods() if pod.ready]
        return [pod.revision for pod in pods] == [revision] * self.replicas

    @property
    def replicas(self) -> int:
        replicas: int = self.cluster.get("Model", "chat")["spec"]["replicas"]
        return replicas


def served(replicas: int = REPLICAS, gpus: int = REPLICAS, **spec: Any) -> Life:
    """Return a Model that is fully ready; by default it fills the pool."""
    cluster = a_cluster(h100=[1] * gpus)
    wanted = {"resources": {"gpus": 1}, "engine": FIRST, "replicas": replicas, "rollout": CANARY}
    cluster.create(model(TEAM, **{**wanted, **spec}))
    cluster.settle()
    stable = cluster.status().stable_revision
    assert stable
    return Life(cluster, Traffic(cluster), stable)


# --- good ones -------------------------------------------------------------------------


def test_a_canary_as_good_as_stable_is_promoted_step_by_step() -> None:
    life = served()
    life.change()

    seen = []
    while not life.is_promoted:
        life.run(10)
        asked = (life.asked.get(life.canary), life.asked.get(life.stable))
        seen += [asked] if seen[-1:] != [asked] else []
        assert len(seen) < 30

    assert seen[:2] == [(1, 3), (2, 2)]
    assert life.traffic.lowest >= REPLICAS - 1
    assert life.cluster.status().stable_revision == life.canary
    assert life.condition("Stalled") is None


def test_while_a_canary_is_judged_the_model_is_ready_and_says_what_goes_on() -> None:
    life = served()
    life.change()
    life.until(lambda: life.told.step_started_at is not None)
    life.run(INTERVAL + 10)

    ready, reconciling = life.condition("Ready"), life.condition("Reconciling")
    assert ready
    assert reconciling
    assert ready.status == "True"
    assert reconciling.reason == "RollingOut"
    assert reconciling.message.startswith(
        "canary step 1 of 2: 1 new and 3 old replicas, 25 % of the requests; "
    )
    assert "rests on requests of users" in life.told.evidence
    assert life.told.weight == 25


def test_between_intervals_nothing_is_written() -> None:
    life = served()
    life.change()
    life.until(lambda: life.told.verdict is not None)

    written = []
    for _ in range(4 * INTERVAL // 10):
        before = life.cluster.world.version
        life.run(10)
        written.append(life.cluster.world.version != before)

    assert sum(written) <= 5


# --- bad ones --------------------------------------------------------------------------


@pytest.mark.parametrize("behaviour", [FAILING, SLOW], ids=["errors", "slow"])
@pytest.mark.parametrize("spare", [0, 2], ids=["full", "with room"])
def test_a_bad_canary_is_taken_back_and_not_tried_again(behaviour: Behaviour, spare: int) -> None:
    life = served(gpus=REPLICAS + spare)
    life.change(behaviour=behaviour)

    life.until(lambda: life.told.failed_revision == life.canary)
    exposed = life.traffic.taken[life.canary]
    life.run(2 * INTERVAL)

    assert life.traffic.taken[life.canary] == exposed, "all traffic went back at once"
    assert life.is_back
    stalled, ready = life.condition("Stalled"), life.condition("Ready")
    assert stalled
    assert ready
    assert (stalled.reason, ready.status) == ("RolloutFailed", "True")
    assert "modelfleet.dev/retry=<any new value>" in stalled.message
    assert "%" in stalled.message or " ms" in stalled.message

    before = life.cluster.world.version
    life.run(20 * INTERVAL)
    assert life.cluster.world.version == before


@pytest.mark.parametrize("fault", [CRASH_LOOP, IMAGE_NOT_FOUND], ids=["crash", "image"])
def test_a_canary_that_never_starts_is_given_up_and_its_gpu_is_freed(fault: Any) -> None:
    life = served()
    life.cluster.fail(fault)
    life.change()

    life.until(lambda: life.told.failed_revision == life.canary)
    life.cluster.mend()
    life.run(2 * INTERVAL)

    assert life.is_back
    assert life.condition("Stalled").reason == "RolloutFailed"  # type: ignore[union-attr]


def test_a_fail_is_told_once() -> None:
    life = served()
    life.change(behaviour=FAILING)
    life.until(lambda: life.has_failed)

    told = [one.note for one in life.cluster.notices if one.reason == "RolloutFailed"]
    assert len(told) == 1
    assert told[0].startswith(f"revision {life.canary} was given up: canary: ")


def test_traffic_is_back_within_two_intervals_of_evidence() -> None:
    life = served()
    life.change(behaviour=Behaviour(errors=1.0))
    life.until(lambda: life.told.step_started_at is not None)

    assert life.until(
        lambda: life.canary not in {p.revision for p in life.traffic.answering()}
    ) <= (30 + 2 * INTERVAL + 10)


# --- a person ----------------------------------------------------------------------------


def test_another_spec_is_tried_after_a_fail() -> None:
    life = served()
    life.change(behaviour=FAILING)
    life.until(lambda: life.has_failed)

    life.change(THIRD)

    life.until(lambda: life.is_promoted)
    assert life.condition("Stalled") is None


def test_retry_tries_again_once() -> None:
    life = served()
    life.annotate(labels.RETRY, "an old value")
    life.change(behaviour=FAILING)
    life.until(lambda: life.has_failed)

    life.annotate(labels.RETRY, "1")
    life.until(lambda: life.asked.get(life.canary, 0) > 0, most=60)
    assert life.told.failed_revision is None
    life.until(lambda: life.has_failed)

    before = life.cluster.world.version
    life.run(10 * INTERVAL)
    assert life.cluster.world.version == before
    assert life.told.retried == "1"


def test_a_step_with_a_pause_waits_for_a_person() -> None:
    paused = {"steps": [{"weight": 25, "durationSeconds": 60, "pause": {}}]}
    life = served(rollout={"strategy": "Canary", "canary": paused})
    life.change()
    life.run(3600)
    assert life.asked == {life.canary: 1, life.stable: 3}
    assert life.told.verdict == "Pass"
    assert f"modelfleet.dev/promote={life.canary}" in life.told.message

    life.annotate(labels.PROMOTE, "aaaaaaaaaa")
    life.run(INTERVAL)
    assert life.asked == {life.canary: 1, life.stable: 3}

    life.annotate(labels.PROMOTE, life.canary)
    life.until(lambda: life.is_promoted)


def test_abort_fails_by_hand_and_stays_so_until_it_is_taken_away_and_retried() -> None:
    life = served()
    life.change()
    life.until(lambda: life.told.step_started_at is not None)

    life.annotate(labels.ABORT, life.canary)
    life.until(lambda: life.has_failed, most=300)
    assert "given up by the annotation modelfleet.dev/abort" in life.told.evidence

    life.annotate(labels.RETRY, "1")
    life.run(INTERVAL)
    assert life.is_back

    life.annotate(labels.ABORT, None)
    life.run(INTERVAL)
    assert life.is_back
    life.annotate(labels.RETRY, "2")
    life.until(lambda: life.is_promoted)


@pytest.mark.parametrize("said", [labels.PROMOTE, labels.ABORT])
def test_what_a_person_says_may_stay_in_git_and_is_obeyed_once(said: str) -> None:
    life = served()
    life.change()
    life.until(lambda: life.told.step_started_at is not None)
    life.annotate(said, life.canary)
    life.until(lambda: life.is_promoted if said == labels.PROMOTE else life.has_failed)

    before = life.cluster.world.version
    life.annotate(said, life.canary)
    life.run(10 * INTERVAL)
    assert life.cluster.world.version == before

    life.change(THIRD)
    life.until(lambda: life.told.step == 2)
    assert life.told.revision == life.canary


# --- no traffic ----------------------------------------------------------------------------


def test_without_traffic_it_waits_and_says_so_and_writes_nothing() -> None:
    life = served()
    life.traffic.rate = 0
    life.change()
    life.until(lambda: life.told.verdict is not None)

    before = life.cluster.world.version
    life.run(3600)

    assert life.cluster.world.version == before
    assert life.told.verdict == "Inconclusive"
    assert "0 of at least 100 requests" in life.told.message
    assert life.asked == {life.canary: 1, life.stable: 3}

    life.traffic.rate = 20
    life.until(lambda: life.is_promoted)


@pytest.mark.parametrize(("policy", "ends"), [("Continue", "promoted"), ("Abort", "back")])
def test_what_comes_of_no_traffic_can_be_chosen(policy: str, ends: str) -> None:
    analysis = {"analysis": {"onInconclusive": policy}, "steps": STEPS}
    life = served(rollout={"strategy": "Canary", "canary": analysis})
    life.traffic.rate = 0
    life.change()

    life.until(lambda: life.is_promoted if ends == "promoted" else life.has_failed)


def test_probes_tell_what_the_engine_does_not() -> None:
    life = served()
    life.traffic.tells, life.traffic.probes = False, True
    life.change(behaviour=Behaviour(errors=1.0))

    life.until(lambda: life.told.failed_revision == life.canary)

    assert "our own probes" in life.told.evidence


# --- changes in the middle -------------------------------------------------------------------


def test_back_to_the_stable_spec_ends_the_canary_at_once() -> None:
    life = served()
    life.change()
    life.until(lambda: life.told.step == 2 and life.told.step_started_at is not None)

    life.cluster.spec(engine=FIRST)
    life.traffic.rest()

    assert {pod.revision for pod in life.traffic.answering()} == {life.stable}
    life.until(lambda: life.is_back, most=300)
    assert life.told == RolloutStatus()


def test_a_third_spec_begins_with_the_first_step_against_the_same_baseline() -> None:
    life = served()
    life.change()
    second = life.canary
    life.until(lambda: life.told.step == 2 and life.told.step_started_at is not None)

    life.change(THIRD)
    life.until(lambda: life.told.revision == life.canary and life.told.step_started_at is not None)

    assert life.told.step == 1
    assert life.asked == {life.canary: 1, life.stable: 3}
    assert second not in {pod.revision for pod in life.cluster.pods()}
    assert life.cluster.status().stable_revision == life.stable
    assert life.traffic.lowest >= 2
    life.until(lambda: life.is_promoted)


@pytest.mark.parametrize("replicas", [1, 2, 6])
def test_scaled_in_the_middle_it_goes_on(replicas: int) -> None:
    life = served(gpus=8)
    life.change()
    life.until(lambda: life.told.step == 2 and life.told.step_started_at is not None)

    life.cluster.spec(replicas=replicas)
    life.run(10)
    assert life.cluster.status().stable_revision == life.stable

    life.until(lambda: life.is_promoted)


def test_a_paused_rollout_holds_its_step_and_still_fails() -> None:
    life = served()
    life.change()
    life.until(lambda: life.told.step_started_at is not None)
    life.cluster.spec(rollout={**CANARY, "paused": True})
    life.run(3600)
    assert life.asked == {life.canary: 1, life.stable: 3}
    assert life.told.step == 1

    life.traffic.behaviours = {life.canary: FAILING}
    life.until(lambda: life.has_failed)


@pytest.mark.parametrize("step", [1, 2])
def test_a_pause_starts_nothing_and_forgets_nothing(step: int) -> None:
    life = served()
    life.change()
    if step == 2:
        life.until(lambda: life.told.step == 2)
    else:
        life.traffic.rest()
    life.cluster.spec(rollout={**CANARY, "paused": True})
    life.traffic.rest()
    held = life.asked
    life.run(1800)
    assert life.asked == held
    assert life.told.step == step

    life.cluster.spec(rollout={**CANARY, "paused": False})
    life.until(lambda: life.is_promoted)


def test_what_is_paused_can_still_be_aborted() -> None:
    life = served()
    life.change()
    life.until(lambda: life.told.step == 2)
    life.cluster.spec(rollout={**CANARY, "paused": True})
    life.run(30)

    life.annotate(labels.ABORT, life.canary)

    life.until(lambda: life.has_failed, most=300)


def test_a_paused_model_forgets_nothing() -> None:
    life = served()
    life.change()
    life.until(lambda: life.told.step == 2 and life.told.step_started_at is not None)
    life.cluster.spec(paused=True)
    life.run(600)
    assert life.told.step == 2

    life.cluster.spec(paused=False)
    life.until(lambda: life.is_promoted)


def test_a_given_up_revision_stays_so_through_a_scale_to_zero() -> None:
    life = served()
    life.change(behaviour=FAILING)
    life.until(lambda: life.has_failed)
    life.cluster.spec(replicas=0)
    life.run(120)
    assert life.cluster.pods() == []

    life.cluster.spec(replicas=2)

    life.until(lambda: life.has_failed, most=300)


def test_a_spec_that_cannot_be_met_for_a_while_forgets_no_fail() -> None:
    life = served()
    life.change(behaviour=FAILING)
    life.until(lambda: life.has_failed)
    before = life.cluster.get("GPUNodePool", "h100")
    life.cluster.spec(nodePools=None)
    life.cluster.delete("GPUNodePool", "h100")
    life.run(60)

    life.cluster.create(
        {key: one for key, one in before.items() if key != "status"}
        | {"metadata": {"name": "h100"}}
    )
    life.run(600)

    assert life.is_back


def test_a_pin_is_a_decision_and_needs_no_judge() -> None:
    life = served()
    life.change()
    life.until(lambda: life.told.step_started_at is not None)

    life.cluster.spec(rollout={**CANARY, "pinRevision": life.canary})

    life.until(lambda: life.asked == {life.canary: REPLICAS}, most=900)


# --- one replica ---------------------------------------------------------------------------------


def test_a_single_replica_without_room_waits_for_it_and_says_so() -> None:
    life = served(replicas=1, gpus=1)
    life.change()
    life.run(600)
    assert life.asked == {life.canary: 0, life.stable: 1}
    assert "needs room for a second" in life.told.message
    assert life.traffic.lowest == 1

    life.cluster.add_node("new", 1, pool="h100")
    life.until(lambda: life.is_promoted)
    assert life.traffic.lowest == 1


# --- killed ------------------------------------------------------------------------------------


@pytest.mark.parametrize("behaviour", [GOOD, FAILING], ids=["good", "bad"])
@pytest.mark.parametrize("most_writes", [1, 2, 3])
def test_killed_after_every_few_writes_it_comes_to_the_same_end(
    behaviour: Behaviour, most_writes: int
) -> None:
    life = served()
    life.cluster.most_writes = most_writes
    life.change(behaviour=behaviour)
    changes: list[tuple[int, str | None]] = [(0, None)]

    def notice() -> None:
        now = (life.asked.get(life.canary, 0), life.bound)
        changes.extend([now] if changes[-1] != now else [])

    life.traffic.on_step = notice
    for _ in range(180):
        life.run(10)
        life.cluster.claims.clear()  # all that an operator keeps in memory
        life.cluster.scrapes[:] = life.cluster.scrapes[-8:]

    stable = life.stable
    if behaviour is GOOD:
        assert life.is_promoted
        assert [count for count, _ in changes] == sorted(count for count, _ in changes)
    else:
        assert life.is_back
        assert life.told.failed_revision == life.canary
        assert changes in (
            [(0, None), (1, None), (0, stable), (0, None)],
            [(0, None), (1, None), (1, stable), (0, stable), (0, None)],
        )
    assert life.traffic.lowest >= REPLICAS - 1
