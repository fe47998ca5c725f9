"""What a new revision may be worse by, and how sure a verdict is. See docs/analysis.md."""

from dataclasses import dataclass
from typing import Literal

Subject = Literal["errors", "aborts", "firstToken", "outputToken", "probeErrors", "probeFirstToken"]

FIRST_TOKEN_FLOOR = 0.01
OUTPUT_TOKEN_FLOOR = 0.0005


@dataclass(frozen=True, slots=True)
class Margin:
    """Shares: a difference, 0.01 is one point. Latencies: a ratio, 1.25 is a quarter more.

    Up to `tolerated` the canary is no worse; from `unacceptable` on it must not be promoted.
    Between them either may happen: without such a zone a verdict would take forever.
    """

    tolerated: float
    unacceptable: float
    floor: float = 0.0
    """Seconds that are nothing, whatever the ratio: small models answer within milliseconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tolerances:
    """All that a judgement is measured by."""

    errors: Margin = Margin(0.01, 0.05)
    aborts: Margin = Margin(0.005, 0.05)
    first_token: Margin = Margin(1.25, 2.0, FIRST_TOKEN_FLOOR)
    output_token: Margin = Margin(1.25, 1.5, OUTPUT_TOKEN_FLOOR)
    probe_errors: Margin = Margin(0.01, 0.5)
    probe_first_token: Margin = Margin(1.25, 2.0, FIRST_TOKEN_FLOOR)
    false_alarms: float = 0.01
    """Probability that a rollout of a revision within all that is tolerated ever fails."""
    false_passes: float = 0.05
    """Probability that a step passes although one subject is unacceptable, for each subject."""
    minimum_requests: int = 100
    """Of users, to the canary in a step, before it may pass."""
    minimum_probes: int = 5
    """The same, where there are only probes."""

    def margin(self, subject: Subject) -> Margin:
        """Return the margin of one subject."""
        margins: dict[Subject, Margin] = {
            "errors": self.errors,
            "aborts": self.aborts,
            "firstToken": self.first_token,
            "outputToken": self.output_token,
            "probeErrors": self.probe_errors,
            "probeFirstToken": self.probe_first_token,
        }
        return margins[subject]


def tolerances_for(
    error_increase_percent: float = 1.0,
    latency_increase_percent: float = 25.0,
    minimum_requests: int = 100,
) -> Tolerances:
    """Return the tolerances that go with what a user tolerates: points, and percent.

    An abort is mostly a client's own wish and then as frequent in both revisions, so half as many
    points more are tolerated. Latencies per token vary less than those to the first token.
    """
    points = min(error_increase_percent / 100, 0.95)
    ratio = 1 + latency_increase_percent / 100
    unacceptable = min(points + 0.04, 0.99)
    return Tolerances(
        errors=Margin(points, unacceptable),
        aborts=Margin(points / 2, unacceptable),
        first_token=Margin(ratio, 1.6 * ratio, FIRST_TOKEN_FLOOR),
        output_token=Margin(ratio, 1.2 * ratio, OUTPUT_TOKEN_FLOOR),
        probe_errors=Margin(points, max(0.5, unacceptable)),
        probe_first_token=Margin(ratio, 1.6 * ratio, FIRST_TOKEN_FLOOR),
        minimum_requests=minimum_requests,
    )
