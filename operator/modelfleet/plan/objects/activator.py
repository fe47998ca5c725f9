"""The slice that makes a Model's own Service lead to gateways while no pod of it answers."""

from collections.abc import Iterable

from modelfleet.api import labels
from modelfleet.api.v1alpha1.model import Model
from modelfleet.plan import names
from modelfleet.plan.objects.owner import metadata_for
from modelfleet.plan.world import Manifest


def activator_for(model: Model, port: int, gateways: Iterable[str]) -> Manifest:
    """Return an EndpointSlice of the Service. Kubernetes unites it with that of the pods."""
    metadata = metadata_for(model, names.activator(model))
    metadata["labels"] |= {
        labels.SERVICE_NAME: names.service(model),
        labels.SLICE_MANAGED_BY: labels.FIELD_MANAGER,
    }
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": metadata,
        "addressType": "IPv4",
        "endpoints": [
            {"addresses": [address], "conditions": {"ready": True}} for address in gateways
        ],
        "ports": [{"name": "http", "port": port, "protocol": "TCP"}],
    }
