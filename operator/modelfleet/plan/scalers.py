"""Whether somebody else scales a Model that has a policy: two that decide are one too many.

The API server tells it by who owns spec.replicas. It gives no time for what was written through
`/scale`, so whoever wrote last counts until another does.
"""

from modelfleet.api.schema import ManagedFields
from modelfleet.api.v1alpha1.model import Model

PEOPLE = "kubectl"
"""Writes through `/scale` as well, and once."""


def other_scaler(model: Model) -> str:
    """Return the machine that wrote spec.replicas last, through `/scale`; empty: none did.

    HPAs are the manager `kube-controller-manager`, KEDA is `keda`.
    """
    found = (one.manager for one in model.metadata.managed_fields if _scales(one))
    return max(found, default="")


def _scales(entry: ManagedFields) -> bool:
    fields = entry.fields_v1 if isinstance(entry.fields_v1, dict) else {}
    by_machine = entry.subresource == "scale" and not entry.manager.startswith(PEOPLE)
    return by_machine and "f:replicas" in fields.get("f:spec", {})
