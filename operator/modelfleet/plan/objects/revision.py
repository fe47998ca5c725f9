"""The ControllerRevision: what a revision is, kept for as long as it may be asked for again."""

from modelfleet.api.v1alpha1.model import Model
from modelfleet.plan import revision as revisions
from modelfleet.plan.objects.owner import metadata_of
from modelfleet.plan.world import Manifest, Revision


def controller_revision_for(model: Model, revision: Revision) -> Manifest:
    """Return the snapshot of the inputs and of the pod template that came of them.

    The API server refuses another `data`; only the number may grow, when it is asked for again.
    """
    return {
        "apiVersion": "apps/v1",
        "kind": "ControllerRevision",
        "metadata": metadata_of(model, revision),
        "revision": revision.number,
        "data": {
            "spec": revision.inputs or revisions.inputs_for(model),
            "template": revision.template,
        },
    }
