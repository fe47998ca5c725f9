"""The decision about replicas: a pure function of a policy, a model, its load and its memory.

Bounds, schedules and the cost ceiling come first and hold whatever the load is. Within them the
signal that needs most raises the number, at once. It is lowered only where every signal is known,
all of them agree for a whole window, no replica is loading, no rollout is under way, and what is
saved is worth another start. With anything unknown the number stays as it is.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from modelfleet.plan.scaling import wording, worth
from modelfleet.plan.scaling.bounds import Bounds, bounds_for
from modelfleet.plan.scaling.complaints import Complaint, complaints_for
from modelfleet.plan.scaling.facts import Facts, Samples
from modelfleet.plan.scaling.memory import Look, Memory
from modelfleet.plan.scaling.policy import Policy
from modelfleet.plan.scaling.signals import Load, Want, is_quiet, load_of, wants_for

LEAST_QUIET = 600.0
QUIET_STARTS = 4.0
"""A model that sleeps answers nobody for a cold start: it must have been idle for several."""

DOUBLED = 2
"""Times what is asked for already: while replicas are on their way, what waits for them piles up
and looks like load. Only so much more of it is believed before they are there."""

RECENT = 0.25
"""Share of a window, a minute at least, in which load was high: then nobody is told that it is low.
"""
LEAST_RECENT = 60.0


class Why(StrEnum):
    """What the number of replicas follows; one word of the status."""

    FOLLOWS_LOAD = "FollowsLoad"
    LIMITED = "Limited"
    """By a bound, a schedule or the ceiling."""
    WAITS = "WaitsForReplicas"
    """Load asks for more; replicas that were asked for before are on their way."""
    STABILIZING = "Stabilizing"
    """Fewer would do, and not for long enough yet."""
    NOT_WORTH_IT = "NotWorthIt"
    """Fewer would do, and starting them again would cost more than is saved."""
    ROLLING_OUT = "RollingOut"
    """Fewer would do, once the rollout is over."""
    OTHERS = "ScaledByOthers"
    """Fewer would do, and somebody else scales the Model as well."""
    LOADING = "Loading"
    """Fewer would do, or nothing is known, while replicas load."""
    NO_DATA = "NoData"
    """Some signal is not known, so nothing is taken away."""
    ASLEEP = "ScaledToZero"


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """How many replicas there should be, why, and what to remember."""

    replicas: int
    before: int
    why: Why
    message: str
    """One line for people."""
    wants: tuple[Want, ...] = ()
    complaints: tuple[Complaint, ...] = ()
    """What of the policy cannot be followed; a person may have to act."""
    memory: Memory
    peak: int | None = None
    """The most that would have sufficed within the window."""

    @property
    def changes(self) -> bool:
        """Whether replicas come or go."""
        return self.replicas != self.before


@dataclass(slots=True)
class Case:
    """Everything that one decision looks at. The figures below the line are derived once."""

    policy: Policy
    facts: Facts
    load: Load
    wants: tuple[Want, ...]
    bounds: Bounds
    memory: Memory
    now: datetime

    desired: int = 0
    """What was decided last, within the bounds of now."""
    needs: int = 0
    """What no signal is content below."""
    suffices: int | None = None
    """What all signals are content with; None where one is not known."""
    down_after: timedelta = timedelta()
    """The window of a scale-down."""
    up_after: timedelta = timedelta()
    """The window of a scale-up."""

    @property
    def sleeps_after(self) -> timedelta:
        """How long no request may have come before the last replica goes."""
        given = self.policy.to_zero.after if self.policy.to_zero else None
        least = max(LEAST_QUIET, QUIET_STARTS * self.facts.start)
        return timedelta(seconds=least if given is None else given)

    @property
    def may_sleep(self) -> bool:
        """Whether it was idle for so long that no replica is an answer."""
        quiet = self.memory.quiet_since
        return not self.bounds.least and quiet is not None and self.now - quiet >= self.sleeps_after


def decide(
    policy: Policy, facts: Facts, samples: Samples, memory: Memory, now: datetime
) -> Decision:
    """Return how many replicas a model should have. Total: every input has a decision."""
    load = load_of(policy, facts, samples, now)
    bounds = bounds_for(policy, facts, samples.held, now)
    case = _case_for(policy, facts, load, bounds, memory, now)
    replicas, why, because = _chosen(case)
    return Decision(
        replicas=replicas,
        before=facts.desired,
        why=why,
        message=wording.line(case.wants, load, replicas, because),
        wants=case.wants,
        complaints=complaints_for(load, bounds, case.wants),
        memory=case.memory,
        peak=_peak(case),
    )


def _case_for(
    policy: Policy, facts: Facts, load: Load, bounds: Bounds, memory: Memory, now: datetime
) -> Case:
    wants = wants_for(load)
    case = Case(policy, facts, load, wants, bounds, memory, now)
    case.desired = min(max(facts.desired, bounds.least), bounds.most)
    case.needs = max((one.needs for one in wants), default=0)
    case.suffices = _sufficient(load, wants)
    case.down_after = timedelta(seconds=policy.down.length(facts.start))
    case.up_after = timedelta(seconds=policy.up.length(facts.start))
    case.memory = memory.after(_look(case))
    return case


def _sufficient(load: Load, wants: tuple[Want, ...]) -> int | None:
    if not load.replicas:
        return None
    known = [one.suffices for one in wants if one.suffices is not None]
    return max(known, default=0) if len(known) == len(wants) else None


def _look(case: Case) -> Look:
    now, suffices = case.now, case.suffices
    return Look(
        now=now,
        needs=case.needs,
        enough=max(case.needs, case.desired) if suffices is None else suffices,
        known=suffices is not None,
        quiet=is_quiet(case.load),
        desired=case.desired,
        highs_after=now - case.down_after,
        lows_after=now - case.up_after,
    )


def _peak(case: Case) -> int | None:
    """Return what the window allows to go down to; more than there are is nobody's business."""
    peak = case.memory.peak(case.now - case.down_after)
    return None if peak is None else min(peak, case.desired)


# --- which number ---------------------------------------------------------------

Choice = tuple[int, Why, str]


def _chosen(case: Case) -> Choice:
    """Return the first answer that applies, in order of importance."""
    found = (choose(case) for choose in CHOICES)
    return next(one for one in found if one is not None)


def _clamped(case: Case) -> Choice | None:
    """Bounds hold whatever the load is, and whether it is known or not."""
    if case.facts.desired < case.desired:
        wanted = min(max(case.needs, case.desired), case.bounds.most)
        return wanted, Why.LIMITED, f"{case.bounds.least_by} asks for {case.bounds.least}"
    if case.facts.desired > case.desired:
        return case.desired, Why.LIMITED, f"{case.bounds.most_by} allows {case.bounds.most}"
    return None


def _asleep(case: Case) -> Choice | None:
    """Nothing tells that a model without replicas is wanted but who holds its requests."""
    if case.desired:
        return None
    if case.load.held:
        return max(1, min(case.needs, case.bounds.most)), Why.FOLLOWS_LOAD, "requests are held"
    return 0, Why.ASLEEP, "no replica until a schedule, minReplicas or held requests ask for one"


def _up(case: Case) -> Choice | None:
    """Go to what is needed; the best of those signals that are over their target."""
    now, desired = case.now, case.desired
    lasting = (case.memory.trough(now - case.up_after) or 0) if case.up_after else case.needs
    if min(case.needs, lasting) <= desired:
        return None
    over = [one for one in case.wants if one.needs > desired]
    best = max(max(one.best, one.needs) for one in over)
    certain = any(not one.piles_up for one in over)
    if case.facts.coming and case.needs < DOUBLED * desired and not certain:
        return desired, Why.WAITS, f"{best} are asked for; {wording.coming(case.facts)}"
    if desired >= case.bounds.most:
        return desired, Why.LIMITED, f"{best} are asked for, {case.bounds.most_by} allows {desired}"
    replicas = min(best, case.bounds.most)
    names = " and ".join(one.signal for one in over)
    if replicas < best:
        because = f"{names} asks for {best}, {case.bounds.most_by} allows {replicas}"
        return replicas, Why.LIMITED, because
    return replicas, Why.FOLLOWS_LOAD, f"{names} asks for {replicas}"


def _rising(case: Case) -> Choice | None:
    """Load that is over its target, and not for long enough yet."""
    if case.needs <= case.desired:
        return None
    because = f"{case.needs} are needed, waiting out {wording.span(case.up_after)} of high load"
    return case.desired, Why.STABILIZING, because


def _unknown(case: Case) -> Choice | None:
    """Whatever is not known holds the number. Replicas that load have nothing to tell."""
    if case.suffices is not None:
        return None
    if not case.load.replicas and case.facts.loading:
        return case.desired, Why.LOADING, f"{wording.coming(case.facts)}, and none is ready yet"
    because = wording.unknown(case.wants, case.load)
    return case.desired, Why.NO_DATA, f"{because}, so no replica is taken away"


def _steady(case: Case) -> Choice | None:
    """All is well, or fewer would do but for a bound."""
    suffices = case.suffices or 0
    if suffices >= case.desired or _was_high(case):
        return case.desired, Why.FOLLOWS_LOAD, "as many as are needed"
    if case.desired <= case.bounds.least:
        because = f"{suffices} would do, {case.bounds.least_by} asks for {case.bounds.least}"
        return case.desired, Why.LIMITED, because
    return None


def _was_high(case: Case) -> bool:
    """Return whether all replicas were needed a moment ago, so that the reason does not flicker."""
    if case.may_sleep:
        return False
    recent = max(timedelta(seconds=LEAST_RECENT), RECENT * case.down_after)
    peak = case.memory.peak(case.now - min(case.down_after, recent))
    return peak is not None and peak >= case.desired


def _down(case: Case) -> Choice:
    """Take replicas away, unless something speaks against it."""
    target = lower_for(case)
    for why_not in OBJECTIONS:
        if (objection := why_not(case, target)) is not None:
            return case.desired, *objection
    if not target:
        quiet = wording.span(case.now - (case.memory.quiet_since or case.now))
        return 0, Why.ASLEEP, f"no request for {quiet}"
    because = f"{target} have sufficed for {wording.span(case.down_after)}"
    if (sums := worth.restart(case.policy, case.facts, case.memory, target, case.now)) is not None:
        because = f"{because}; {sums.told}"
    return target, Why.FOLLOWS_LOAD, because


def lower_for(case: Case) -> int:
    """Return what to go down to: the peak of the window, and none only after long quiet.

    The last one has a window of its own, which is how long it must have been idle.
    """
    if case.may_sleep and case.desired == 1:
        return case.suffices or 0
    peak = case.memory.peak(case.now - case.down_after)
    target = max(case.suffices or 0, case.desired if peak is None else peak, case.bounds.least)
    return target if case.may_sleep else max(1, target)


CHOICES: tuple[Callable[[Case], Choice | None], ...] = (
    _clamped,
    _asleep,
    _up,
    _rising,
    _unknown,
    _steady,
    _down,
)


# --- what speaks against fewer ---------------------------------------------------

Objection = tuple[Why, str]


def _is_loading(case: Case, _: int) -> Objection | None:
    """Load that is about to be shared by more says little about how many will be needed."""
    if not case.facts.loading:
        return None
    return Why.LOADING, f"{case.suffices} would do; {wording.coming(case.facts)}"


def _is_contested(case: Case, _: int) -> Objection | None:
    """Of two that decide, at least one goes by what it does not know."""
    if not case.facts.scaled_by:
        return None
    return Why.OTHERS, f"{case.suffices} would do; {case.facts.scaled_by} scales this Model too"


def _rolls_out(case: Case, _: int) -> Objection | None:
    if not case.facts.rolling_out:
        return None
    return Why.ROLLING_OUT, f"{case.suffices} would do; a rollout is under way"


def _too_soon(case: Case, target: int) -> Objection | None:
    """A window counts from the last peak."""
    if case.desired == 1 and target == 1:
        since = case.memory.quiet_since
        idle = "idle" if since else "in use"
        until = f", sleeps at {wording.clock(since + case.sleeps_after)}" if since else ""
        return Why.STABILIZING, f"none would do: {idle}{until}"
    if target >= case.desired:
        why = f"{case.suffices} would do, {target} were needed"
        return Why.STABILIZING, f"{why} within the last {wording.span(case.down_after)}"
    return None


def _not_worth_it(case: Case, target: int) -> Objection | None:
    sums = worth.restart(case.policy, case.facts, case.memory, target, case.now)
    return None if sums is None or sums.pays else (Why.NOT_WORTH_IT, sums.told)


OBJECTIONS: tuple[Callable[[Case, int], Objection | None], ...] = (
    _is_contested,
    _rolls_out,
    _is_loading,
    _too_soon,
    _not_worth_it,
)
