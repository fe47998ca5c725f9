"""However a Model came to its spec, the cluster ends up the same.

Chance edits a Model, tampers with its children, takes its pods and kills the operator between any
two writes, at any moment of a rollout. Then three promises are checked against a cluster that has
never seen anything but the last spec:

- path independence: the children are the same, but for revisions that are kept;
- recovery: back at the first spec, all is as it was at first;
- rest: once nothing happens any more, a look changes nothing.
"""

from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from support import manifests
from support.chance import examples
from support.fake_cluster import a_cluster
from support.fake_kubernetes import TEAM
from support.shapes import shape

EDITS: dict[str, list[Any]] = {
    "replicas": [0, 1, 2, 3, 4],
    "resources": [{"gpus": 0}, {"gpus": 1}, {"gpus": 2}, {"gpus": 4}, {"gpus": 5}],
    "engine": [
        {"name": "vllm"},
        {"name": "vllm", "args": ["--seed=1"]},
        {"name": "sglang"},
        {"name": "nowhere"},
    ],
    "nodePools": [[], ["h100"], ["l40s", "h100"], ["missing"]],
    "servedNames": [[], ["one", "two"]],
    "paused": [True, False, False],
    "rollout": [
        {},
        {"strategy": "Replace"},
        {"strategy": "Surge"},
        {"strategy": "BlueGreen"},
        {"strategy": "Canary"},
        {"paused": True},
    ],
    "revisionHistoryLimit": [1, 2, 10],
}
CAPABLE = {("vllm", 0), ("vllm", 2), ("sglang", 0)}
"""Engines and how many names of a model they serve, as far as specs are drawn."""


NODES = {"h100": [4, 4], "l40s": [2]}
"""GPUs of each node of each pool."""


def is_carried_out(spec: dict[str, Any]) -> bool:
    """Whether the spec can be met at once, whatever there was before."""
    return (
        not spec.get("paused")
        and spec.get("rollout", {}) in ({}, {"strategy": "Replace"})
        and (spec["engine"]["name"], len(spec.get("servedNames", []))) in CAPABLE
        and (not spec["resources"]["gpus"] or spec.get("nodePools") != ["missing"])
        and max(1, spec.get("replicas", 1)) <= _places(spec)
    )


def _places(spec: dict[str, Any]) -> int:
    """How many replicas fit. With fewer than asked, old ones that hold no GPU rightly stay."""
    gpus, pools = spec["resources"]["gpus"], spec.get("nodePools") or ["h100", "l40s"]
    nodes = [size for pool in pools for size in NODES.get(pool, [])]
    return sum(size // gpus for size in nodes) if gpus else 1000


class AnyPath(RuleBasedStateMachine):
    """A user, a clumsy administrator, and the cluster between them."""

    def __init__(self) -> None:
        super().__init__()
        self.cluster = a_cluster(**NODES)
        self.first: dict[str, Any] = {}
        self.at_first: dict[str, Any] = {}

    @property
    def spec(self) -> dict[str, Any]:
        spec: dict[str, Any] = self.cluster.get("Model", "chat")["spec"]
        return spec

    @initialize(
        gpus=st.sampled_from([0, 1, 2]),
        replicas=st.integers(1, 3),
        settles=st.booleans(),
        most_writes=st.sampled_from([None, None, 1, 2]),
    )
    def begin(self, gpus: int, replicas: int, settles: bool, most_writes: int | None) -> None:
        model = manifests.model(TEAM, resources={"gpus": gpus}, replicas=replicas)
        self.first = model["spec"]
        self.at_first = self._fresh(self.first)
        self.cluster.create(model)
        self.cluster.most_writes = most_writes
        if settles:
            self.cluster.settle()

    @rule(data=st.data(), field=st.sampled_from(sorted(EDITS)))
    def edit(self, data: st.DataObject, field: str) -> None:
        value = data.draw(st.sampled_from(EDITS[field]))
        self._set({**self.spec, field: value})

    @rule(rounds=st.integers(1, 6))
    def act(self, rounds: int) -> None:
        """Let everybody act a little, so that the next change comes in the middle of it."""
        for _ in range(rounds):
            self.cluster.step()
        self.cluster.wait()

    @rule()
    def come_to_rest(self) -> None:
        self.cluster.settle()

    @rule(data=st.data())
    def take_a_child(self, data: st.DataObject) -> None:
        children = sorted(key for key in self.cluster.children() if "Revision" not in key[0])
        if children:
            self.cluster.delete(*data.draw(st.sampled_from(children)))

    @rule(data=st.data())
    def take_a_pod(self, data: st.DataObject) -> None:
        pods = [pod.name for pod in self.cluster.pods() if not pod.terminating]
        if pods:
            name = data.draw(st.sampled_from(pods))
            self.cluster.controllers.end(self.cluster.get("Pod", name))

    @rule(count=st.integers(0, 9))
    def scale_a_deployment(self, count: int) -> None:
        for kind, name in self.cluster.children():
            if kind == "Deployment":
                self.cluster.force(kind, name, {"spec": {"replicas": count}})

    @invariant()
    def no_pod_restarts_in_place(self) -> None:
        assert self.cluster.controllers.restarts == 0

    def teardown(self) -> None:
        if self.at_first:
            self._check_path()
            self._check_recovery()

    def _check_path(self) -> None:
        self._rest()
        if is_carried_out(self.spec):
            assert shape(self.cluster) == self._fresh(self.spec)

    def _check_recovery(self) -> None:
        self._set(self.first)
        self._rest()
        assert shape(self.cluster) == self.at_first

    def _rest(self) -> None:
        self.cluster.settle()
        before = self.cluster.world.version
        self.cluster.look()
        assert self.cluster.world.version == before
        assert all(pod.serving for pod in self.cluster.pods() if pod.ready)

    def _set(self, spec: dict[str, Any]) -> None:
        left_out = {field: None for field in self.spec if field not in spec}
        replaced = {field: None for field in spec if isinstance(spec[field], dict)}
        self.cluster.force("Model", "chat", {"spec": {**replaced, **left_out}})
        self.cluster.edit("Model", "chat", {"spec": spec})

    def _fresh(self, spec: dict[str, Any]) -> dict[str, Any]:
        cluster = a_cluster(**NODES)
        cluster.create({**manifests.model(TEAM), "spec": spec})
        cluster.settle()
        return shape(cluster)


AnyPath.TestCase.settings = settings(
    max_examples=examples(25),
    stateful_step_count=10,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
TestAnyPath = AnyPath.TestCase
