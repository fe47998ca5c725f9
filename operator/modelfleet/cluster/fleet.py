"""What a gateway knows of the cluster: Models, and the slices of their Services. It only reads."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from modelfleet.api import labels
from modelfleet.api.v1alpha1.model import Model
from modelfleet.cluster import customs, parse, rest
from modelfleet.cluster.caches import key_of
from modelfleet.cluster.children import Family
from modelfleet.cluster.store import Store
from modelfleet.plan.hold import Target, target_for
from modelfleet.plan.world import Endpoints, Key, Unreadable

KUBERNETES = "endpointslice-controller.k8s.io"
"""Who writes the slices of pods."""


@dataclass(frozen=True, slots=True)
class Slice:
    """An EndpointSlice of a Model's Service."""

    family: Family
    writer: str
    created_at: str
    endpoints: Endpoints

    @property
    def door(self) -> int | None:
        """The gateways' port, where this is the slice that leads to them."""
        return self.endpoints.port if self.writer == labels.FIELD_MANAGER else None


class Fleet:
    """Feed the stores; `changed` is told of each Model of which something is different."""

    def __init__(self, changed: Callable[[Key], None]) -> None:
        self._changed = changed
        self.models: Store[Model | Unreadable] = Store(rest.MODELS, customs.model)
        self.slices: Store[Slice] = Store(
            rest.ENDPOINT_SLICES, _slice, index={"family": _family, "door": _door}
        )
        self.models.subscribe(self._model_changed)
        self.slices.subscribe(self._slice_changed)

    def target(self, key: Key) -> Target | None:
        """Return a Model as it is now, or None where there is none that can be read."""
        model = self.models.get(key.namespace, key.name)
        if not isinstance(model, Model) or model.metadata.deletion_timestamp:
            return None
        found = self.slices.by("family", (key.namespace, key.name))
        return target_for(model, (one.endpoints for one in found if one.writer == KUBERNETES))

    def doors(self) -> frozenset[int]:
        """Return the ports that stand for Models."""
        return frozenset(port for port in self.slices.keys("door") if isinstance(port, int))

    def behind(self, door: int) -> Key | None:
        """Return the Model that a port stands for: of several, the one that had it first."""
        found = self.slices.by("door", door)
        first = min(found, key=lambda one: (one.created_at, one.family), default=None)
        return Key("Model", *first.family) if first else None

    def _model_changed(
        self, old: Model | Unreadable | None, new: Model | Unreadable | None
    ) -> None:
        if (one := new or old) is not None:
            self._changed(key_of(one))

    def _slice_changed(self, old: Slice | None, new: Slice | None) -> None:
        if (one := new or old) is not None:
            self._changed(Key("Model", *one.family))


def _slice(raw: dict[str, Any]) -> Slice:
    """Parse a slice. Raises KeyError where it is no Model's."""
    meta = raw["metadata"]
    own = meta["labels"]
    return Slice(
        family=(meta["namespace"], own[labels.MODEL]),
        writer=own.get(labels.SLICE_MANAGED_BY, ""),
        created_at=meta.get("creationTimestamp", ""),
        endpoints=parse.endpoints(raw),
    )


def _family(one: Slice) -> Family:
    return one.family


def _door(one: Slice) -> int | None:
    return one.door
