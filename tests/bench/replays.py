"""`python -m tests.bench.replays`: what a policy would have cost on traces, beside HPA and KPA.

Everybody chooses on the first half of a trace and is measured on the second. HPA and KPA choose
as `modelfleet simulate` does. Beside each of them the policy stands with the setting of its own
grid that took the fewest GPU hours on the first half, of those with a p95 that is better by a tenth
and at most two thirds of the changes.
"""

import itertools
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import click

from modelfleet.cli.replays import inputs
from modelfleet.cli.replays.running import Course, Runner, run_all
from modelfleet.plan.scaling import Policy, Targets, Window
from modelfleet.plan.scaling.policy import DEFAULT_DOWN
from modelfleet.plan.simulation import generated, search
from modelfleet.plan.simulation.baselines import Bounds
from modelfleet.plan.simulation.following import Following
from modelfleet.plan.simulation.generated import Shape
from modelfleet.plan.simulation.outcome import Measure, Outcome
from modelfleet.plan.simulation.profiles import Profile
from modelfleet.plan.simulation.traces import Trace, part, trace_of

EXAMPLES = Path(__file__).parents[2] / "examples" / "simulate"
PROFILES = ("7b", "70b", "8b-slow")
MOST, OBJECTIVE = 20, 2.0
BOUNDS = Bounds(1, MOST)

TARGETS = (
    *(Targets(tokens_per_second=one) for one in (1500, 2000, 3000, 4000, 5000, 6000)),
    *(Targets(concurrency=one) for one in (4, 8, 16)),
    *(Targets(tokens_per_second=one, concurrency=16) for one in (4000, 5000, 6000)),
)
WINDOWS = (DEFAULT_DOWN, Window(seconds=1800))
"""The policy's grid: what a replica is to carry, and the window downwards; 24 settings as KPA's."""

CALMER = 2 / 3
"""Of a rival's changes, so many at most are asked for."""

BETTER = 0.9
"""Times a rival's p95 on the half to choose by: what is no better there may be worse elsewhere."""

PROMPT, OUTPUT = 3000, 300


@dataclass(frozen=True, slots=True)
class Case:
    """A trace, half to choose by and half to measure."""

    name: str
    trace: Trace
    start: int
    """Replicas at the beginning: so many that nobody chooses by the first cold start."""

    @property
    def half(self) -> float:
        """Where the measured half begins."""
        return self.trace.seconds / 2


def shape(hours: float, rate: float, seed: int = 1) -> Shape:
    """Return what the generated traces have in common: long prompts."""
    return Shape(
        hours=hours,
        requests_per_second=rate,
        prompt_tokens=PROMPT,
        output_tokens=OUTPUT,
        seed=seed,
    )


def diurnal() -> Trace:
    """Return two days with noise."""
    return generated.diurnal(shape(48, 1.2))


def steps() -> Trace:
    """Return three hours of steps and ramps, and three more of other chance."""
    first, second = generated.steps(shape(3, 2.5)), generated.steps(shape(3, 2.5, seed=2))
    later = [(at + first.seconds, prompt, output) for at, prompt, output in second]
    return trace_of([*first, *later], 2 * first.seconds)


def ours(profile: Profile) -> list[Runner]:
    """Return the policy in each setting of its grid."""
    return [
        Runner("policy", Following(_policy(*setting), profile))
        for setting in itertools.product(TARGETS, WINDOWS)
    ]


def _policy(targets: Targets, window: Window) -> Policy:
    return Policy(targets=targets, least=1, most=MOST, down=window)


def chosen(outcomes: Sequence[Outcome], rival: Outcome) -> int:
    """Return the place of the cheapest that is faster and calmer than `rival`.

    Where none is both, the cheapest that is faster; where none is faster, the fastest.
    """

    def rank(place: int) -> tuple[float, bool, float]:
        one = outcomes[place]
        slow = 0.0 if one.p95 <= BETTER * rival.p95 else one.p95
        return slow, not is_calmer(one, rival), one.gpu_hours

    return min(range(len(outcomes)), key=rank)


def is_calmer(one: Outcome, rival: Outcome) -> bool:
    """Return whether the number of replicas changes so much less often as is asked for."""
    return one.scale_changes <= CALMER * rival.scale_changes


def rows_of(case: Case, profile: Profile) -> Iterable[tuple[Outcome, Outcome]]:
    """Yield each of the others at its best, and the policy that competes with it."""
    measure = Measure(profile=profile, objective=OBJECTIVE, since=case.half)
    course = Course(case.trace, measure, case.start)
    before = part(case.trace, 0.0, case.half)
    tuning = Course(before, replace(measure, since=0.0), case.start)
    policies = ours(profile)
    tuned = run_all(policies, tuning)
    for name, grid in search.GRIDS.items():
        runners = [Runner(name, one) for one in grid(BOUNDS)]
        outcomes = run_all(runners, tuning)
        best = search.best(outcomes)
        opposed = policies[chosen(tuned, outcomes[best])]
        theirs, own = run_all([runners[best], opposed], course)
        yield theirs, own


HEAD = (
    "| trace | profile | | GPU hours | changes | p50 s | p95 s | p99 s | over 2 s | cold starts "
    "| setting |\n|---|---|---|---|---|---|---|---|---|---|---|"
)


def told(case: str, profile: str, one: Outcome) -> str:
    """Return a row of the table."""
    share = 100 * one.over_objective / max(one.requests, 1)
    waits = " | ".join(f"{value:.2f}" for value in (one.p50, one.p95, one.p99))
    return (
        f"| {case} | {profile} | {one.name} | {one.gpu_hours:.1f} | {one.scale_changes} | {waits} "
        f"| {share:.1f} % | {one.cold_starts} | {one.settings} |"
    )


def verdict(theirs: Outcome, own: Outcome) -> str:
    """Return what was asked for and whether it came: hours, changes, time to first token."""
    hours = 100 * (own.gpu_hours / theirs.gpu_hours - 1)
    won: Mapping[str, bool] = {
        f"GPU hours {hours:+.0f} %": own.gpu_hours < theirs.gpu_hours,
        f"changes {own.scale_changes} of {theirs.scale_changes}": is_calmer(own, theirs),
        f"p95 {own.p95:.2f} of {theirs.p95:.2f} s": own.p95 <= theirs.p95,
    }
    return "; ".join(f"{what} {'won' if is_won else 'LOST'}" for what, is_won in won.items())


@click.command()
@click.option("--azure", help="The whole of azure_llm_2023_code.csv; it is not in the repository.")
@click.option("--only", help="One trace: azure, steps or diurnal.")
def main(azure: str | None, only: str | None) -> None:
    """Print the table of docs/simulate.md, and what was won and lost."""
    makers = {
        "steps": lambda: Case("steps", steps(), 2),
        "diurnal": lambda: Case("diurnal", diurnal(), 1),
    }
    if azure:
        makers = {"azure": lambda: Case("azure", inputs.trace_from(azure), 8), **makers}
    click.echo(HEAD)
    for name, make in makers.items():
        if only in (None, name):
            _measure(make())


def _measure(case: Case) -> None:
    for name in PROFILES:
        profile = inputs.profile_from(str(EXAMPLES / f"profile-{name}.yaml"))
        for theirs, own in rows_of(case, profile):
            click.echo(f"{told(case.name, name, theirs)}\n{told(case.name, name, own)}")
            click.echo(f"{case.name} {name} {theirs.name}: {verdict(theirs, own)}", err=True)
            sys.stdout.flush()


if __name__ == "__main__":
    main()
