"""What a judgement of a canary is told."""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from modelfleet.api.v1alpha1.engine import Engine
from modelfleet.api.v1alpha1.rollout import Analysis
from modelfleet.engines import built_in
from modelfleet.plan.analysis import Memory
from modelfleet.plan.census import census_of
from modelfleet.plan.model import plan_for
from modelfleet.plan.rollout.evidence import Finding, judged, needs_probes, next_judgement
from modelfleet.plan.rollout.progress import Progress
from modelfleet.plan.rollout.situation import Situation
from modelfleet.plan.samples import ProbeResult, Process, Scrape
from modelfleet.plan.samples import Reason as Failure
from modelfleet.plan.world import Exit, Observed, Pod
from support.builders import NOON, a_model, a_pod, a_world, an_engine, seconds_ago

STARTED = Progress(revision="new", started_at=seconds_ago(70))
SINCE = seconds_ago(600)
PODS = [
    a_pod(f"chat-{revision}-1", revision=revision, created_at=SINCE, ready_at=SINCE)
    for revision in ("new", "old")
]


def look(progress: Progress = STARTED, pods: list[Pod] = PODS, **facts: Any) -> Finding | None:
    seen = a_world(pods, **{"engine": built_in()["vllm"], **facts})
    model = a_model(replicas=2, rollout={"strategy": "Canary"})
    old = census_of("old", seen)
    return judged(Situation(model, census_of("new", seen), (old,), seen), old, progress)


def found(progress: Progress = STARTED, pods: list[Pod] = PODS, **facts: Any) -> Finding:
    finding = look(progress, pods, **facts)
    assert finding
    return finding


def reading(pod: Pod, at: datetime, requests: float, bad: float = 0, **facts: Any) -> Scrape:
    values: Any = {"succeeded": requests - bad, "errors": bad, "aborted": 0.0}
    return Scrape(
        pod=pod.uid, namespace="", model="chat", revision=pod.revision, at=at, values=values,
        **{"process": Process(0, 1.0), **facts},
    )  # fmt: skip


def a_probe(pod: Pod, at: datetime, failure: Failure | None = None, took: float = 1) -> ProbeResult:
    return ProbeResult(
        pod=pod.uid, namespace="", model="chat", revision=pod.revision, at=at, failure=failure,
        seconds=took, first_token_seconds=None if failure else took,
    )  # fmt: skip


def minutes(requests: float, bad: float) -> list[Scrape]:
    """Return what both pods told every ten seconds: the new one failed now and then."""
    return [
        reading(pod, seconds_ago(ago), requests * share, (pod is PODS[0]) * bad * share)
        for pod in PODS
        for ago in range(90, -1, -10)
        if (share := (90 - ago) / 90) is not None
    ]


# Intervals


@pytest.mark.parametrize("ago", [0, 30, 60, 61])
def test_before_an_interval_is_over_nothing_is_judged(ago: float) -> None:
    progress = replace(STARTED, started_at=seconds_ago(ago))

    assert look(progress) is None


def test_an_interval_ends_a_little_before_now() -> None:
    assert found(replace(STARTED, started_at=seconds_ago(62))).until == seconds_ago(2)


def test_the_next_look_is_due_when_the_interval_is_over() -> None:
    seen = a_world(PODS)
    at = Situation(a_model(), census_of("new", seen), (), seen)

    def due(**facts: Any) -> float:
        return next_judgement(at, Progress(revision="new", **facts)).total_seconds()

    assert due() == 60
    assert due(started_at=seconds_ago(10)) == 52
    judged_until = Memory(judged_until=seconds_ago(5))
    assert due(started_at=seconds_ago(900), memory=judged_until) == 57
    assert due(started_at=seconds_ago(900)) == 60, "a quiet interval is looked at once in a while"


def test_what_went_on_between_two_steps_is_left_out() -> None:
    memory = Memory(judged_until=seconds_ago(500))

    finding = found(replace(STARTED, memory=memory), scrapes=tuple(minutes(900, 0)))

    assert finding.memory.requests == 600


def test_an_interval_without_anything_is_not_remembered() -> None:
    memory = Memory(judged_until=seconds_ago(65))

    assert found(replace(STARTED, memory=memory)).memory == memory


# Sources


def test_errors_of_users_are_seen() -> None:
    finding = found(scrapes=tuple(minutes(900, 450)))

    assert "requests failed" in finding.evidence
    assert finding.evidence.endswith("(rests on requests of users)")


def test_probes_count_when_they_have_ended() -> None:
    probes = [a_probe(pod, seconds_ago(ago)) for pod in PODS for ago in (80, 60, 40, 20, 2)]

    finding = found(probes=tuple(probes))

    assert finding.memory.probes == 3
    assert "our own probes" in finding.evidence


@pytest.mark.parametrize("failure", [Failure.DEFECT, Failure.ADDRESS])
def test_probes_that_failed_by_ourselves_are_unknown(failure: Failure) -> None:
    probes = [a_probe(pod, seconds_ago(40), failure) for pod in PODS]

    assert found(probes=tuple(probes)).memory.probes == 0


def test_a_pod_is_warm_before_it_is_probed_for_a_verdict() -> None:
    cold = [replace(pod, ready_at=seconds_ago(50)) for pod in PODS]
    probes = [a_probe(pod, seconds_ago(ago)) for pod in cold for ago in (40, 25, 10)]

    assert found(pods=cold, probes=tuple(probes)).memory.probes == 1


def test_a_pod_that_told_nothing_keeps_the_canary_from_passing() -> None:
    assert "1 pod of the canary told nothing" in found().evidence


def test_an_engine_without_metrics_is_not_called_silent() -> None:
    assert "told nothing" not in found(engine=an_engine(metrics=None)).evidence


# Crashes


def crashed(pod: Pod, restarted_ago: float) -> Pod:
    back = {"started_at": seconds_ago(restarted_ago), "ready_at": seconds_ago(restarted_ago - 1)}
    return replace(pod, restarts=1, last_exit=Exit(137), **back)


def test_a_container_that_ends_under_load_fails_the_canary() -> None:
    finding = found(pods=[crashed(PODS[0], 30), PODS[1]])

    assert finding.judgement.verdict == "Fail"
    assert "containers ended under load 1 time" in finding.evidence


def test_unless_those_of_the_stable_revision_end_as_well() -> None:
    finding = found(pods=[crashed(pod, 30) for pod in PODS])

    assert finding.judgement.verdict == "Inconclusive"


@pytest.mark.parametrize("ago", [500, 75])
def test_an_end_before_the_step_is_none_of_it(ago: float) -> None:
    assert found(pods=[crashed(PODS[0], ago), PODS[1]]).judgement.verdict == "Inconclusive"


def test_each_end_is_told_once() -> None:
    pods = [crashed(PODS[0], 1), PODS[1]]

    early = found(pods=pods)
    later = found(
        replace(STARTED, memory=Memory(judged_until=early.until)),
        pods=pods,
        now=NOON + timedelta(seconds=70),
    )

    assert [one.judgement.memory.restarts[1] for one in (early, later)] == [0, 1]


def test_a_pod_that_failed_to_load_at_first_did_not_end_under_load() -> None:
    late = replace(crashed(PODS[0], 30), created_at=seconds_ago(60))

    assert found(pods=[late, PODS[1]]).judgement.verdict == "Inconclusive"


def test_what_a_crashed_process_told_still_counts() -> None:
    pods = [crashed(PODS[0], 20), PODS[1]]
    before = [reading(pod, seconds_ago(ago), 900 - ago) for pod in PODS for ago in (90, 60, 30)]

    assert found(pods=pods, scrapes=tuple(before)).memory.requests > 0


# What is asked for


@pytest.mark.parametrize(
    ("engine", "wanted"),
    [
        (built_in()["vllm"], False),
        (built_in()["llama-cpp"], True),
        (an_engine(metrics=None), True),
        (None, True),
    ],
    ids=["vllm", "llama.cpp", "no metrics", "unknown"],
)
def test_probes_are_sent_where_the_engine_tells_too_little(
    engine: Engine | None, wanted: bool
) -> None:
    assert needs_probes(Analysis(), engine) is wanted
    assert needs_probes(Analysis(probes="Always"), engine) is True
    assert needs_probes(Analysis(probes="Never"), engine) is False


def planned(seen: Observed, **rollout: Any) -> tuple[bool, bool]:
    model = a_model(replicas=2, rollout={"pinRevision": None, "strategy": "Canary", **rollout})
    status = model.status.model_copy(update={"stable_revision": "old"})
    plan = plan_for(model.model_copy(update={"status": status}), seen)
    return plan.compares, plan.probes


def test_engines_are_read_while_a_canary_is_judged_and_only_then() -> None:
    seen = a_world([replace(pod, revision="old") for pod in PODS])

    assert planned(seen) == (True, True)
    assert planned(seen, canary={"analysis": {"probes": "Never"}}) == (True, False)
    assert planned(seen, strategy="Auto") == (False, False)
    assert planned(replace(seen, engine=built_in()["vllm"])) == (True, False)
