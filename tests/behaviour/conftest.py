"""One small cluster for each test, and a last check: a second look changes nothing."""

from collections.abc import Iterator

import pytest

from support import manifests
from support.api_world import controller_of
from support.fake_cluster import FakeCluster


@pytest.fixture
def bare() -> Iterator[FakeCluster]:
    """A cluster without nodes and pools."""
    cluster = FakeCluster()
    yield cluster
    cluster.settle()
    no_orphan_is_left(cluster)
    a_second_look_changes_nothing(cluster)


@pytest.fixture
def cluster(bare: FakeCluster) -> FakeCluster:
    """Two nodes with four GPUs each are the pool h100."""
    for name in ("gpu-1", "gpu-2"):
        bare.add_node(name, 4, pool="h100")
    bare.add_node("cpu-1")
    bare.create(manifests.pool("h100", pool="h100"))
    return bare


def a_second_look_changes_nothing(cluster: FakeCluster) -> None:
    before = (cluster.world.version, len(cluster.notices))

    cluster.look()

    assert (cluster.world.version, len(cluster.notices)) == before


def no_orphan_is_left(cluster: FakeCluster) -> None:
    everything = [found for _, _, found in cluster.world.everything()]
    owners = {owner["uid"] for found in everything if (owner := controller_of(found))}

    assert owners <= {found["metadata"]["uid"] for found in everything}
