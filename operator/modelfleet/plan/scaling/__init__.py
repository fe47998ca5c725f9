"""How many replicas a Model should have. `decide` is pure; all that it takes can be made by hand.

`policy_for` makes plain values of an AutoscalingPolicy, `readings_for` of what engines told.
"""

from modelfleet.plan.scaling.decision import Decision, Why, decide
from modelfleet.plan.scaling.facts import Facts, Reading, Samples
from modelfleet.plan.scaling.memory import Memory
from modelfleet.plan.scaling.policy import Policy, Schedule, Targets, ToZero, Window, policy_for
from modelfleet.plan.scaling.readings import Replica, readings_for
from modelfleet.plan.scaling.signals import Want

__all__ = [
    "Decision",
    "Facts",
    "Memory",
    "Policy",
    "Reading",
    "Replica",
    "Samples",
    "Schedule",
    "Targets",
    "ToZero",
    "Want",
    "Why",
    "Window",
    "decide",
    "policy_for",
    "readings_for",
]
