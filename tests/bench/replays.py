"""`python -m tests.bench.replays`: what a policy would have cost on traces, beside HPA and KPA.

Everybody chooses on the first half of a trace and is measured on the second. HPA and KPA choose
as `modelfleet simulate` does. Beside each of them the policy stands with the setting of its own
grid that took the fewest GPU hours at no worse p95 than theirs, on the first half.
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

TOKENS, WINDOWS, CONCURRENCIES = (3000, 4000, 5000, 6000), (900, 1800), (None, 16)
"""The policy's grid: tokens per second and requests of a replica, and the window downwards."""

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
        for setting in itertools.product(TOKENS, WINDOWS, CONCURRENCIES)
    ]


def _policy(tokens: int, window: int, concurrency: int | None) -> Policy:
    targets = Targets(tokens_per_second=tokens, concurrency=concurrency)
    return Policy(targets=targets, least=1, most=MOST, down=Window(seconds=window), mistakes={})


def chosen(outcomes: Sequence[Outcome], most: float) -> int:
    """Return the place of the cheapest that is no slower than `most`, or else of the fastest."""

    def rank(place: int) -> tuple[float, float, int]:
        one = outcomes[place]
        return (0.0 if one.p95 <= most else one.p95, one.gpu_hours, one.scale_changes)

    return min(range(len(outcomes)), key=rank)


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
        rival = policies[chosen(tuned, outcomes[best].p95)]
        theirs, own = run_all([runners[best], rival], course)
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
        f"changes {own.scale_changes} of {theirs.scale_changes}": (
            3 * own.scale_changes <= 2 * theirs.scale_changes
        ),
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
