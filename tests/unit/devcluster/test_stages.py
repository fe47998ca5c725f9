import pytest
import yaml

from devcluster import stages
from devcluster.options import ClusterOptions

DOCUMENTS = list(
    yaml.safe_load_all(stages.document_for(ClusterOptions(pull_seconds=0.25, load_seconds=123.0)))
)


def stage(name):
    return next(d for d in DOCUMENTS if d["metadata"]["name"] == name)


def expressions(document):
    delay = document["spec"].get("delay", {}).get("durationFrom", {}).get("expressionFrom", "")
    return [delay, *(e["key"] for e in document["spec"]["selector"]["matchExpressions"])]


def test_all_stages_are_for_nodes_or_pods_and_have_names_of_their_own():
    names = [d["metadata"]["name"] for d in DOCUMENTS]

    assert {d["spec"]["resourceRef"]["kind"] for d in DOCUMENTS} == {"Node", "Pod"}
    assert len(names) == len(set(names))


@pytest.mark.parametrize(
    ("name", "seconds"),
    [("pod-pulled", '"0.25"'), ("pod-loaded", '"123"'), ("pod-crashes", '"123"')],
)
def test_the_delays_of_a_cluster_are_the_default_of_its_pods(name, seconds):
    assert any(seconds in expression for expression in expressions(stage(name)))


def test_no_default_is_left_open():
    text = yaml.safe_dump_all(DOCUMENTS)

    assert "PULL_SECONDS" not in text
    assert "LOAD_SECONDS" not in text
    assert "API_ADDRESS" not in text


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda d: d["metadata"]["name"])
def test_a_pod_that_is_going_is_touched_only_by_the_stages_of_its_end(document):
    if document["spec"]["resourceRef"]["kind"] != "Pod":
        return
    found = [
        e["operator"]
        for e in document["spec"]["selector"]["matchExpressions"]
        if e["key"] == ".metadata.deletionTimestamp"
    ]
    ending = document["metadata"]["name"] in ("pod-deleted", "pod-killed")

    assert found == ["Exists" if ending else "DoesNotExist"]
