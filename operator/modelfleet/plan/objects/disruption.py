"""The PodDisruptionBudget: a node drain takes one replica at a time."""

from modelfleet.api import labels
from modelfleet.api.v1alpha1.model import Model
from modelfleet.plan import names
from modelfleet.plan.objects.owner import metadata_for
from modelfleet.plan.world import Manifest


def disruption_budget_for(model: Model) -> Manifest:
    """Return a budget that never blocks a drain for good.

    `maxUnavailable` lets the only replica of a Model go; pods that are not ready, as while they
    load, may always be evicted.
    """
    return {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": metadata_for(model, names.disruption_budget(model)),
        "spec": {
            "maxUnavailable": 1,
            "unhealthyPodEvictionPolicy": "AlwaysAllow",
            "selector": {"matchLabels": {labels.MODEL: model.metadata.name}},
        },
    }
