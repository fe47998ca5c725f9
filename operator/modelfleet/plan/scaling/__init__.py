"""How many replicas a Model should have. `decide` is pure; all that it takes can be made by hand.

`policy_for` makes plain values of an AutoscalingPolicy, `readings_for` of what engines told.
"""

from modelfleet.plan.scaling.complaints import Complaint
from modelfleet.plan.scaling.decision import Decision, Why, decide
from modelfleet.plan.scaling.facts import Facts, Reading, Samples
from modelfleet.plan.scaling.memory import Memory, dumps, loads
from modelfleet.plan.scaling.policy import Policy, Schedule, Targets, ToZero, Window, policy_for
from modelfleet.plan.scaling.readings import SPAN, Replica, is_young, readings_for, requests_in
from modelfleet.plan.scaling.signals import Want

__all__ = [
    "SPAN",
    "Complaint",
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
    "dumps",
    "is_young",
    "loads",
    "policy_for",
    "readings_for",
    "requests_in",
]
