"""Pictures by matplotlib, which few people need: `pip install modelfleet[pictures]`."""

from importlib.util import find_spec
from pathlib import Path
from typing import Any

from modelfleet.cli.replays.lines import Points, ready_of
from modelfleet.cli.replays.table import Comparison

HOUR = 3600.0
MISSING = "needs matplotlib: pip install 'modelfleet[pictures]'"


def is_possible() -> bool:
    """Say whether matplotlib is here."""
    return find_spec("matplotlib") is not None


def draw(comparison: Comparison, file: Path) -> None:
    """Write load, and ready replicas of each run, as a PNG."""
    from matplotlib.figure import Figure  # noqa: PLC0415

    figure = Figure(figsize=(11, 6.5), layout="constrained")
    load, ready = figure.subplots(2, 1, sharex=True, height_ratios=(1, 2))
    figure.suptitle(f"{comparison.trace}; {comparison.profile.name}", fontsize=11)
    load.fill_between(*_hours(comparison.load), color="0.75", linewidth=0)
    load.set_ylabel("prompt tokens/s")
    for one in comparison.runs:
        label = f"{one.name}: {one.gpu_hours:.1f} GPU h, p95 {one.p95:.2f} s"
        ready.step(*_hours(ready_of(one)), where="post", label=label)
    ready.set(ylabel="ready replicas", xlabel="hours", ylim=(0, None))
    ready.legend(loc="upper right", fontsize=9)
    _grid(load, ready)
    figure.savefig(file, format="png", dpi=110)


def _hours(points: Points) -> tuple[list[float], list[float]]:
    return [at / HOUR for at, _ in points], [value for _, value in points]


def _grid(*axes: Any) -> None:
    for one in axes:
        one.grid(alpha=0.3)
        one.spines[["top", "right"]].set_visible(False)
