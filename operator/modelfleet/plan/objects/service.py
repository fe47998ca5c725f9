"""The Service: one address for the ready, serving pods of every revision."""

from modelfleet.api import labels
from modelfleet.api.v1alpha1.model import Model
from modelfleet.plan import names
from modelfleet.plan.objects.owner import metadata_for
from modelfleet.plan.world import Manifest


def service_for(model: Model, route: str | None = None) -> Manifest:
    """Return port 80 of the name that clients use; a pod leaves it by losing a label.

    `route` is the only revision that takes traffic, None for all.
    """
    selector = {labels.MODEL: model.metadata.name, labels.SERVING: "true"}
    if route is not None:
        selector[labels.REVISION] = route
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": metadata_for(model, names.service(model)),
        "spec": {
            "type": "ClusterIP",
            "selector": selector,
            "sessionAffinity": "None",
            "publishNotReadyAddresses": False,
            "ports": [{"name": "http", "port": 80, "protocol": "TCP", "targetPort": "http"}],
        },
    }
