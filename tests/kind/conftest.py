"""A kind cluster with modelfleet on it, for all tests of a run. Skipped where Docker cannot run."""

import os
from collections.abc import Iterator

import pytest
import yaml

from kind import client, cluster
from kind.served import Served

MODEL = cluster.ROOT / "deploy/kind/smollm.yaml"


@pytest.fixture(scope="session", autouse=True)
def installed() -> Iterator[None]:
    """Make the cluster and install modelfleet."""
    try:
        with cluster.running():
            client.start()
            yield
    except cluster.Impossible as error:
        pytest.skip(f"Docker cannot run here: {error}")


@pytest.fixture(scope="session")
def documents(installed: None) -> list[cluster.Object]:  # noqa: ARG001
    """Apply the pool and the engine of the example, and return all its documents."""
    found = list(yaml.safe_load_all(MODEL.read_text()))
    shared = [one for one in found if one["kind"] != "Model"]
    cluster.kubectl("apply", "-f", "-", stdin=yaml.safe_dump_all(shared))
    return found


@pytest.fixture
def served(request: pytest.FixtureRequest, documents: list[cluster.Object]) -> Iterator[Served]:
    """Serve the example's Model in a namespace of this test."""
    name = request.node.name.removeprefix("test_").replace("_", "-")[:40].strip("-")
    namespace = f"{name}-{os.urandom(2).hex()}"
    cluster.kubectl("create", "namespace", namespace)
    restricted = "pod-security.kubernetes.io/enforce=restricted"
    cluster.kubectl("label", "namespace", namespace, restricted)
    (model,) = (one for one in documents if one["kind"] == "Model")
    cluster.kubectl("-n", namespace, "apply", "-f", "-", stdin=yaml.safe_dump(model))
    one = Served(namespace, model["metadata"]["name"])
    one.until_ready()
    yield one
    cluster.kubectl("delete", "namespace", namespace, "--wait=false")
