"""Images that do not come: what the runtime and the registry say, and what it means."""

import re
from collections.abc import Callable

from modelfleet.api.conditions import ConditionType, Reason
from modelfleet.plan.diagnosis.case import Case, Diagnosis, patience, person
from modelfleet.plan.diagnosis.text import quoted
from modelfleet.plan.world import Pod

PULLS = frozenset(
    {
        "ErrImageNeverPull",
        "ErrImagePull",
        "ImageInspectError",
        "ImagePullBackOff",
        "InvalidImageName",
        "RegistryUnavailable",
        "SignatureValidationFailed",
    }
)

_PREFIX = re.compile(
    r'^(?:Back-off pulling image "[^"]*"(?:: ErrImagePull: )?|rpc error: code = \w+ desc = )+'
)
_NETWORK = re.compile(
    r"(?i)no such host|i/o timeout|timed? ?out\b|timeout|connection (?:refused|reset)"
    r"|deadline exceeded|server misbehaving|network is unreachable|no route to host"
    r"|too ?many ?requests|unexpected EOF|RegistryUnavailable"
    r"|(?:status|code)[^.]{0,20} (?:429|50[0234])\b"
)
_FULL = re.compile(r"(?i)no space left on device|disk quota exceeded")
_DISTRUST = re.compile(r"(?i)x509|certificate|http response to https client|signature")
_PLATFORM = re.compile(r"(?i)no match(?:ing manifest)? for|exec format error")
_DENIED = re.compile(
    r"(?i)unauthori[sz]ed|authentication required|no basic auth|insufficient_scope|forbidden"
    r"|\bdenied\b|authorization failed|\b40[13] "
)
_ABSENT = re.compile(
    r"(?i)not found|manifest[ _]unknown|name[ _]unknown|no such image|does not exist"
    r"|\b404\b|not present with pull policy|InvalidImageName|invalid reference"
    r"|couldn't parse image"
)


def image_pull(case: Case) -> Diagnosis | None:
    """Look at the first pod whose image does not come."""
    pods = [pod for pod in case.waiting if pod.waiting and pod.waiting.reason in PULLS]
    if not pods:
        return None
    said = _said(pods[0])
    if not said:
        return _as_before(case) or patience(
            Reason.IMAGE_PULL_FAILED, f"{case.those(pods)}: the image does not come"
        )
    fact = f"{case.those(pods)}: {said}"
    found = (judge for pattern, judge in _JUDGES if pattern.search(said))
    return next(found, _unknown)(case, fact)


def _said(pod: Pod) -> str:
    """Return the cause, without the words that come and go between two tries."""
    assert pod.waiting is not None  # chosen so
    cause = quoted(_PREFIX.sub("", pod.waiting.message))
    if cause or pod.waiting.reason in ("ErrImagePull", "ImagePullBackOff"):
        return cause
    return pod.waiting.reason


def _as_before(case: Case) -> Diagnosis | None:
    """Older kubelets tell the cause only while they try, and not while they back off."""
    before = {condition.type: condition for condition in case.model.status.conditions}
    ready = before.get(ConditionType.READY)
    generation = case.model.metadata.generation
    if ready is None or ready.reason not in _REASONS or ready.observed_generation != generation:
        return None
    return Diagnosis(Reason(ready.reason), ready.message, ConditionType.STALLED in before)


_REASONS = (Reason.IMAGE_NOT_FOUND, Reason.IMAGE_UNAUTHORIZED, Reason.IMAGE_PULL_FAILED)


def _unreachable(_: Case, fact: str) -> Diagnosis:
    remedy = "It is tried again; check the registry's name, and DNS and network of the node"
    return patience(Reason.IMAGE_PULL_FAILED, fact, remedy)


def _disk_full(_: Case, fact: str) -> Diagnosis:
    return person(Reason.IMAGE_PULL_FAILED, fact, "Free space on the node's image disk")


def _distrusted(_: Case, fact: str) -> Diagnosis:
    remedy = "Let the node's container runtime trust the registry's certificate or signature"
    return person(Reason.IMAGE_PULL_FAILED, fact, remedy)


def _other_platform(case: Case, fact: str) -> Diagnosis:
    remedy = f"Choose an image that is built for the node's architecture: {case.image_field}"
    return person(Reason.IMAGE_NOT_FOUND, fact, remedy)


def _unauthorized(case: Case, fact: str) -> Diagnosis:
    return person(
        Reason.IMAGE_UNAUTHORIZED,
        fact,
        "Name a Secret that may read it in spec.podTemplate.imagePullSecrets; registries answer "
        f"the same for an image that does not exist, so check {_where(case, fact)} too",
    )


def _not_found(case: Case, fact: str) -> Diagnosis:
    remedy = f"Correct {_where(case, fact)}, or push the image"
    return person(Reason.IMAGE_NOT_FOUND, fact, remedy)


def _unknown(case: Case, fact: str) -> Diagnosis:
    remedy = f"It is tried again; check {_where(case, fact)} and the registry"
    return patience(Reason.IMAGE_PULL_FAILED, fact, remedy)


def _where(case: Case, fact: str) -> str:
    """Weights may come as an image, too: then that one's name is in the message."""
    uri = case.model.spec.source.uri
    return "spec.source.uri" if uri[6:] in fact and uri.startswith("oci://") else case.image_field


_JUDGES: tuple[tuple[re.Pattern[str], Callable[[Case, str], Diagnosis]], ...] = (
    (_FULL, _disk_full),
    (_DISTRUST, _distrusted),
    (_NETWORK, _unreachable),
    (_PLATFORM, _other_platform),
    (_DENIED, _unauthorized),
    (_ABSENT, _not_found),
)
"""In this order: Docker Hub says "denied" and "does not exist" in one breath."""
