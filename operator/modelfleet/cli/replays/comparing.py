"""From what was asked for to what is shown: the policy's run, and the others at their best."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from modelfleet.api.v1alpha1.autoscalingpolicy import AutoscalingPolicy
from modelfleet.cli.replays.lines import load_of
from modelfleet.cli.replays.running import Course, Runner, run, run_all
from modelfleet.cli.replays.table import Comparison
from modelfleet.plan.scaling import Policy, policy_for
from modelfleet.plan.simulation import search
from modelfleet.plan.simulation.baselines import Bounds
from modelfleet.plan.simulation.following import Following
from modelfleet.plan.simulation.outcome import Measure, Outcome
from modelfleet.plan.simulation.profiles import Profile
from modelfleet.plan.simulation.traces import Trace, part


@dataclass(frozen=True, slots=True)
class Asked:
    """A replay that somebody wants."""

    trace: Trace
    source: str
    policy: AutoscalingPolicy
    profile: Profile
    against: tuple[str, ...] = ()
    tune: float = 0.0
    """The first share of the trace, by which the others choose their settings."""
    start: int | None = None

    @property
    def values(self) -> Policy:
        """The policy as the decision takes it."""
        return policy_for(self.policy.spec)

    @property
    def objective(self) -> float:
        """Seconds that a first token may take: the policy's, or else the profile's."""
        return self.values.targets.first_token_seconds or self.profile.objective_seconds

    @property
    def since(self) -> float:
        """Where the part begins that figures are of."""
        return self.trace.seconds * self.tune


def compared(asked: Asked) -> Comparison:
    """Replay the policy, and each of the others in every setting of its grid."""
    measure = Measure(profile=asked.profile, objective=asked.objective, since=asked.since)
    start = max(asked.values.least, 1) if asked.start is None else asked.start
    course = Course(asked.trace, measure, start)
    ours = Following(asked.values, asked.profile)
    runs = [run(Runner(asked.policy.metadata.name, ours), course)]
    runs += [run(_best(name, asked, course), course) for name in asked.against]
    return Comparison(
        trace=_told(asked, runs[0]),
        profile=asked.profile,
        objective=asked.objective,
        runs=tuple(runs),
        load=load_of(asked.trace, asked.since),
        notes=tuple(_notes(asked, runs)),
    )


def _best(name: str, asked: Asked, course: Course) -> Runner:
    """Return the setting that does best on the part that may be looked at."""
    bounds = Bounds(asked.values.least, asked.values.most)
    runners = [Runner(name, one) for one in search.GRIDS[name](bounds)]
    known = part(asked.trace, 0.0, asked.since) if asked.tune else asked.trace
    tuning = replace(course, trace=known, measure=replace(course.measure, since=0.0))
    return runners[search.best(run_all(runners, tuning))]


def _told(asked: Asked, one: Outcome) -> str:
    length = _span(asked.trace.seconds - asked.since)
    begin = f", after {_span(asked.since)} to warm up and to tune by" if asked.tune else ""
    return f"{asked.source}: {one.requests} requests in {length}{begin}"


def _span(seconds: float) -> str:
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 120 else f"{minutes / 60:.1f} h"


def _notes(asked: Asked, runs: Sequence[Outcome]) -> Iterable[str]:
    if asked.against:
        bounds = Bounds(asked.values.least, asked.values.most)
        grids = (f"{name} of {len(search.GRIDS[name](bounds))}" for name in asked.against)
        known = "the part before" if asked.tune else "the same trace, known in advance"
        yield f"best setting: {', '.join(grids)}, by {known}: {search.RULE}"
    for one in runs:
        if one.unfinished:
            yield f"{one.name}: {one.unfinished} requests were not answered in full"
