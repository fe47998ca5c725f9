import pytest
from hypothesis import given
from hypothesis import strategies as st

from devcluster.options import (
    DEFAULT_POOLS,
    BadOption,
    ClusterOptions,
    Pool,
    checked_name,
    pool_from,
)

names = st.from_regex(r"[a-z]([a-z0-9-]{0,20}[a-z0-9])?", fullmatch=True)
words = st.from_regex(r"[A-Za-z0-9._/-]{1,20}", fullmatch=True)
pools = st.builds(
    Pool,
    name=names,
    nodes=st.integers(0, 5000),
    gpus=st.integers(1, 16),
    product=words,
    extras=st.dictionaries(words, words, max_size=3),
)


@pytest.mark.parametrize(
    ("text", "pool"),
    [
        pytest.param(
            "h100=2x8:NVIDIA-H100-80GB-HBM3",
            Pool(name="h100", nodes=2, gpus=8, product="NVIDIA-H100-80GB-HBM3"),
            id="a product",
        ),
        pytest.param(
            "spot=500x1:NVIDIA-L4:karpenter.sh/capacity-type=spot,taint=true",
            Pool(
                name="spot",
                nodes=500,
                gpus=1,
                product="NVIDIA-L4",
                extras={"karpenter.sh/capacity-type": "spot", "taint": "true"},
            ),
            id="labels and settings",
        ),
        pytest.param("cpu=3x0", Pool(name="cpu", nodes=3), id="no GPUs, no product"),
        pytest.param(
            "cpu=3x0::zone=z", Pool(name="cpu", nodes=3, extras={"zone": "z"}), id="only extras"
        ),
    ],
)
def test_a_pool_is_read(text, pool):
    assert pool_from(text) == pool


@given(pools)
def test_what_is_written_as_a_pool_is_read_as_that_pool(pool):
    extras = ",".join(f"{key}={value}" for key, value in pool.extras.items())

    assert pool_from(f"{pool.name}={pool.nodes}x{pool.gpus}:{pool.product}:{extras}") == pool


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        pytest.param("h100", "NAME=NODESxGPUS", id="only a name"),
        pytest.param("h100=2:X", "NAME=NODESxGPUS", id="no GPUs given"),
        pytest.param("h100=2x-1:X", "NAME=NODESxGPUS", id="a negative number"),
        pytest.param("H100=2x8:X", "is no name", id="capitals in the name"),
        pytest.param("=2x8:X", "is no name", id="no name"),
        pytest.param("h100=2x8", "names no GPU product", id="no product"),
        pytest.param("h100=10001x8:X", "at most", id="too many nodes"),
        pytest.param("h100=2x8:X:spot", "is not KEY=VALUE", id="an extra without a value"),
        pytest.param("h100=2x8:X:=spot", "is not KEY=VALUE", id="an extra without a key"),
    ],
)
def test_a_pool_that_cannot_be_read_says_why(text, reason):
    with pytest.raises(BadOption, match=reason):
        pool_from(text)


@pytest.mark.parametrize("name", ["", "-a", "a-", "A", "a/b", "..", "a" * 33])
def test_a_name_that_could_leave_the_folder_or_break_a_node_is_refused(name):
    with pytest.raises(BadOption):
        checked_name(name)


def test_a_new_cluster_has_the_pools_that_are_asked_for_and_no_others():
    pool = pool_from("l4=1x1:NVIDIA-L4")

    assert ClusterOptions().changed_by({"pools": (pool,)}).pools == (pool,)


def test_a_new_cluster_that_asks_for_no_pools_has_the_default_ones():
    assert ClusterOptions().changed_by({"pools": None}).pools == DEFAULT_POOLS


def test_a_pool_of_a_known_name_takes_the_place_of_the_old_one():
    old = ClusterOptions().changed_by({"pools": (pool_from("a=1x8:X"), pool_from("b=1x8:X"))})

    new = old.changed_by({"pools": (pool_from("a=3x8:X"),)})

    assert [(pool.name, pool.nodes) for pool in new.pools] == [("a", 3), ("b", 1)]


def test_options_that_are_not_given_stay():
    old = ClusterOptions().changed_by({"pull_seconds": 0.0, "load_seconds": 9.0})

    new = old.changed_by({"pull_seconds": None, "load_seconds": 1.5, "cpu_nodes": None})

    assert (new.pull_seconds, new.load_seconds, new.cpu_nodes) == (0.0, 1.5, old.cpu_nodes)


def test_without_cpu_nodes_there_is_no_such_pool():
    options = ClusterOptions().changed_by({"cpu_nodes": 0})

    assert [pool.name for pool in options.all_pools()] == ["h100"]


@given(st.lists(pools, max_size=3), st.floats(0, 1e6), st.integers(0, 5000))
def test_options_survive_being_written(given_pools, seconds, cpu_nodes):
    options = ClusterOptions(
        pools=tuple(given_pools), pull_seconds=seconds, load_seconds=seconds, cpu_nodes=cpu_nodes
    )

    assert ClusterOptions.from_json(options.to_json()) == options
