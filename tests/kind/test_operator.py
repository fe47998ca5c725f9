"""The chart, the image and the operator on a cluster that runs containers."""

import json

from kind import client, cluster
from kind.cluster import helm, kubectl, objects
from kind.served import Served

SELECTOR = ("-n", cluster.OPERATOR, "-l", "app.kubernetes.io/component=operator")


def test_both_replicas_run_and_pass_the_tests_of_the_chart():
    pods = objects("pods", *SELECTOR)

    assert len(pods) == 2
    assert all(one["ready"] for pod in pods for one in pod["status"]["containerStatuses"])
    assert "Succeeded" in helm("test", "modelfleet")


def test_the_image_runs_as_nobody_and_writes_nothing():
    (pod, _) = objects("pods", *SELECTOR)
    name = pod["metadata"]["name"]
    script = "import os; print(os.getuid()); open('/opt/modelfleet/x', 'w')"

    done = kubectl(
        "-n",
        cluster.OPERATOR,
        "exec",
        name,
        "--",
        "sh",
        "-c",
        f'python3 -c "{script}" 2>&1 || true',
    )

    assert done.startswith("65532")
    assert "Read-only file system" in done


def test_a_model_is_served_without_the_operator_and_kept_by_the_next(served: Served):
    uids = [pod["metadata"]["uid"] for pod in served.pods()]
    values = helm("get", "values", "modelfleet", "-o", "json")

    helm("uninstall", "modelfleet", "--wait")

    assert "Paris" in client.ask(served, "What is the capital of France?")
    chart = str(cluster.ROOT / "charts/modelfleet")
    helm("install", "modelfleet", chart, "--wait", "--timeout", "3m", *_set(json.loads(values)))
    served.scale(2)
    assert uids[0] in [pod["metadata"]["uid"] for pod in served.pods()]


def _set(values: dict[str, object]) -> list[str]:
    return [
        word
        for key, value in values.items()
        for word in ("--set-json", f"{key}={json.dumps(value)}")
    ]
