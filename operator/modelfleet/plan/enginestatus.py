"""What an Engine object's status says."""

from datetime import datetime

from modelfleet.api.conditions import ConditionType, Reason
from modelfleet.api.v1alpha1.engine import Engine, EngineStatus
from modelfleet.plan.engine import why_invalid
from modelfleet.plan.verdict import Verdict, conditions_for, notices_between
from modelfleet.plan.world import EnginePlan


def engine_status_for(engine: Engine, now: datetime) -> EnginePlan:
    """Return whether the document can be used, and if not, which field is wrong."""
    wrong = why_invalid(engine)
    verdict = (
        Verdict(Reason.INVALID_SPEC, wrong, ConditionType.STALLED)
        if wrong
        else Verdict(Reason.VALID, f"Models may use it as spec.engine.name: {engine.metadata.name}")
    )
    old = engine.status.conditions
    status = EngineStatus(
        observed_generation=engine.metadata.generation,
        conditions=conditions_for(verdict, engine.metadata.generation, old, now),
    )
    return EnginePlan(status=status, notices=notices_between(old, status.conditions))
