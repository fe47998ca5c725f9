"""Is the new revision worse than the stable one at the same time? One answer for each interval.

Every subject is a bet of its own, with its share of one unit of money; the rollout fails when all
of them together have made 1 / `false_alarms` out of it. So the probability of a false alarm holds
for the whole rollout, all subjects and all looks. A step passes when, besides, each subject has
won 1 / `false_passes` against "unacceptable": no evidence is not enough, but a little is.
"""

import math
from collections.abc import Mapping
from dataclasses import replace

from modelfleet.plan.analysis import betting, compare, latencies, wording
from modelfleet.plan.analysis.compare import Told
from modelfleet.plan.analysis.evidence import Evidence
from modelfleet.plan.analysis.judgement import Amount, Finding, Judgement, Verdict
from modelfleet.plan.analysis.memory import Memory, Totals, Trail
from modelfleet.plan.analysis.tolerances import Subject, Tolerances

STAKES: Mapping[Subject, float] = {
    "errors": 0.4,
    "firstToken": 0.2,
    "outputToken": 0.15,
    "aborts": 0.1,
    "probeErrors": 0.1,
    "probeFirstToken": 0.05,
}
"""How the money is divided: what hurts users most needs the least evidence."""

SUSPICIOUS = 10.0
"""Money at which nothing passes: a tenth of what fails, if one in a hundred may fail wrongly."""

INSTEAD: Mapping[Subject, Subject] = {"probeErrors": "errors", "probeFirstToken": "firstToken"}
"""A probe's subject need not pass where users' requests tell the same."""


def judge(stable: Evidence, canary: Evidence, tolerances: Tolerances, memory: Memory) -> Judgement:
    """Return the verdict on the canary after one more window. Total: any evidence has a verdict.

    Both windows must cover the same span, and begin no earlier than the last one that was judged;
    else they add nothing, and the verdict is that of what is remembered.
    """
    known = compare.told(stable, canary)
    if _is_news(stable, canary, memory):
        memory = _after(stable, canary, known, tolerances, memory)
    findings = tuple(
        _finding(one, tolerances, memory) for one in compare.SUBJECTS if _seen(one, memory, known)
    )
    failed = memory.failed or _why_failed(stable, canary, findings, tolerances, memory)
    memory = replace(memory, failed=failed)
    doubts = _doubts(canary, known, findings, tolerances, memory)
    return Judgement(
        verdict=_verdict(failed, doubts),
        sentence=wording.sentence(failed, doubts, findings),
        rests_on=tuple(one.subject for one in findings if _counts(one, known)),
        unknown=tuple(one for one in compare.SUBJECTS if one not in known),
        findings=findings,
        suspicious=bool(failed) or _money(findings) >= SUSPICIOUS,
        memory=memory,
    )


def _verdict(failed: str | None, doubts: list[str]) -> Verdict:
    if failed:
        return Verdict.FAIL
    return Verdict.INCONCLUSIVE if doubts else Verdict.PASS


# --- what is remembered -------------------------------------------------------


def _is_news(stable: Evidence, canary: Evidence, memory: Memory) -> bool:
    since, until = canary.window.since, canary.window.until
    if (stable.window.since, stable.window.until) != (since, until) or since >= until:
        return False
    return memory.judged_until is None or memory.judged_until <= since


def _after(
    stable: Evidence, canary: Evidence, known: Told, tolerances: Tolerances, memory: Memory
) -> Memory:
    trails: dict[str, Trail] = {
        subject: _trail(subject, known, tolerances, memory)
        for subject in compare.SUBJECTS
        if subject in known or subject in memory.trails
    }
    probes = canary.probes.ok + canary.probes.failed if canary.probes else 0
    return replace(
        memory,
        judged_until=canary.window.until,
        # The engine counts our own among them.
        requests=memory.requests + max(0.0, (compare.requests_of(canary.window) or 0.0) - probes),
        probes=memory.probes + probes,
        restarts=(
            memory.restarts[0] + _restarts(stable),
            memory.restarts[1] + _restarts(canary),
        ),
        trails=trails,
    )


def _trail(subject: Subject, known: Told, tolerances: Tolerances, memory: Memory) -> Trail:
    trail = memory.trails.get(subject, Trail())
    if subject not in known:
        return trail
    margin, caps = tolerances.margin(subject), _caps(subject, tolerances)
    found = known[subject]
    if isinstance(found, tuple):
        return compare.after_shares(trail, found, margin, caps)
    fewest = 1 if subject == "probeFirstToken" else latencies.FEWEST
    return compare.after_latencies(trail, found, margin, caps, fewest)


def _caps(subject: Subject, tolerances: Tolerances) -> tuple[float, float]:
    """Return how much one look can win at most: so much that two can decide and one cannot.

    Errors come in bursts, and a burst is no fault of a revision. The margin is for rounding.
    """
    alarm = 1 / (tolerances.false_alarms * STAKES[subject] * betting.FIRST)
    return (math.log(alarm) / 2 + 0.01, math.log(1 / tolerances.false_passes) / 2 + 0.01)


def _restarts(evidence: Evidence) -> int:
    """The same restart may be seen from both sides."""
    return max(evidence.window.restarts, evidence.health.restarts)


# --- failing ------------------------------------------------------------------


def _why_failed(
    stable: Evidence,
    canary: Evidence,
    findings: tuple[Finding, ...],
    tolerances: Tolerances,
    memory: Memory,
) -> str | None:
    if _crashes(stable, canary, memory):
        return wording.crash(stable, canary, memory.restarts)
    if _money(findings) < 1 / tolerances.false_alarms:
        return None
    worst = _worst(findings)
    return wording.failure(worst, tolerances, memory.trails[worst.subject].totals)


def _worst(findings: tuple[Finding, ...]) -> Finding:
    return max(findings, key=lambda one: STAKES[one.subject] * one.alarm)


def _money(findings: tuple[Finding, ...]) -> float:
    """Return all that the stakes have become. A subject that nobody told of keeps its stake."""
    idle = 1 - math.fsum(STAKES[one.subject] for one in findings)
    return idle + math.fsum(STAKES[one.subject] * one.alarm for one in findings)


def _crashes(stable: Evidence, canary: Evidence, memory: Memory) -> bool:
    """Return whether the canary's containers end, and more of them than stable's."""
    if canary.health.crash_looping and not stable.health.crash_looping:
        return True
    before, now = memory.restarts
    return now * _pods(stable) > before * _pods(canary)


def _pods(evidence: Evidence) -> int:
    return max(1, evidence.health.pods, len(evidence.window.pods | evidence.window.silent))


# --- passing ------------------------------------------------------------------


def _doubts(
    canary: Evidence,
    known: Told,
    findings: tuple[Finding, ...],
    tolerances: Tolerances,
    memory: Memory,
) -> list[str]:
    """Return what speaks against passing, the weightiest first."""
    by_subject = {one.subject: one for one in findings}
    unsure = [
        wording.unsure(one)
        for one in findings
        if _must_pass(one.subject, known) and not _is_quiet(one) and one.clear < one.passes_at
    ]
    return [
        *_too_little(canary, known, tolerances, memory),
        *([wording.suspicion(_worst(findings))] if _money(findings) >= SUSPICIOUS else []),
        *unsure,
        *([] if _told_of_failures(by_subject, known) else ["nobody tells whether requests fail"]),
    ]


def _too_little(canary: Evidence, known: Told, tolerances: Tolerances, memory: Memory) -> list[str]:
    doubts = []
    if canary.window.silent:
        doubts.append(wording.silent(canary.window.silent))
    counted = compare.requests_of(canary.window) is not None
    if counted and memory.requests < tolerances.minimum_requests:
        doubts.append(wording.few("requests", memory.requests, tolerances.minimum_requests))
    if "errors" not in known and memory.probes < tolerances.minimum_probes:
        doubts.append(wording.few("probes", memory.probes, tolerances.minimum_probes))
    return doubts


def _told_of_failures(findings: Mapping[Subject, Finding], known: Told) -> bool:
    return any(one in known and one in findings for one in ("errors", "probeErrors"))


def _must_pass(subject: Subject, known: Told) -> bool:
    return subject in known and INSTEAD.get(subject) not in known


def _is_quiet(finding: Finding) -> bool:
    """Return whether there was nothing to observe at all, as of a model that streams nothing."""
    is_latency = finding.subject in compare.LATENCIES
    return is_latency and not finding.stable.count and not finding.canary.count


# --- findings -----------------------------------------------------------------


def _seen(subject: Subject, memory: Memory, known: Told) -> bool:
    return subject in known or subject in memory.trails


def _counts(finding: Finding, known: Told) -> bool:
    return finding.subject in known and finding.canary.count > 0 and finding.stable.count > 0


def _finding(subject: Subject, tolerances: Tolerances, memory: Memory) -> Finding:
    trail = memory.trails.get(subject, Trail())
    alarm, clear = betting.worth(trail.alarm, trail.looks), betting.worth_staked(trail.clear)
    fails_at = 1 / (tolerances.false_alarms * STAKES[subject])
    passes_at = 1 / tolerances.false_passes
    stable, canary = _amounts(trail.totals)
    return Finding(
        subject=subject,
        verdict=_of_numbers(alarm >= fails_at, clear >= passes_at),
        stable=stable,
        canary=canary,
        alarm=alarm,
        fails_at=fails_at,
        clear=clear,
        passes_at=passes_at,
        text=wording.subject(subject, stable, canary),
    )


def _of_numbers(fails: bool, passes: bool) -> Verdict:
    if fails:
        return Verdict.FAIL
    return Verdict.PASS if passes else Verdict.INCONCLUSIVE


def _amounts(totals: Totals) -> tuple[Amount, Amount]:
    both = (totals.stable, totals.canary)
    stable, canary = (Amount(count, total / count if count > 0 else None) for count, total in both)
    return stable, canary
