"""The real vLLM for CPUs under the operator: metrics, drain, rollout. Slow: minutes to load."""

import json

from kind import cluster
from kind.client import python, traffic
from kind.cluster import eventually
from kind.reading import READ
from kind.served import Served


def test_it_answers_and_its_metrics_are_read(served: Served, engine: cluster.Object):
    with traffic(served, workers=2) as streams:
        streams.until_more(2)
    assert streams.failures() == []
    (pod,) = served.pods()

    told = json.loads(python(READ, pod["status"]["podIP"], "8000", json.dumps(engine)))

    assert told["running"] == told["waiting"] == 0
    assert told["succeeded"] == len(streams.told)
    assert told["generationTokens"] == 12 * len(streams.told)
    assert {"kvCacheUsage", "promptTokens", "errors", "aborted", "preemptions"} <= set(told)
    assert {"timeToFirstToken", "timePerOutputToken"} <= set(told["histograms"])


def test_sigterm_lets_it_finish(served: Served):
    """What runs when SIGTERM comes, five seconds after the deletion, ends whole."""
    with traffic(served, workers=1, tokens=1900) as streams:
        served.until_busy()
        served.delete_pod()

    assert streams.told
    assert streams.failures() == []
    served.until_ready()


def test_a_rollout_cuts_no_stream(served: Served):
    before = served.revision

    with traffic(served) as streams:
        streams.until_more()
        served.patch(servedNames=["tiny", "small"])
        eventually(lambda: served.revision != before, "there is no new revision")
        served.until_ready()
        eventually(lambda: not served.pods(before), "the old replica stays")
        streams.until_more(2)

    assert len(served.pods(served.revision)) == 1
    assert streams.failures() == []
