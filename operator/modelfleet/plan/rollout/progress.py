"""What a canary remembers from look to look. It lives in `status.rollout`, so nothing forgets it.

A decision acts on what the status says; what a look has found out goes into the status first, and
the next look acts on it. So an operator that is killed between two writes repeats at most a look.
"""

from dataclasses import dataclass, field, replace
from datetime import datetime

from modelfleet.api import labels
from modelfleet.api.conditions import timestamp
from modelfleet.api.v1alpha1.model import Model
from modelfleet.api.v1alpha1.rollout import RolloutStatus, Verdict
from modelfleet.plan.analysis import Memory, dumps, loads
from modelfleet.plan.verdict import MOST_BYTES, within

LONGEST_RETRY = 253
"""Characters of the annotation that tell one retry from another."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """Where the canary of one revision is."""

    revision: str
    step: int = 1
    """From 1."""
    started_at: datetime | None = None
    """When all replicas of this step were ready; None: they have not been yet."""
    verdict: Verdict | None = None
    evidence: str = ""
    memory: Memory = field(default_factory=Memory)
    failed: bool = False
    promoted: bool = False
    """All steps were passed, or a person says so: the rest is exchanged."""
    retried: str | None = None
    """The value of the annotation that was obeyed last."""

    def failing(self, evidence: str) -> "Progress":
        """Return the end: this revision is not tried again by itself."""
        evidence = within(evidence, MOST_BYTES)
        return replace(self, failed=True, verdict="Fail", evidence=evidence, memory=Memory())

    def passing(self, steps: int) -> "Progress":
        """Return the beginning of the next of so many steps; its replicas have to come up first."""
        if self.step >= steps:
            return self.promoting()
        memory = self.memory.next_step()
        return replace(self, step=self.step + 1, started_at=None, memory=memory)

    def promoting(self) -> "Progress":
        """Return the end of all steps."""
        return replace(self, promoted=True, started_at=None, memory=Memory())


def progress_of(model: Model, wanted: str) -> Progress:
    """Read the memory and obey a person. A revision that is not remembered begins with step 1.

    Annotations name the revision that they are meant for; `retry` has a value that is new.
    """
    kept, asked = model.status.rollout, model.metadata.annotations
    retry = asked.get(labels.RETRY, "")[:LONGEST_RETRY] or None
    if kept is None or kept.strategy != "Canary" or kept.revision != wanted:
        found = Progress(revision=wanted, retried=retry)
    elif kept.failed_revision != wanted:
        found = replace(_read(kept, wanted), retried=retry)
    elif retry and retry != kept.retried:
        found = Progress(revision=wanted, retried=retry)
    else:
        return replace(_read(kept, wanted), failed=True)
    if asked.get(labels.ABORT) == wanted and not found.promoted:
        return found.failing(
            f"given up by the annotation {labels.ABORT}, which is to be removed before a retry"
        )
    promoted = asked.get(labels.PROMOTE) == wanted and not model.spec.rollout.paused
    return found.promoting() if promoted else found


def _read(kept: RolloutStatus, wanted: str) -> Progress:
    step = kept.step or 1
    return Progress(
        revision=wanted,
        step=max(1, step),
        started_at=_instant(kept.step_started_at),
        verdict=kept.verdict,
        evidence=kept.evidence or "",
        memory=loads(kept.memory),
        promoted=kept.steps is not None and step > kept.steps,
        retried=kept.retried,
    )


def _instant(text: str | None) -> datetime | None:
    """Return an instant; a day that no month has is a mistake of somebody else."""
    try:
        return datetime.fromisoformat(text) if text else None
    except ValueError:
        return None


def remembered(progress: Progress, steps: int) -> dict[str, object]:
    """Return the fields of the status that `progress_of` reads."""
    memory = None if progress.memory == Memory() else dumps(progress.memory)
    return {
        "step": steps + 1 if progress.promoted else progress.step,
        "steps": steps,
        "step_started_at": timestamp(progress.started_at) if progress.started_at else None,
        "verdict": progress.verdict,
        "evidence": progress.evidence or None,
        "failed_revision": progress.revision if progress.failed else None,
        "retried": progress.retried,
        "memory": memory,
    }
