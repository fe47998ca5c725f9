"""The ServiceAccount: a model server has no business with the API server."""

from modelfleet.api.v1alpha1.model import Model
from modelfleet.plan import names
from modelfleet.plan.objects.owner import metadata_for
from modelfleet.plan.world import Manifest


def service_account_for(model: Model) -> Manifest:
    """Return an account without a token, for a Model that names no account of its own."""
    return {
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": metadata_for(model, names.service_account(model)),
        "automountServiceAccountToken": False,
    }
