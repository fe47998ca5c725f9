"""However a canary is disturbed, it ends: with all replicas, or back and given up.

Chance edits the Model, annotates it, takes its pods, lets time pass and kills the operator between
any two writes. Promises that hold at every moment:

- requests are answered by at least one replica, once the Model has served;
- a revision that was given up gets no request, once the operator has looked.

And at the end: left alone, with requests, the rollout comes to an end, and then nothing is written.
"""

from typing import Any

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from modelfleet.api import labels
from modelfleet.api.v1alpha1.model import Model
from modelfleet.plan.revision import hash_for
from support.chance import examples
from support.fake_cluster import a_cluster
from support.fake_kubernetes import TEAM
from support.manifests import model
from support.traffic import Behaviour, Traffic

GOOD, BAD, OTHER = ({"name": "vllm", "args": [f"--seed={at}"]} for at in (1, 2, 3))
STEPS = [{"weight": 25, "durationSeconds": 60}, {"weight": 60, "durationSeconds": 60}]
ROLLOUT = {
    "strategy": "Canary",
    "paused": False,
    "canary": {"steps": STEPS, "analysis": {"intervalSeconds": 30, "warmUpSeconds": 10}},
}
REVISIONS = st.sampled_from([GOOD, BAD, OTHER])
HOUR = 3600


class AnyCanary(RuleBasedStateMachine):
    """A user, chance, and the cluster between them."""

    def __init__(self) -> None:
        super().__init__()
        self.cluster = a_cluster(h100=[1] * 6)
        self.traffic = Traffic(self.cluster)

    @initialize(replicas=st.integers(2, 6), most_writes=st.sampled_from([None, None, 1, 2]))
    def begin(self, replicas: int, most_writes: int | None) -> None:
        spec = {"resources": {"gpus": 1}, "replicas": replicas, "rollout": ROLLOUT}
        self.cluster.create(model(TEAM, engine=GOOD, **spec))
        self.cluster.settle()
        self.cluster.spec(engine=BAD)
        self.traffic.behaviours = {self.wanted: Behaviour(errors=0.6)}
        self.cluster.spec(engine=GOOD)
        self.cluster.most_writes = most_writes
        self.traffic.on_step = self._check

    @property
    def wanted(self) -> str:
        return hash_for(Model.model_validate(self.cluster.get("Model", "chat")))

    @property
    def given_up(self) -> str | None:
        rollout = self.cluster.status().rollout
        return rollout.failed_revision if rollout else None

    def _check(self) -> None:
        """The operator, the controllers and the nodes have just acted once."""
        ready = {pod.revision for pod in self.cluster.pods() if pod.ready and pod.serving}
        answering = {pod.revision for pod in self.traffic.answering()}
        assert answering or not ready, "the Service leads to nobody although somebody is ready"

    # --- what happens -----------------------------------------------------------------

    @rule(engine=REVISIONS)
    def change(self, engine: dict[str, Any]) -> None:
        self.cluster.spec(engine=engine)

    @rule(minutes=st.integers(1, 6), requests=st.booleans())
    def wait(self, minutes: int, requests: bool) -> None:
        self.traffic.rate = 20 if requests else 0
        self.traffic.run(60 * minutes)
        if self.given_up == self.wanted:
            answering = self.traffic.answering()
            others = [pod for pod in answering if pod.revision != self.given_up]
            assert not others or others == answering

    @rule(replicas=st.integers(1, 6))
    def scale(self, replicas: int) -> None:
        self.cluster.spec(replicas=replicas)

    @rule(paused=st.booleans())
    def pause(self, paused: bool) -> None:
        self.cluster.spec(rollout={**ROLLOUT, "paused": paused})

    @rule(
        key=st.sampled_from([labels.PROMOTE, labels.ABORT, labels.RETRY]),
        value=st.sampled_from(["wanted", "other", "1", "2"]),
    )
    def say(self, key: str, value: str) -> None:
        self._annotate(key, self.wanted if value == "wanted" else value)

    @rule(data=st.data())
    def take_a_pod(self, data: st.DataObject) -> None:
        pods = [pod.name for pod in self.cluster.pods() if not pod.terminating]
        if pods:
            name = data.draw(st.sampled_from(pods))
            self.cluster.controllers.end(self.cluster.get("Pod", name))

    @rule()
    def restart_the_operator(self) -> None:
        self.cluster.claims.clear()
        self.cluster.scrapes.clear()

    # --- the end ----------------------------------------------------------------------

    def teardown(self) -> None:
        if not self.cluster.children():
            return
        self._annotate(labels.ABORT, None)
        self.pause(False)
        self.traffic.rate = 20
        self.traffic.run(HOUR)
        replicas = self.cluster.get("Model", "chat")["spec"]["replicas"]
        serving = [pod.revision for pod in self.traffic.answering()]
        if self.given_up is None and replicas < 6:  # one replica needs room for a second
            assert serving == [self.wanted] * replicas
        elif self.given_up is not None:
            assert self.given_up == self.wanted
            assert serving == [self.cluster.status().stable_revision] * replicas
        before = self.cluster.world.version
        self.traffic.run(HOUR / 4)
        assert self.cluster.world.version == before

    def _annotate(self, key: str, value: str | None) -> None:
        self.cluster.edit("Model", "chat", {"metadata": {"annotations": {key: value}}})


AnyCanary.TestCase.settings = settings(
    max_examples=examples(12),
    stateful_step_count=12,
    deadline=None,
    phases=(Phase.explicit, Phase.reuse, Phase.generate, Phase.shrink),
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
TestAnyCanary = AnyCanary.TestCase
