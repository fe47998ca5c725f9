"""A devcluster and an operator as a separate process, shared by all cluster tests of a run."""

import os
from collections.abc import AsyncIterator, Iterator

import pytest

from support.running import Client, Operator, kubectl

MISSING = "these tests need a devcluster: run `make test`"


@pytest.fixture(scope="session", autouse=True)
def control_plane() -> None:
    """Refuse to run against anything but a devcluster."""
    if "DEVCLUSTER" not in os.environ:
        pytest.exit(MISSING, returncode=4)
    kubectl("apply", "--server-side", "--force-conflicts", "-f", "crds")
    kubectl("wait", "--for=condition=Established", "-f", "crds", "--timeout=30s")
    kubectl("apply", "-f", "examples/pools.yaml")


@pytest.fixture(scope="session")
def operator(control_plane: None) -> Iterator[Operator]:  # noqa: ARG001
    """Run the operator for the whole session; tests that stop one start their own."""
    with Operator() as running:
        yield running


@pytest.fixture
async def client() -> AsyncIterator[Client]:
    """Talk to the API server."""
    async with Client() as one:
        yield one


@pytest.fixture
def namespace(request: pytest.FixtureRequest) -> Iterator[str]:
    """Give each test its own namespace, named after it."""
    base = request.node.name.split("[")[0].removeprefix("test_").replace("_", "-").lower()
    name = f"{base[:40].strip('-')}-{os.urandom(3).hex()}"
    kubectl("create", "namespace", name)
    yield name
    kubectl("delete", "namespace", name, "--wait=false")
