"""Containers that the kubelet cannot create."""

import re

from modelfleet.api.conditions import Reason
from modelfleet.plan.diagnosis.case import Case, Diagnosis, person
from modelfleet.plan.diagnosis.text import quoted

ERRORS = frozenset({"CreateContainerConfigError", "CreateContainerError", "RunContainerError"})

_TRANSIENT = re.compile(r"(?i)deadline exceeded|failed to reserve container name")
"""The runtime is slow, not wrong: the kubelet tries again."""

_CAUSES = (
    (
        re.compile(r"(?i)secret \"[^\"]*\" not found"),
        "Create that Secret in the Model's namespace, or correct its name in the spec",
    ),
    (
        re.compile(r"(?i)configmap \"[^\"]*\" not found"),
        "Create that ConfigMap in the Model's namespace, or correct its name in the spec",
    ),
    (
        re.compile(r"(?i)couldn't find key"),
        "Add the key, or correct it in the spec; spec.source.secretRef needs the key `token`",
    ),
    (
        re.compile(r"(?i)run ?as ?non-?root|run as root|non-numeric user"),
        "Models never run as root: choose an image for another user in {image}, "
        "or set spec.security.runAsUser of the Engine",
    ),
    (
        re.compile(r"(?i)executable file not found|no such file or directory"),
        "The image has no such program: correct {image} or the Engine's spec.command",
    ),
)
_ELSE = "Correct what it names in the spec, or look at the pod with kubectl describe"


def container_error(case: Case) -> Diagnosis | None:
    """Look at the first pod whose container cannot be made as it is described."""
    pods = [
        pod
        for pod in case.waiting
        if pod.waiting
        and pod.waiting.reason in ERRORS
        and not _TRANSIENT.search(pod.waiting.message)
    ]
    if not pods or pods[0].waiting is None:
        return None
    said = quoted(pods[0].waiting.message) or pods[0].waiting.reason
    found = (remedy for pattern, remedy in _CAUSES if pattern.search(said))
    remedy = next(found, _ELSE).replace("{image}", case.image_field)
    return person(Reason.CONTAINER_CONFIG_ERROR, f"{case.those(pods)}: {said}", remedy)
