"""What an AutoscalingPolicy's status says."""

from datetime import datetime

from modelfleet.api.conditions import ConditionType, Reason
from modelfleet.api.v1alpha1.autoscalingpolicy import AutoscalingPolicy, AutoscalingPolicyStatus
from modelfleet.plan.scaling import policy_for
from modelfleet.plan.verdict import Verdict, conditions_for, notices_between
from modelfleet.plan.world import PolicyPlan


def policy_status_for(policy: AutoscalingPolicy, now: datetime) -> PolicyPlan:
    """Return whether the policy can be followed, and if not, which field is wrong."""
    mistakes = policy_for(policy.spec).mistakes
    name = policy.metadata.name
    wrong = "; ".join(f"spec.schedules: {one}: {why}" for one, why in sorted(mistakes.items()))
    verdict = (
        Verdict(Reason.INVALID_SPEC, wrong, ConditionType.STALLED)
        if wrong
        else Verdict(Reason.VALID, f"Models may use it as spec.autoscaling.policyRef.name: {name}")
    )
    old, generation = policy.status.conditions, policy.metadata.generation
    conditions = conditions_for(verdict, generation, old, now)
    status = AutoscalingPolicyStatus(observed_generation=generation, conditions=conditions)
    return PolicyPlan(status=status, notices=notices_between(old, conditions))
