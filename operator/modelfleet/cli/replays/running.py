"""Replays side by side, one process for each core: a grid has dozens of them."""

import os
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from copy import deepcopy
from dataclasses import dataclass, replace

from modelfleet.plan.simulation.outcome import Measure, Outcome, outcome_of
from modelfleet.plan.simulation.replay import Scaler, replay
from modelfleet.plan.simulation.traces import Trace

QUICK = 20_000
"""Requests of all replays together below which other processes cost more than they save."""


@dataclass(frozen=True, slots=True)
class Course:
    """What every run of a comparison has in common."""

    trace: Trace
    measure: Measure
    start: int
    """Replicas that are ready at the beginning."""


@dataclass(frozen=True, slots=True)
class Runner:
    """A scaler, and what its figures are shown under."""

    name: str
    scaler: Scaler


def run(runner: Runner, course: Course) -> Outcome:
    """Replay a trace with a scaler that remembers nothing yet."""
    profile = course.measure.profile
    history = replay(course.trace, profile, deepcopy(runner.scaler), course.start)
    return outcome_of(runner.name, runner.scaler.settings, course.measure, course.trace, history)


def run_all(runners: Sequence[Runner], course: Course) -> list[Outcome]:
    """Replay all of them and return their figures, without what happened when."""
    cores = min(len(runners), os.cpu_count() or 1)
    if cores < 2 or len(runners) * len(course.trace) < QUICK:
        return [_figures(one, course) for one in runners]
    with ProcessPoolExecutor(cores, initializer=_begin, initargs=(course,)) as pool:
        return list(pool.map(_in_process, runners))


_COURSE: list[Course] = []
"""Of a process of the pool: sent once, not with each run."""


def _begin(course: Course) -> None:
    _COURSE[:] = [course]


def _in_process(runner: Runner) -> Outcome:
    return _figures(runner, _COURSE[0])


def _figures(runner: Runner, course: Course) -> Outcome:
    return replace(run(runner, course), changes=(), moments=())
