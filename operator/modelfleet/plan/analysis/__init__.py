"""Whether a new revision is worse than the stable one at the same time. See docs/analysis.md."""

from modelfleet.plan.analysis.evidence import Evidence, Health, ProbeResults, Span, Window
from modelfleet.plan.analysis.judge import judge
from modelfleet.plan.analysis.judgement import Amount, Finding, Judgement, Verdict
from modelfleet.plan.analysis.memory import Memory, dumps, loads
from modelfleet.plan.analysis.tolerances import Margin, Subject, Tolerances, tolerances_for
from modelfleet.plan.analysis.window import window_for

__all__ = [
    "Amount",
    "Evidence",
    "Finding",
    "Health",
    "Judgement",
    "Margin",
    "Memory",
    "ProbeResults",
    "Span",
    "Subject",
    "Tolerances",
    "Verdict",
    "Window",
    "dumps",
    "judge",
    "loads",
    "tolerances_for",
    "window_for",
]
