"""What a replica can write to, and the weights that are mounted for it."""

from collections.abc import Iterator
from dataclasses import dataclass

from modelfleet.api.v1alpha1.engine import Engine
from modelfleet.api.v1alpha1.model import Model, Source
from modelfleet.plan import weights
from modelfleet.plan.world import Manifest


@dataclass(frozen=True, slots=True)
class Mount:
    """A volume and where the engine sees it."""

    name: str
    path: str
    volume: Manifest
    read_only: bool = False

    def as_volume(self) -> Manifest:
        """Return the entry of the pod's volumes."""
        return {"name": self.name, **self.volume}

    def as_mount(self) -> Manifest:
        """Return the entry of the container's mounts."""
        read_only = {"readOnly": True} if self.read_only else {}
        return {"name": self.name, "mountPath": self.path, **read_only}


def mounts_for(model: Model, engine: Engine) -> list[Mount]:
    """Return the writable directories, then the weights, read-only."""
    return [
        Mount("cache", weights.CACHE, {"emptyDir": {}}),
        Mount("tmp", "/tmp", {"emptyDir": {}}),
        Mount("shm", "/dev/shm", {"emptyDir": _memory(model, engine)}),
        *_weights(model),
    ]


def _memory(model: Model, engine: Engine) -> Manifest:
    """Tensor-parallel workers talk through it; what is in it counts as the container's memory."""
    size = model.spec.resources.shared_memory or engine.spec.defaults.shared_memory
    return {"medium": "Memory", **({"sizeLimit": size} if size else {})}


def _weights(model: Model) -> Iterator[Mount]:
    if volume := _volume(model.spec.source):
        yield Mount("model", weights.MODEL_MOUNT, volume, read_only=True)
    for index, adapter in enumerate(model.spec.adapters):
        if volume := _volume(adapter.source):
            yield Mount(f"adapter-{index}", weights.adapter_mount(adapter), volume, read_only=True)


def _volume(source: Source) -> Manifest | None:
    """The whole claim is mounted: a Hugging Face cache links from one of its folders to another."""
    match weights.scheme_of(source):
        case "pvc":
            claim, _ = weights.claim_of(source)
            return {"persistentVolumeClaim": {"claimName": claim, "readOnly": True}}
        case "oci":
            return {"image": {"reference": weights.image_of(source)}}
        case _:
            return None
