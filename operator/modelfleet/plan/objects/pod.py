"""The pod template of a revision: written once, kept in its ControllerRevision."""

from collections.abc import Sequence

from modelfleet.api import labels
from modelfleet.api.v1alpha1.engine import Engine
from modelfleet.api.v1alpha1.gpunodepool import GPUNodePool
from modelfleet.api.v1alpha1.model import Model
from modelfleet.engines import template
from modelfleet.plan import command, names, revision
from modelfleet.plan.objects.environment import environment_for
from modelfleet.plan.objects.owner import labels_for
from modelfleet.plan.objects.placement import placement_for, resource_name
from modelfleet.plan.objects.probes import grace_seconds, pre_stop_seconds, probes_for
from modelfleet.plan.objects.volumes import Mount, mounts_for
from modelfleet.plan.world import Manifest

CONTAINER = "engine"


def pod_template_for(model: Model, engine: Engine, pools: Sequence[GPUNodePool]) -> Manifest:
    """Return the template; it passes the Pod Security level `restricted`.

    `pools` are the candidates in order of preference.
    """
    mounts = mounts_for(model, engine)
    return {
        "metadata": _metadata(model, engine),
        "spec": {
            **_identity(model),
            **placement_for(model, pools),
            "enableServiceLinks": False,
            "securityContext": {
                "runAsNonRoot": True,
                "runAsUser": engine.spec.security.run_as_user,
                "seccompProfile": {"type": "RuntimeDefault"},
            },
            "terminationGracePeriodSeconds": grace_seconds(model, engine),
            "containers": [_container(model, engine, pools, mounts)],
            "volumes": [mount.as_volume() for mount in mounts],
        },
    }


def _metadata(model: Model, engine: Engine) -> Manifest:
    """The user's labels come first, so that none of them can take a pod out of our selectors."""
    written = model.spec.pod_template
    own = {
        labels.REVISION: revision.hash_for(model),
        labels.ENGINE: engine.metadata.name,
        labels.SERVING: "true",
    }
    team = {key: value for key, value in written.labels.items() if key == labels.TEAM}
    merged = {"labels": {**written.labels, **labels_for(model), **own, **team}}
    return merged | ({"annotations": dict(written.annotations)} if written.annotations else {})


def _identity(model: Model) -> Manifest:
    """Who the pod is to the cluster: never somebody with a token of the API server."""
    written = model.spec.pod_template
    fields = {
        "serviceAccountName": written.service_account_name or names.service_account(model),
        "priorityClassName": written.priority_class_name,
        "runtimeClassName": written.runtime_class_name,
        "imagePullSecrets": [{"name": secret.name} for secret in written.image_pull_secrets],
    }
    return {
        "automountServiceAccountToken": False,
        **{key: value for key, value in fields.items() if value},
    }


def _container(
    model: Model, engine: Engine, pools: Sequence[GPUNodePool], mounts: Sequence[Mount]
) -> Manifest:
    values = command.values_for(model, engine)
    fields = {
        "name": CONTAINER,
        "image": command.image_for(model, engine),
        "command": [template.fill(word, values) for word in engine.spec.command],
        "args": command.arguments_for(model, engine),
        "env": environment_for(model, engine),
        "ports": _ports(engine),
        "resources": _resources(model, engine, pools),
        **probes_for(model, engine),
        "lifecycle": {"preStop": {"sleep": {"seconds": pre_stop_seconds(model, engine)}}},
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": engine.spec.security.read_only_root,
            "capabilities": {"drop": ["ALL"]},
        },
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "volumeMounts": [mount.as_mount() for mount in mounts],
    }
    return {key: value for key, value in fields.items() if value}


def _ports(engine: Engine) -> list[Manifest]:
    ports: list[Manifest] = [{"name": "http", "containerPort": engine.spec.port, "protocol": "TCP"}]
    metrics = engine.spec.metrics.port if engine.spec.metrics else None
    if metrics and metrics != engine.spec.port:
        ports.append({"name": "metrics", "containerPort": metrics, "protocol": "TCP"})
    return ports


def _resources(model: Model, engine: Engine, pools: Sequence[GPUNodePool]) -> Manifest:
    """What the user says of memory also limits; a default only requests: a guess must not kill."""
    asked, defaults = model.spec.resources, engine.spec.defaults
    requests = {"cpu": asked.cpu or defaults.cpu, "memory": asked.memory or defaults.memory}
    gpus = {resource_name(pools): str(asked.gpus)} if asked.gpus else {}
    limits = {"memory": asked.memory, **gpus}
    fields = {
        "requests": {name: value for name, value in requests.items() if value},
        "limits": {name: value for name, value in limits.items() if value},
    }
    return {kind: values for kind, values in fields.items() if values}
