"""A real engine with real weights, from the first answer to the last."""

import json

from kind import client, cluster
from kind.client import traffic
from kind.cluster import eventually, kubectl
from kind.reading import READ
from kind.served import Served

LONG = 24
"""Tokens of a stream that is under way for a while, and ends within the drain time on a machine
that has no time to spare."""

ENDLESS = 900
"""Tokens of a stream that no machine ends within the second that the engine is left."""


def test_a_real_engine_answers_through_the_service(served: Served):
    (pod,) = served.pods()
    (container,) = pod["spec"]["containers"]

    assert container["resources"]["limits"]["nvidia.com/gpu"] == "1"
    assert "Paris" in client.ask(served, "What is the capital of France?")


def test_the_operator_reads_its_real_metrics(served: Served, documents: list[cluster.Object]):
    (engine,) = (one for one in documents if one["kind"] == "Engine")
    client.ask(served, "What is the capital of Italy?")
    (pod,) = served.pods()

    told = json.loads(client.python(READ, pod["status"]["podIP"], "8080", json.dumps(engine)))

    assert told["running"] == told["waiting"] == 0
    assert told["promptTokens"] > 0
    assert told["generationTokens"] > 0


def test_a_rollout_cuts_no_stream(served: Served):
    before, scrapes = served.revision, _scrapes()

    with traffic(served) as streams:
        streams.until_more()
        served.patch(engine={"args": ["--ctx-size", "1024"]})
        eventually(lambda: served.revision != before, "there is no new revision")
        served.until_ready()
        eventually(lambda: not served.pods(before), "the old replica stays")
        streams.until_more(2)

    assert len(served.pods(served.revision)) == 1
    assert streams.failures() == []
    # Which replica leaves depends on what each has to do.
    assert _scrapes() > scrapes


def test_scaling_cuts_no_stream(served: Served):
    with traffic(served) as streams:
        served.scale(3)
        streams.until_more(6)
        served.scale(1)
        streams.until_more()

    assert streams.failures() == []


def test_a_pod_that_leaves_finishes_its_streams(served: Served):
    with traffic(served, tokens=LONG) as streams:
        served.until_busy()
        served.delete_pod()

    # It was the only one, so what came later may have been refused, but nothing was cut.
    assert [one for one in streams.told if one["done"]]
    assert streams.cut() == []


def test_without_the_drain_a_stream_is_cut(served: Served):
    with traffic(served, tokens=ENDLESS) as streams:
        served.until_busy()
        served.delete_pod("--grace-period=1")

    assert streams.cut()


def test_a_deleted_model_leaves_nothing(served: Served):
    assert served.children()

    served.delete()

    eventually(lambda: not served.children(), f"something of {served.name} stays")


def _scrapes() -> float:
    """Return how many pages of metrics the operator has read without fault, all replicas added."""
    pods = cluster.objects(
        "pods", "-n", cluster.OPERATOR, "-l", "app.kubernetes.io/component=operator"
    )
    pages = (
        kubectl(
            "get", "--raw", f"/api/v1/namespaces/{cluster.OPERATOR}/pods/{name}:8080/proxy/metrics"
        )
        for name in (pod["metadata"]["name"] for pod in pods)
    )
    lines = (line for page in pages for line in page.splitlines())
    counted = (line for line in lines if line.startswith('modelfleet_scrapes_total{outcome="ok"}'))
    return sum(float(line.rpartition(" ")[2]) for line in counted)
