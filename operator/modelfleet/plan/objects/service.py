"""The Service: one address for the ready, serving pods of every revision."""

from modelfleet.api import labels
from modelfleet.api.v1alpha1.model import Model
from modelfleet.plan import names
from modelfleet.plan.objects.owner import metadata_for
from modelfleet.plan.world import Manifest


def service_for(model: Model) -> Manifest:
    """Return port 80 of the name that clients use; a pod leaves it by losing a label."""
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": metadata_for(model, names.service(model)),
        "spec": {
            "selector": {labels.MODEL: model.metadata.name, labels.SERVING: "true"},
            "ports": [{"name": "http", "port": 80, "protocol": "TCP", "targetPort": "http"}],
        },
    }
