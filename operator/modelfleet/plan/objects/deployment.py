"""The Deployment of one revision. Its template is the stored one, so nothing restarts by itself."""

from modelfleet.api import labels
from modelfleet.api.v1alpha1.model import Model
from modelfleet.plan.objects.owner import metadata_of
from modelfleet.plan.world import Manifest, Revision

SLACK_SECONDS = 60
"""A start that fails at its deadline is told by its probe, before the Deployment gives up."""


def deployment_for(model: Model, revision: Revision, replicas: int) -> Manifest:
    """Return `replicas` pods of `revision`, exactly as its snapshot has them.

    A template never changes, so the strategy matters only to a tampered one that is put back: it
    asks for no GPU that is not there.
    """
    deadline = model.spec.startup.deadline_seconds + SLACK_SECONDS
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": metadata_of(model, revision),
        "spec": {
            "replicas": replicas,
            "revisionHistoryLimit": 0,
            "progressDeadlineSeconds": deadline,
            "selector": {
                "matchLabels": {
                    labels.MODEL: model.metadata.name,
                    labels.REVISION: revision.hash,
                }
            },
            "strategy": {
                "type": "RollingUpdate",
                "rollingUpdate": {"maxSurge": 0, "maxUnavailable": 1},
            },
            "template": revision.template,
        },
    }
