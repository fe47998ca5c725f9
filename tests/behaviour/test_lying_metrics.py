"""Engines that tell something other than what is so: none of it takes a replica away.

What no page can be made of (an error page, a timeout, a cut, a huge one) is a replica that tells
nothing: here as silence, on a cluster with real engines in tests/cluster/test_autoscaling.py.
"""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from behaviour.test_autoscaling import ROUND, a_policy, decided, followed, replicas, served, work
from modelfleet.plan.samples import Process, Scrape
from modelfleet.plan.world import Pod
from support.fake_cluster import FakeCluster
from support.fake_kubernetes import TEAM

LATER = 3000.0
"""Seconds: many windows."""

Values = dict[str, float]
IDLE: Values = {"running": 0.0, "waiting": 0.0}


def page(pod: Pod, cluster: FakeCluster, values: Values, **more: Any) -> Scrape:
    given = {"at": cluster.clock, "process": Process(pod.restarts), **more}
    return Scrape(
        pod=pod.uid, namespace=TEAM, model="chat", revision=pod.revision, values=values, **given
    )  # type: ignore[arg-type]


def tells(cluster: FakeCluster, seconds: float, told: Callable[[int, Pod], Scrape | None]) -> None:
    """Let time pass in which each pod tells what `told` makes of its place and itself."""
    until = cluster.clock + timedelta(seconds=seconds)
    while cluster.clock < until:
        ready = [pod for pod in cluster.pods() if pod.ready and not pod.terminating]
        found = [told(place, pod) for place, pod in enumerate(ready)]
        recent = [one for one in cluster.pages if cluster.clock - one.at < timedelta(seconds=75)]
        cluster.pages = [*recent, *(one for one in found if one is not None)]
        for _ in range(4):
            cluster.step()
        cluster.advance(ROUND)


@pytest.fixture
def busy(cluster: FakeCluster) -> FakeCluster:
    """Four replicas that four are needed of."""
    served(cluster)
    work(cluster, 38, 400)
    assert replicas(cluster) == 4
    return cluster


def test_one_replica_that_does_not_answer_keeps_all(busy: FakeCluster) -> None:
    """Its load may be all there is: 502 of a proxy, a timeout, a page of HTML."""
    tells(busy, LATER, lambda place, pod: page(pod, busy, IDLE) if place else None)

    assert decided(busy) == (4, "NoData")
    assert followed(busy) == ("False", "MetricsMissing")


def test_one_replica_that_does_not_know_its_own_names_keeps_all(busy: FakeCluster) -> None:
    """An upgrade of one revision renamed its metrics, or a wrong image is behind one address."""
    tells(busy, LATER, lambda place, pod: page(pod, busy, IDLE if place else {}))

    assert decided(busy) == (4, "NoData")


@pytest.mark.parametrize("skew", [-3600, -50, 50, 3600])
def test_pages_of_another_time_say_nothing(busy: FakeCluster, skew: float) -> None:
    """Our own clock was set, or a reading waited for long."""
    off = timedelta(seconds=skew)
    tells(busy, LATER, lambda _, pod: page(pod, busy, IDLE, at=busy.clock + off))

    assert replicas(busy) == 4
    assert decided(busy) == (4, "NoData")


def test_the_clock_of_an_engine_says_nothing_at_all(busy: FakeCluster) -> None:
    """Where the start of its process is told in a future, it is the same process as long as it is
    the same start, and its load counts as any other.
    """
    started = Process(0, started=9e9)
    tells(busy, 900, lambda _, pod: page(pod, busy, {**IDLE, "running": 9.5}, process=started))

    assert decided(busy) == (4, "FollowsLoad")


TOKENS = {"signals": {"tokensPerSecondPerReplica": 100}}


def counting(cluster: FakeCluster, rate: float, start: float = 0.0) -> Callable[[int, Pod], Scrape]:
    """Return pages of counters that grow at a rate from now on."""
    began = cluster.clock

    def told(_: int, pod: Pod) -> Scrape:
        total = max(0.0, start + rate * (cluster.clock - began).total_seconds())
        return page(pod, cluster, {**IDLE, "promptTokens": total, "generationTokens": 0.0})

    return told


def test_a_counter_that_falls_is_no_lull(cluster: FakeCluster) -> None:
    """Several engines behind one address, or a page that is cached."""
    served(cluster, a_policy(**TOKENS))
    tells(cluster, 600, counting(cluster, 380))
    assert replicas(cluster) == 4

    tells(cluster, LATER, counting(cluster, -1, start=1e6))

    assert decided(cluster) == (4, "NoData")


def test_a_counter_that_was_reset_is_neither_load_nor_a_lull(cluster: FakeCluster) -> None:
    """Engines that restart one after another, as by a driver's update."""
    served(cluster, a_policy(**TOKENS))
    tells(cluster, 600, counting(cluster, 380))
    began = cluster.clock

    def restarting(place: int, pod: Pod) -> Scrape:
        seconds = (cluster.clock - began).total_seconds()
        run, since = divmod(seconds + 100 * place, 400)
        values = {**IDLE, "promptTokens": 95 * since, "generationTokens": 0.0}
        return page(pod, cluster, values, process=Process(int(run)))

    tells(cluster, LATER, restarting)

    assert replicas(cluster) == 4
    assert next(one.replicas for one in cluster.status().autoscaling.decisions) == 4  # type: ignore[union-attr]


def failing(cluster: FakeCluster, rate: float) -> Callable[[int, Pod], Scrape]:
    """Return pages of idle engines whose errors grow at a rate from now on, and nothing else."""
    began = cluster.clock

    def told(_: int, pod: Pod) -> Scrape:
        errors = rate * (cluster.clock - began).total_seconds()
        return page(pod, cluster, {**IDLE, "succeeded": 1000.0, "errors": errors})

    return told


def test_a_replica_of_which_every_request_fails_is_not_taken_for_idle(busy: FakeCluster) -> None:
    """`/health` answers 200 and `/v1` 500 at once: nothing runs, and nothing is served."""
    tells(busy, LATER, failing(busy, 5))

    assert decided(busy) == (4, "NoData")
    assert followed(busy) == ("False", "RequestsFail")


def test_some_mistakes_of_clients_are_no_failure(busy: FakeCluster) -> None:
    tells(busy, LATER, failing(busy, 0.02))

    assert decided(busy)[0] == 1
