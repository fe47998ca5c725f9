"""Pods that the API server does not let the Deployment create."""

import re

from modelfleet.api.conditions import Reason
from modelfleet.plan.census import QUOTA
from modelfleet.plan.diagnosis.case import Case, Diagnosis, person
from modelfleet.plan.diagnosis.text import quoted

_POD = re.compile(r'(?:Error creating: |pods? "[^"]*" is (?:forbidden|invalid): )+')
"""The name of a pod that never was is another at each try."""

_CAUSES = (
    (
        re.compile(r"(?i)violates podsecurity"),
        "Let the namespace's Pod Security level admit it; Models keep to `restricted`",
    ),
    (
        re.compile(r"(?i)service ?account.*not found|looking up service account"),
        "Create that ServiceAccount, or correct spec.podTemplate.serviceAccountName",
    ),
    (
        re.compile(r"(?i)priorityclass|no PriorityClass"),
        "Create that PriorityClass, or correct spec.podTemplate.priorityClassName",
    ),
    (
        re.compile(r"(?i)runtimeclass"),
        "Create that RuntimeClass, or correct spec.podTemplate.runtimeClassName",
    ),
    (
        re.compile(r"(?i)(?:maximum|minimum) .* (?:usage|limit)|limit.?range"),
        "Keep spec.resources within the namespace's LimitRange",
    ),
)
_ELSE = "Change the spec or the policy that refuses it"


def quota_exceeded(case: Case) -> Diagnosis | None:
    """The namespace may not have more."""
    failure = _failure(case)
    if QUOTA not in failure:
        return None
    remedy = "Raise the ResourceQuota, lower spec.replicas, or free some of it"
    return person(Reason.QUOTA_EXCEEDED, f"{_missing(case)}: {quoted(failure)}", remedy)


def pods_refused(case: Case) -> Diagnosis | None:
    """Some other rule is against the pod."""
    failure = _failure(case)
    if not failure:
        return None
    remedy = next((one for pattern, one in _CAUSES if pattern.search(failure)), _ELSE)
    return person(Reason.PODS_REFUSED, f"{_missing(case)}: {quoted(failure)}", remedy)


def _failure(case: Case) -> str:
    deployment = case.seen.deployments.get(case.wanted)
    return _POD.sub("", deployment.failure or "") if deployment else ""


def _missing(case: Case) -> str:
    missing = max(1, case.census.asked - len(case.census.alive))
    return f"{missing} of {case.replicas} replicas are refused"
