"""The figures as a table that fits on a screen."""

from collections.abc import Iterable, Mapping
from typing import Any

Run = Mapping[str, Any]
Row = tuple[str, str, str]


def table(run: Run) -> str:
    """Return one run as text: what, measured, and the target where there is one."""
    rows = [*_at_once(run), *_at_rest(run), *_one_at_a_time(run), *_restarted(run)]
    width = max(len(row[0]) for row in rows)
    wide = max(len(row[1]) for row in rows)
    title = f"{run['models']} models on {run['nodes']} nodes"
    lines = [f"{what:<{width}}  {value:>{wide}}  {target}".rstrip() for what, value, target in rows]
    return "\n".join(["", title, "-" * len(title), *lines, ""])


def _at_once(run: Run) -> Iterable[Row]:
    plain, ours = run["script"], run["operator"]
    yield "all children applied, script / operator", _pair(plain, ours, "applied_seconds"), ""
    yield "all Deployments ready, script / operator", _pair(plain, ours, "ready_seconds"), ""
    yield "all Models Ready", f"{ours['told_seconds']:.1f} s", ""
    yield "Models Ready / script", f"{_ratio(plain, ours):.2f}", "< 1.20"
    yield "CPU of script / operator", _pair(plain, ours, "own_cpu_seconds"), ""
    for part in ("kube-apiserver", "kube-controller-manager", "etcd"):
        costs = [one["cluster_cpu_seconds"].get(part, 0.0) for one in (plain, ours)]
        yield f"CPU of {part}, with script / operator", f"{costs[0]:.1f} / {costs[1]:.1f} s", ""
    for request, count in ours["requests"].items():
        yield f"{request} per model", f"{count / run['models']:.2f}", ""
    yield "memory before / after", f"{ours['idle_mib']:.0f} / {ours['settled_mib']:.0f} MiB", ""
    yield "memory at its peak", f"{ours['peak_mib']:.0f} MiB", "< 150 MiB"


def _at_rest(run: Run) -> Iterable[Row]:
    ours = run["operator"]
    yield "writes in a minute at rest", f"{sum(ours['rest_writes'].values())}", "0"
    yield "CPU at rest", f"{ours['rest_cpu_percent']:.2f} % of a core", "< 3 %"


def _one_at_a_time(run: Run) -> Iterable[Row]:
    ours = run["operator"]
    yield "change to new Deployment, median", f"{ours['change_p50_ms']:.0f} ms", ""
    yield "change to new Deployment, p99", f"{ours['change_p99_ms']:.0f} ms", "< 100 ms"


def _restarted(run: Run) -> Iterable[Row]:
    ours = run["operator"]
    yield "restart to working", f"{ours['restart_ready_seconds']:.1f} s", ""
    yield "restart to first correct status", f"{ours['restart_correct_seconds']:.1f} s", "< 15 s"
    yield "writes after a restart", f"{sum(ours['restart_writes'].values())}", "0"


def _pair(plain: Run, ours: Run, key: str) -> str:
    return f"{plain[key]:.1f} / {ours[key]:.1f} s"


def _ratio(plain: Run, ours: Run) -> float:
    return float(ours["told_seconds"] / plain["ready_seconds"])
