"""How children are called: from the Model's name alone, so that every look finds the same ones.

A Model's name has at most 50 characters and a hash has 10, so that all fit in 63.
"""

from modelfleet.api.v1alpha1.model import Model


def deployment(model: Model, revision_hash: str) -> str:
    """Each live revision has its own Deployment."""
    return f"{model.metadata.name}-{revision_hash}"


def revision(model: Model, revision_hash: str) -> str:
    """The ControllerRevision is called like the Deployment that it describes."""
    return f"{model.metadata.name}-{revision_hash}"


def service(model: Model) -> str:
    """The address of the model, the same through all revisions."""
    return model.metadata.name


def service_account(model: Model) -> str:
    """The account of the model's pods."""
    return model.metadata.name


def activator(model: Model) -> str:
    """The slice by which the model's Service leads to gateways while nothing else answers."""
    return f"{model.metadata.name}-activator"


def disruption_budget(model: Model) -> str:
    """One budget covers the pods of all revisions."""
    return model.metadata.name
