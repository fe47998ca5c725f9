"""Which changes of a Model need new pods: those that change its hash."""

import base64
import hashlib
import json

from modelfleet.api.v1alpha1.model import Model
from modelfleet.plan.world import Manifest

INPUTS = frozenset(
    {
        "source",
        "engine",
        "resources",
        "node_pools",
        "adapters",
        "served_names",
        "pod_template",
        "startup",
        "drain",
    }
)
"""Fields of the spec that pods are made from. Replicas, pause, license and history are not."""

LENGTH = 10
"""Characters of base 32: 50 bits, so that 1,000 revisions of a Model collide with p < 1e-9."""


def inputs_for(model: Model) -> Manifest:
    """Return what the user wrote of the fields that need new pods, and no default.

    A field that is added to the API later has a default, so it changes no old hash.
    """
    return model.spec.model_dump(
        mode="json", by_alias=True, exclude_defaults=True, include=set(INPUTS)
    )


def hash_for(model: Model) -> str:
    """Return ten characters of [a-z2-7] that stand for the inputs."""
    canonical = json.dumps(inputs_for(model), sort_keys=True, separators=(",", ":"))
    digest = hashlib.sha256(canonical.encode()).digest()
    return base64.b32encode(digest).decode().lower()[:LENGTH]
