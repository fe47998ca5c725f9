"""A devcluster and a client, shared by all tests of a run. Each test starts its own operators."""

import os
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from faults.chronicle import chronicle
from faults.life import live
from faults.reference import Reference
from support.manifests import vllm
from support.running import Client, apply, kubectl

MISSING = "these tests need a devcluster: run `make test`"


@pytest.fixture(scope="session", autouse=True)
def control_plane() -> None:
    """Refuse to run against anything but a devcluster."""
    if "DEVCLUSTER" not in os.environ:
        pytest.exit(MISSING, returncode=4)
    kubectl("apply", "--server-side", "--force-conflicts", "-f", "crds")
    kubectl("wait", "--for=condition=Established", "-f", "crds", "--timeout=30s")
    kubectl("apply", "-f", "examples/pools.yaml")
    # Its pods leave after a second: where it is used, nothing needs the routes to move away.
    apply(vllm("brisk", pre_stop_seconds=1))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def client(control_plane: None) -> AsyncIterator[Client]:  # noqa: ARG001
    """Talk to the API server."""
    async with Client() as one:
        yield one


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def reference(client: Client) -> AsyncIterator[Reference]:
    """Run the life once with nothing in its way."""
    async with chronicle(client) as kept:
        yield Reference(client, await live(client, lambda _: None), kept)
