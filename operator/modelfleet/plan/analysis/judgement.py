"""What a judgement says."""

from dataclasses import dataclass
from enum import StrEnum

from modelfleet.plan.analysis.memory import Memory
from modelfleet.plan.analysis.tolerances import Subject


class Verdict(StrEnum):
    """Of a canary, against the stable revision at the same time."""

    PASS = "Pass"
    """As far as the traffic of this step can tell, nothing is unacceptable."""
    FAIL = "Fail"
    """Worse by more than is tolerated. It stays so for the rest of the rollout."""
    INCONCLUSIVE = "Inconclusive"
    """Too little is known, or it is suspicious: neither good nor bad."""


@dataclass(frozen=True, slots=True)
class Amount:
    """What one revision showed: `count` observations, of which `value` is the share or mean."""

    count: float
    value: float | None
    """Share of requests, or seconds; None without an observation."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One subject, over this step."""

    subject: Subject
    verdict: Verdict
    stable: Amount
    canary: Amount
    alarm: float
    """e-value against "within what is tolerated", over the whole rollout; fails at `fails_at`."""
    fails_at: float
    clear: float
    """e-value against "unacceptable", in this step; passes at `passes_at`."""
    passes_at: float
    text: str
    """As in "errors: canary 14 of 240 (5.8 %), stable 2 of 2150 (0.1 %)"."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """One verdict, why, and what the next one has to know."""

    verdict: Verdict
    sentence: str
    """One line for the status, at most 1 KiB."""
    rests_on: tuple[Subject, ...]
    """What was known well enough to count; those with `probe` in the name are our own requests."""
    unknown: tuple[Subject, ...]
    """What nobody told, or not all pods of both revisions."""
    findings: tuple[Finding, ...]
    suspicious: bool
    """More than tolerated, perhaps: it must not go on by itself."""
    memory: Memory
    """Goes into the status, and into the next judgement."""
