"""Everything that is watched, and which keys a change wakes. Nothing is decided here."""

from collections.abc import Callable, Mapping
from typing import Any

from modelfleet.api import labels
from modelfleet.api.v1alpha1.autoscalingpolicy import AutoscalingPolicy
from modelfleet.api.v1alpha1.engine import Engine
from modelfleet.api.v1alpha1.gpunodepool import GPUNodePool
from modelfleet.api.v1alpha1.model import Model
from modelfleet.cluster import children, customs, parse, rest
from modelfleet.cluster.children import Child
from modelfleet.cluster.gateways import Gateways
from modelfleet.cluster.gpus import GpuIndex
from modelfleet.cluster.rest import Resource
from modelfleet.cluster.store import Store
from modelfleet.plan.sleep import may_sleep
from modelfleet.plan.world import Claim, Key, Namespace, Node, Pod, Unreadable

Wake = Callable[[Key, float], None]
"""Takes the key and in how many seconds at the latest it should be looked at."""

CHILDREN = (
    rest.CONTROLLER_REVISIONS,
    rest.SERVICE_ACCOUNTS,
    rest.SERVICES,
    rest.DISRUPTION_BUDGETS,
    rest.DEPLOYMENTS,
    rest.ENDPOINT_SLICES,
)

POOL_PAUSE = 1.0
"""Seconds in which changes of a pool's figures become one: a rollout binds many pods at once."""

CAPACITY_PAUSE = 0.2
"""The same for Models that wait for a GPU."""

POD_PAUSE = 0.05
"""Several conditions of one pod change within milliseconds."""

GATEWAY_PAUSE = 0.1
"""Gateways come and go together, in a rollout of theirs."""


class Caches:
    """The stores of all kinds and the index of GPUs. Feed the stores and they do the rest."""

    def __init__(self, wake: Wake) -> None:
        self._wake = wake
        self.waiting: set[Key] = set()
        """Models to wake when a GPU becomes free."""
        self._claims: dict[Key, Claim] = {}
        self.gpus = GpuIndex(self._freed)
        self.gateways = Gateways()
        self.models: Store[Model | Unreadable] = Store(
            rest.MODELS,
            customs.model,
            index={"engine": _engine_of, "policy": _policy_of},
            with_managed_fields=True,
        )
        self.pools: Store[GPUNodePool] = Store(rest.GPU_NODE_POOLS, customs.pool)
        self.engines: Store[Engine] = Store(rest.ENGINES, customs.engine)
        self.policies: Store[AutoscalingPolicy] = Store(rest.AUTOSCALING_POLICIES, customs.policy)
        self.pods: Store[Pod] = Store(
            rest.PODS, parse.pod, index={"model": _family_of, "node": _node_of}
        )
        self.nodes: Store[Node] = Store(rest.NODES, parse.node)
        self.namespaces: Store[Namespace] = Store(rest.NAMESPACES, parse.namespace)
        self.children: dict[str, Store[Child]] = {
            resource.kind: Store(resource, _with_kind(resource), index={"model": _family})
            for resource in CHILDREN
        }
        self._subscribe()
        self.gateways.subscribe(self._gateways_changed)

    def customs(self) -> Mapping[str, Store[Any]]:
        """Return the stores of our own kinds, by kind."""
        return {
            "Model": self.models,
            "GPUNodePool": self.pools,
            "Engine": self.engines,
            "AutoscalingPolicy": self.policies,
        }

    def of_no_namespace(self) -> tuple[Store[Any], ...]:
        """Return the stores of what belongs to no namespace."""
        return (self.pools, self.engines, self.nodes, self.namespaces)

    def note_claim(self, key: Key, claim: Claim | None) -> None:
        """Remember what a Model is about to take, or that it takes nothing more."""
        if claim is not None:
            self._claims[key] = claim
        elif self._claims.pop(key, None) is not None:
            self._freed()

    def claims_of_others(self, key: Key) -> tuple[Claim, ...]:
        """Return the claims of all Models but one."""
        return tuple(claim for other, claim in self._claims.items() if other != key)

    def _subscribe(self) -> None:
        self.models.subscribe(self._model_changed)
        self.pools.subscribe(self._pool_changed)
        self.engines.subscribe(self._engine_changed)
        self.policies.subscribe(self._policy_changed)
        self.pods.subscribe(self._pod_changed)
        self.nodes.subscribe(self._node_changed)
        for store in self.children.values():
            store.subscribe(self._child_changed)

    def _model_changed(
        self, old: Model | Unreadable | None, new: Model | Unreadable | None
    ) -> None:
        if (one := new or old) is not None:
            key = key_of(one)
            if new is None:
                self.waiting.discard(key)
                self.note_claim(key, None)
                self.gateways.free_port(key)
            self._wake(key, 0.0)

    def _pool_changed(self, old: GPUNodePool | None, new: GPUNodePool | None) -> None:
        one = new or old
        if one is None:
            return
        if old and new and old.spec == new.spec and old.status != new.status:
            self.gpus.pool_reported(new)  # our own status
            return
        self._wake_pools(self.gpus.pool_changed(one.metadata.name, new))
        for model in self.models:
            if isinstance(model, Model) and model.spec.resources.gpus:
                self._wake(key_of(model), 0.0)

    def _engine_changed(self, old: Engine | None, new: Engine | None) -> None:
        one = new or old
        if one is None:
            return
        self._wake(Key("Engine", "", one.metadata.name), 0.0)
        for model in self.models.by("engine", one.metadata.name):
            self._wake(key_of(model), 0.0)

    def _policy_changed(self, old: AutoscalingPolicy | None, new: AutoscalingPolicy | None) -> None:
        one = new or old
        if one is None:
            return
        where = (one.metadata.namespace, one.metadata.name)
        self._wake(Key("AutoscalingPolicy", *where), 0.0)
        if old is None or new is None or old.spec != new.spec:
            for model in self.models.by("policy", where):
                self._wake(key_of(model), 0.0)

    def _pod_changed(self, old: Pod | None, new: Pod | None) -> None:
        self._wake_pools(self.gpus.pod_changed(old, new))
        if (one := new or old) is not None and one.model:
            self._wake(Key("Model", one.namespace, one.model), POD_PAUSE)

    def _node_changed(self, old: Node | None, new: Node | None) -> None:
        self._wake_pools(self.gpus.node_changed(old, new))
        if old and new and old.ready == new.ready:
            return
        if (one := new or old) is not None:
            for pod in self.pods.by("node", one.name):
                if pod.model:
                    self._wake(Key("Model", pod.namespace, pod.model), 0.0)

    def _child_changed(self, old: Child | None, new: Child | None) -> None:
        if (one := new or old) is not None:
            key = Key("Model", *one.family)
            if one.is_activator and one.endpoints is not None:
                self.gateways.note_port(key, one.endpoints.port)
            self._wake(key, POD_PAUSE if old and new else 0.0)

    def _gateways_changed(self) -> None:
        for model in self.models:
            if isinstance(model, Model) and (may_sleep(model) or key_of(model) in self.gateways):
                self._wake(key_of(model), GATEWAY_PAUSE)

    def _wake_pools(self, names: tuple[str, ...]) -> None:
        for name in names:
            self._wake(Key("GPUNodePool", "", name), POOL_PAUSE)

    def _freed(self) -> None:
        for key in self.waiting:
            self._wake(key, CAPACITY_PAUSE)


def key_of(model: Model | Unreadable) -> Key:
    """Return the key under which a Model is worked on."""
    if isinstance(model, Unreadable):
        return model.key
    return Key("Model", model.metadata.namespace, model.metadata.name)


def _engine_of(model: Model | Unreadable) -> str | None:
    return model.spec.engine.name if isinstance(model, Model) else None


def _policy_of(model: Model | Unreadable) -> tuple[str, str] | None:
    if not isinstance(model, Model) or model.spec.autoscaling is None:
        return None
    return model.metadata.namespace, model.spec.autoscaling.policy_ref.name


def _family_of(pod: Pod) -> children.Family | None:
    return (pod.namespace, pod.model) if pod.model else None


def _node_of(pod: Pod) -> str | None:
    return pod.node if pod.model else None


def _family(child: Child) -> children.Family:
    return child.family


def _with_kind(resource: Resource) -> Callable[[dict[str, Any]], Child]:
    """List items carry no kind; the store knows it."""

    def parse_child(raw: dict[str, Any]) -> Child:
        return children.child({"apiVersion": resource.api_version, "kind": resource.kind, **raw})

    return parse_child


OURS = f"{labels.MANAGED_BY}={labels.FIELD_MANAGER}"
"""The label selector of the watches on our children."""
