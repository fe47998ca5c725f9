"""What is said of a canary: one line with the numbers that decided."""

from collections.abc import Collection, Sequence

from modelfleet.plan.analysis.evidence import Evidence
from modelfleet.plan.analysis.judgement import Amount, Finding
from modelfleet.plan.analysis.memory import Totals
from modelfleet.plan.analysis.tolerances import Margin, Subject, Tolerances
from modelfleet.plan.verdict import MOST_BYTES, within

SHARES: dict[str, str] = {
    "errors": "requests failed",
    "aborts": "requests aborted",
    "probeErrors": "probes failed",
}
NAMES: dict[str, str] = {
    "errors": "errors",
    "aborts": "aborts",
    "probeErrors": "errors of probes",
    "firstToken": "time to the first token",
    "outputToken": "time per output token",
    "probeFirstToken": "time to a probe's first token",
}
LATENCIES: dict[str, str] = {
    "firstToken": "to the first token",
    "outputToken": "per output token",
    "probeFirstToken": "to a probe's first token",
}


def sentence(failed: str | None, doubts: Sequence[str], findings: Sequence[Finding]) -> str:
    """Return one line for the status, of at most 1 KiB."""
    if failed:
        return within(failed, MOST_BYTES)
    numbers = "; ".join(one.text for one in findings if one.canary.count or one.stable.count)
    told = f"canary: {numbers}" if numbers else "canary: nothing is known of its requests"
    if doubts:
        return within(f"{told}. Not decided: {', '.join(doubts)}", MOST_BYTES)
    return within(f"{told}. Not worse by more than is acceptable", MOST_BYTES)


def subject(about: Subject, stable: Amount, canary: Amount) -> str:
    """Return both revisions' numbers of one subject."""
    if about in SHARES:
        return f"{_of(canary)} {SHARES[about]}, stable {_of(stable)}"
    return f"{_mean(canary)} {LATENCIES[about]}, stable {_mean(stable)}"


def failure(finding: Finding, tolerances: Tolerances, totals: Totals) -> str:
    """Return why the canary fails, where numbers decided."""
    margin = tolerances.margin(finding.subject)
    worse = _worse(finding, margin, totals)
    chance = f"a revision within that fails with probability < {_percent(tolerances.false_alarms)}"
    return within(f"canary: {finding.text}: {worse}; {chance}", MOST_BYTES)


def _worse(finding: Finding, margin: Margin, totals: Totals) -> str:
    if finding.subject in SHARES:
        return f"more than {_points(margin.tolerated)} worse"
    percent = _percent(margin.tolerated - 1)
    return f"more than {percent} slower in {totals.worse} of {totals.moments} comparisons"


def crash(stable: Evidence, canary: Evidence, restarts: tuple[int, int]) -> str:
    """Return why the canary fails, where its containers end."""
    looping = canary.health.crash_looping
    if looping and not stable.health.crash_looping:
        return f"canary: {_counted(looping, 'pod')} in a crash loop, stable none"
    before, now = restarts
    return (
        f"canary: containers ended under load {_counted(now, 'time')}, stable's {before or 'never'}"
    )


def few(what: str, count: float, least: int) -> str:
    """Return how far a minimum is."""
    return f"{count:.0f} of at least {least} {what}"


def silent(pods: Collection[str]) -> str:
    """Return how many pods told nothing."""
    return f"{_counted(len(pods), 'pod')} of the canary told nothing"


def unsure(finding: Finding) -> str:
    """Return which subject has not enough evidence yet."""
    return f"too little is known of {NAMES[finding.subject]}"


def suspicion(finding: Finding) -> str:
    """Return which subject looks bad, but not surely."""
    return f"more than tolerated, perhaps: {NAMES[finding.subject]}"


def _of(amount: Amount) -> str:
    if amount.value is None:
        return "0 of 0"
    bad = amount.value * amount.count
    return f"{bad:.0f} of {amount.count:.0f} ({_percent(amount.value)})"


def _mean(amount: Amount) -> str:
    return (
        "nothing" if amount.value is None else f"{_seconds(amount.value)} (of {amount.count:.0f})"
    )


def _seconds(value: float) -> str:
    return f"{value:.2f} s" if value >= 1 else f"{value * 1000:.3g} ms"


def _percent(share: float) -> str:
    digits = 1 if share * 100 % 1 >= 0.05 else 0
    return f"{share * 100:.{digits}f} %"


def _points(share: float) -> str:
    return f"{share * 100:g} point" + ("" if share == 0.01 else "s")


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}" + ("" if count == 1 else "s")
