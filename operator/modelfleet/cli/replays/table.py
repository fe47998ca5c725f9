"""The figures of a comparison, for a terminal and for programs."""

import math
from dataclasses import dataclass
from typing import Any

from modelfleet.cli.columns import aligned
from modelfleet.plan.simulation.outcome import Outcome
from modelfleet.plan.simulation.profiles import Profile

HEADER = (
    *("run", "GPU hours", "dollars", "changes", "cold starts", "requests", "over objective"),
    *("p50 s", "p95 s", "p99 s"),
)


@dataclass(frozen=True, slots=True)
class Comparison:
    """All that is shown."""

    trace: str
    """Where it is from, how many requests, how long."""
    profile: Profile
    objective: float
    runs: tuple[Outcome, ...]
    load: tuple[tuple[float, float], ...]
    """Prompt tokens per second, by instants."""
    notes: tuple[str, ...] = ()


def text_of(comparison: Comparison) -> str:
    """Return a table with what it is about above it, and how it came about below."""
    rows = [HEADER, *(_row(one) for one in comparison.runs)]
    settings = [f"{one.name}: {one.settings}" for one in comparison.runs]
    lines = [*heading(comparison), "", aligned(rows), "", *settings, *comparison.notes]
    return "\n".join(lines)


def heading(comparison: Comparison) -> list[str]:
    """Return what the figures are about."""
    profile = comparison.profile
    gpus = f"{profile.gpus} GPU" if profile.gpus == 1 else f"{profile.gpus} GPUs"
    return [
        f"trace    {comparison.trace}",
        f"profile  {profile.name}: {gpus} at ${profile.dollars_per_gpu_hour:g} per hour, "
        f"{profile.cold_start_seconds:g} s to start",
        f"objective: first token within {comparison.objective:g} s",
    ]


def cells(one: Outcome) -> tuple[str, ...]:
    """Return the figures of a run, as in `HEADER`."""
    return _row(one)


def _row(one: Outcome) -> tuple[str, ...]:
    share = 100 * one.over_objective / one.requests if one.requests else 0.0
    return (
        one.name,
        f"{one.gpu_hours:.2f}",
        f"{one.dollars:.2f}",
        str(one.scale_changes),
        str(one.cold_starts),
        str(one.requests),
        f"{one.over_objective} ({share:.1f} %)",
        *(_seconds(value) for value in (one.p50, one.p95, one.p99)),
    )


def _seconds(value: float) -> str:
    return f"{value:.2f}" if math.isfinite(value) else "never"


# --- for programs -------------------------------------------------------------


def json_of(comparison: Comparison) -> dict[str, Any]:
    """Return the figures. A time that never comes is null."""
    return {"runs": [_run(one) for one in comparison.runs]}


def _run(one: Outcome) -> dict[str, Any]:
    return {
        "name": one.name,
        "gpu_hours": round(one.gpu_hours, 4),
        "dollars": round(one.dollars, 4),
        "scale_changes": one.scale_changes,
        "cold_starts": one.cold_starts,
        "requests": one.requests,
        "over_objective": one.over_objective,
        "ttft_seconds": {
            name: round(value, 4) if math.isfinite(value) else None
            for name, value in (("p50", one.p50), ("p95", one.p95), ("p99", one.p99))
        },
        "settings": one.settings,
        "unfinished": one.unfinished,
        "objective_seconds": one.objective_seconds,
        "mean_replicas": round(one.mean_replicas, 4),
        "changes": [
            {"at": at.at, "before": at.before, "after": at.after, "because": at.because}
            for at in one.changes
        ],
    }
