"""The index of GPUs, which follows events, equals a count from scratch after each of them."""

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from modelfleet.api.v1alpha1.gpunodepool import GPUNodePool, GPUNodePoolStatus
from modelfleet.cluster.gpus import GpuIndex
from modelfleet.plan.world import Node, Pod
from support.builders import GPU, a_node, a_pending_pod, a_pod, a_pool_object
from support.chance import examples
from support.gpu_count import counted, members_of


class Freed:
    """Counts how often it was called."""

    def __init__(self) -> None:
        self.times = 0

    def __call__(self) -> None:
        self.times += 1


def an_index(**gpus: int) -> tuple[GpuIndex, Freed]:
    """Return the index of a pool h100 with these nodes."""
    freed = Freed()
    index = GpuIndex(freed)
    index.pool_changed("h100", a_pool_object("h100"))
    for name, count in gpus.items():
        index.node_changed(None, a_node(name, count))
    freed.times = 0
    return index, freed


# --- pods ------------------------------------------------------------------------------


def test_a_pod_takes_its_gpus_when_it_gets_a_node() -> None:
    index, freed = an_index(n1=8)
    pending = a_pending_pod(requests=((GPU, 2),))

    assert index.pod_changed(None, pending) == ()
    assert index.pod_changed(pending, a_pod(node="n1", requests=((GPU, 2),))) == ("h100",)

    assert (index.pool("h100").allocated, index.pool("h100").free_blocks) == (2, {6: 1})
    assert freed.times == 0


def test_a_pod_holds_its_gpus_until_it_is_gone() -> None:
    index, freed = an_index(n1=8)
    pod = a_pod(node="n1")
    index.pod_changed(None, pod)
    leaving = replace(pod, terminating=True)

    assert index.pod_changed(pod, leaving) == ()
    assert (index.pool("h100").allocated, freed.times) == (1, 0)

    assert index.pod_changed(leaving, None) == ("h100",)
    assert (index.pool("h100").allocated, freed.times) == (0, 1)


def test_a_pod_that_ended_for_good_holds_nothing() -> None:
    index, freed = an_index(n1=8)
    pod = a_pod(node="n1")
    index.pod_changed(None, pod)

    assert index.pod_changed(pod, replace(pod, finished=True)) == ("h100",)

    assert (index.pool("h100").allocated, freed.times) == (0, 1)


def test_a_pod_without_gpus_touches_no_pool() -> None:
    index, freed = an_index(n1=8)
    pod = a_pod(node="n1", requests=())

    assert index.pod_changed(None, pod) == ()
    assert index.pod_changed(pod, None) == ()
    assert freed.times == 0


def test_pods_may_be_known_before_their_node_and_the_node_before_its_pool() -> None:
    index = GpuIndex(Freed())
    index.pod_changed(None, a_pod(node="n1"))
    index.node_changed(None, a_node("n1", 8))

    index.pool_changed("h100", a_pool_object("h100"))

    assert (index.pool("h100").total, index.pool("h100").allocated) == (8, 1)


# --- nodes -----------------------------------------------------------------------------


def test_a_node_that_is_not_ready_takes_its_gpus_out_and_brings_them_back() -> None:
    index, freed = an_index(n1=8, n2=4)
    ready = a_node("n1", 8)
    lost = replace(ready, ready=False)

    assert index.node_changed(ready, lost) == ("h100",)
    assert (index.pool("h100").total, index.pool("h100").largest_node) == (4, 8)

    freed.times = 0
    index.node_changed(lost, ready)
    assert (index.pool("h100").total, freed.times) == (12, 1)


def test_a_deleted_node_is_no_member_any_more_and_its_pods_are_forgotten_with_it() -> None:
    index, _ = an_index(n1=8)
    node, pod = a_node("n1", 8), a_pod(node="n1")
    index.pod_changed(None, pod)

    index.node_changed(node, None)
    assert (index.pool("h100").nodes, index.pools_of("n1"), index.node("n1")) == (0, (), None)

    index.pod_changed(pod, None)
    index.node_changed(None, node)
    assert index.pool("h100").allocated == 0


def test_a_node_that_changes_its_labels_changes_its_pool() -> None:
    index, _ = an_index(n1=8)
    index.pool_changed("l40s", a_pool_object("l40s"))
    before = a_node("n1", 8)
    after = replace(before, labels={"pool": "l40s"})

    assert set(index.node_changed(before, after)) == {"h100", "l40s"}

    assert (index.pool("h100").nodes, index.pool("l40s").nodes) == (0, 1)


def test_the_same_node_again_is_no_news() -> None:
    """A kubelet reports every few minutes; nothing that counts has changed."""
    index, freed = an_index(n1=8)

    assert index.node_changed(a_node("n1", 8), a_node("n1", 8)) == ()
    assert freed.times == 0


# --- pools -----------------------------------------------------------------------------


def test_a_pool_that_goes_is_unknown() -> None:
    index, _ = an_index(n1=8)

    index.pool_changed("h100", None)

    assert "h100" not in index
    assert index.pools() == {}
    assert index.pools_of("n1") == ()


def test_two_pools_on_one_node_know_of_each_other_until_one_goes() -> None:
    index, _ = an_index(n1=8)
    everything = a_pool_object("all")
    everything = everything.model_copy(
        update={"spec": everything.spec.model_copy(update={"node_selector": {"pool": "h100"}})}
    )

    assert set(index.pool_changed("all", everything)) == {"all", "h100"}
    assert index.pool("h100").shared_with == ("all",)
    assert index.pool("all").shared_node == "n1"

    assert set(index.pool_changed("all", None)) == {"h100"}
    assert index.pool("h100").shared_with == ()


def test_figures_are_reckoned_once_for_each_change() -> None:
    index, _ = an_index(n1=8, n2=4)
    first = index.pool("h100")

    assert index.pool("h100") is first
    index.pod_changed(None, a_pod(node="nowhere"))
    assert index.pool("h100") is first
    index.pod_changed(None, a_pod("other", node="n2"))
    assert index.pool("h100") is not first


# --- any order of events ---------------------------------------------------------------


NAMES = st.sampled_from(["n1", "n2", "n3"])
POOLS = st.sampled_from(["h100", "l40s", "all"])
RESOURCES = st.sampled_from([GPU, "amd.com/gpu"])
SELECTORS: dict[str, list[dict[str, str]]] = {
    "h100": [{"pool": "h100"}, {"pool": "h100", "zone": "a"}],
    "l40s": [{"pool": "l40s"}],
    "all": [{"zone": "a"}, {"pool": "h100"}],
}


class AnyEvents(RuleBasedStateMachine):
    """Events of pods, nodes and pools in any order, each also twice or about what is unknown."""

    def __init__(self) -> None:
        super().__init__()
        self.index = GpuIndex(lambda: None)
        self.nodes: dict[str, Node] = {}
        self.pods: dict[str, Pod] = {}
        self.pools: dict[str, GPUNodePool] = {}

    @rule(
        name=NAMES,
        gpus=st.integers(0, 8),
        resource=RESOURCES,
        labels=st.fixed_dictionaries(
            {"pool": st.sampled_from(["h100", "l40s"]), "zone": st.sampled_from("ab")}
        ),
        ready=st.booleans(),
        schedulable=st.booleans(),
    )
    def node(self, name: str, gpus: int, resource: str, **facts: Any) -> None:
        self._node(name, Node(name=name, allocatable=((resource, gpus),), **facts))

    @rule(name=NAMES)
    def no_node(self, name: str) -> None:
        self._node(name, None)

    @rule(
        name=st.sampled_from(["p1", "p2", "p3", "p4"]),
        node=NAMES | st.none(),
        requests=st.lists(
            st.tuples(RESOURCES, st.integers(1, 4)), max_size=2, unique_by=lambda r: r[0]
        ),
        terminating=st.booleans(),
        finished=st.booleans(),
    )
    def pod(self, name: str, requests: Iterable[tuple[str, int]], **facts: Any) -> None:
        self._pod(name, a_pod(name, requests=tuple(sorted(requests)), **facts))

    @rule(name=st.sampled_from(["p1", "p2", "p3", "p4"]))
    def no_pod(self, name: str) -> None:
        self._pod(name, None)

    @rule(name=POOLS, data=st.data(), resource=RESOURCES)
    def pool(self, name: str, data: st.DataObject, resource: str) -> None:
        selector = data.draw(st.sampled_from(SELECTORS[name]))
        pool = a_pool_object(name, nodeSelector=selector, resourceName=resource)
        self._pool(name, pool)

    @rule(name=POOLS)
    def no_pool(self, name: str) -> None:
        self._pool(name, None)

    def _node(self, name: str, new: Node | None) -> None:
        before = self._figures()
        told = self.index.node_changed(self.nodes.pop(name, None), new)
        if new:
            self.nodes[name] = new
        self._check_told(before, told)

    def _pod(self, name: str, new: Pod | None) -> None:
        before = self._figures()
        told = self.index.pod_changed(self.pods.pop(name, None), new)
        if new:
            self.pods[name] = new
        self._check_told(before, told)

    def _pool(self, name: str, new: GPUNodePool | None) -> None:
        before = self._figures()
        self.pools.pop(name, None)
        told = self.index.pool_changed(name, new)
        if new:
            self.pools[name] = new
        self._check_told(before, told)

    def _figures(self) -> dict[str, Any]:
        return dict(counted(self.pools.values(), self.nodes.values(), self.pods.values()))

    def _check_told(self, before: dict[str, Any], told: tuple[str, ...]) -> None:
        """Whose figures changed is woken; whoever is woken exists."""
        after = self._figures()
        changed = {name for name in after if after[name] != before.get(name)}
        assert changed <= set(told)
        assert set(told) <= set(after)

    @invariant()
    def it_equals_a_count_from_scratch(self) -> None:
        assert dict(self.index.pools()) == self._figures()
        for name in ("n1", "n2", "n3"):
            claimed = {
                pool.metadata.name
                for pool in self.pools.values()
                if name in members_of(pool, self.nodes.values())
            }
            assert set(self.index.pools_of(name)) == claimed


AnyEvents.TestCase.settings = settings(
    max_examples=examples(40),
    stateful_step_count=25,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
TestAnyEvents = AnyEvents.TestCase


def test_a_pool_is_known_with_the_status_that_it_was_given_last() -> None:
    """A verdict keeps the transition time of the last one, so it must be the last one."""
    index, freed = an_index(n1=8)
    told = a_pool_object("h100").model_copy(update={"status": GPUNodePoolStatus(nodes=7)})

    index.pool_reported(told)

    assert index.pool("h100").pool.status.nodes == 7
    assert index.pool("h100").total == 8
    assert freed.times == 0
