import copy
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from modelfleet.cluster.covers import covers, quantity


def test_an_object_has_itself():
    assert covers({"a": [1, {"b": "c"}]}, {"a": [1, {"b": "c"}]})


@pytest.mark.parametrize(
    ("live", "desired"),
    [
        pytest.param({"a": 1, "b": 2}, {"a": 1}, id="a field of somebody else"),
        pytest.param({}, {"a": ""}, id="an empty text is dropped"),
        pytest.param({}, {"a": 0}, id="a zero is dropped"),
        pytest.param({}, {"a": False}, id="a false is dropped"),
        pytest.param({}, {"a": []}, id="an empty list is dropped"),
        pytest.param({}, {"a": {"b": {}}}, id="a map of nothing is dropped"),
        pytest.param({}, {"a": None}, id="null is nothing"),
        pytest.param({"a": ""}, {"a": None}, id="nothing is null"),
        pytest.param(
            {"limits": {"memory": "1Gi"}}, {"limits": {"memory": "1024Mi"}}, id="binary suffixes"
        ),
        pytest.param({"limits": {"cpu": "500m"}}, {"limits": {"cpu": 0.5}}, id="a number of cores"),
        pytest.param({"limits": {"x/gpu": "1"}}, {"limits": {"x/gpu": 1}}, id="a number of GPUs"),
        pytest.param({"sizeLimit": "8Gi"}, {"sizeLimit": "8192Mi"}, id="the size of a volume"),
        pytest.param(
            {"containers": [{"name": "istio"}, {"name": "engine", "image": "x", "tty": True}]},
            {"containers": [{"name": "engine", "image": "x"}]},
            id="a sidecar before ours",
        ),
        pytest.param(
            {"ports": [{"containerPort": 8000, "protocol": "TCP", "name": "http"}]},
            {"ports": [{"containerPort": 8000, "name": "http"}]},
            id="a protocol filled in",
        ),
        pytest.param(
            {"env": [{"name": "B", "value": "2"}, {"name": "A"}]},
            {"env": [{"name": "A", "value": ""}, {"name": "B", "value": "2"}]},
            id="variables in another order",
        ),
        pytest.param(
            {"finalizers": ["foregroundDeletion", "ours"]}, {"finalizers": ["ours"]}, id="a set"
        ),
        pytest.param({"port": "http"}, {"port": "http"}, id="a port by name"),
    ],
)
def test_covered(live, desired):
    assert covers(live, desired)


@pytest.mark.parametrize(
    ("live", "desired"),
    [
        pytest.param({"a": 2}, {"a": 1}, id="another value"),
        pytest.param({}, {"a": 1}, id="missing"),
        pytest.param({"a": True}, {"a": 1}, id="true is not one"),
        pytest.param({"a": False}, {"a": 0}, id="false is not zero"),
        pytest.param({"a": {"b": 1}}, {"a": "b"}, id="another shape"),
        pytest.param({"a": "b"}, {"a": {"b": 1}}, id="a text for a map"),
        pytest.param({"a": "b"}, {"a": ["b"]}, id="a text for a list"),
        pytest.param({"a": [1]}, {"a": []}, id="a list that should be empty"),
        pytest.param({"args": ["--a", "--b"]}, {"args": ["--a"]}, id="one more argument"),
        pytest.param({"args": ["--b", "--a"]}, {"args": ["--a", "--b"]}, id="arguments reordered"),
        pytest.param({"limits": {"cpu": "2"}}, {"limits": {"cpu": "2k"}}, id="another quantity"),
        pytest.param({"limits": {"cpu": ""}}, {"limits": {"cpu": "1"}}, id="no quantity"),
        pytest.param({"value": "1Gi"}, {"value": "1024Mi"}, id="text that looks like a quantity"),
        pytest.param({"port": "8000"}, {"port": 8000}, id="a name that looks like a port"),
        pytest.param(
            {"containers": [{"name": "engine", "image": "y"}]},
            {"containers": [{"name": "engine", "image": "x"}]},
            id="another image",
        ),
        pytest.param(
            {"ingress": [{"from": [{"ipBlock": 1}]}, {"from": [{"ipBlock": 2}]}]},
            {"ingress": [{"from": [{"ipBlock": 1}]}]},
            id="one more rule lets others in",
        ),
        pytest.param(
            {"ingress": [{"ports": [{"port": 1}, {"port": 2}]}]},
            {"ingress": [{"ports": [{"port": 1}]}]},
            id="one more port lets others in",
        ),
        pytest.param(
            {"tolerations": [{"key": "a"}, {"key": "b"}]},
            {"tolerations": [{"key": "a"}]},
            id="one more toleration",
        ),
    ],
)
def test_not_covered(live, desired):
    assert not covers(live, desired)


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("1", 1),
        ("0.5", "0.5"),
        (".5", "0.5"),
        ("5.", 5),
        ("1Ki", 1024),
        ("1k", 1000),
        ("1Ei", 2**60),
        ("1E", 10**18),
        ("1e3", 1000),
        ("1E3", 1000),
        ("-1m", "-0.001"),
        ("100n", "0.0000001"),
        ("1.5Gi", 3 * 2**29),
    ],
)
def test_quantities(text, number):
    assert quantity(text) == Decimal(number)


@pytest.mark.parametrize("text", ["", "a", "1 Gi", "1gi", "Gi", "1.2.3", "1Kii", "0x10", "\u0661"])
def test_no_quantities(text):
    assert quantity(text) is None


NAMES = st.sampled_from(["a", "b", "image", "value", "replicas", "command"])
LEAVES = st.one_of(st.text("xyz", min_size=1, max_size=3), st.integers(1, 99), st.just(True))


def maps(values: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.dictionaries(NAMES, values, min_size=1, max_size=3)


def named(values: st.SearchStrategy[Any]) -> st.SearchStrategy[list[dict[str, Any]]]:
    """A list that merges by name."""
    items = st.dictionaries(st.sampled_from("pqrs"), maps(values), min_size=1, max_size=3)
    return items.map(lambda found: [{"name": name, **item} for name, item in found.items()])


TREES = st.recursive(
    LEAVES,
    lambda parts: st.one_of(
        maps(parts),
        st.lists(LEAVES, min_size=1, max_size=3),
        st.fixed_dictionaries({"containers": named(parts)}),
        st.fixed_dictionaries({"rules": st.lists(maps(parts), min_size=1, max_size=2)}),
    ),
    max_leaves=12,
)
OBJECTS = maps(TREES)


def leaves(tree: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    if isinstance(tree, dict):
        return [found for key, part in tree.items() for found in leaves(part, (*path, key))]
    if isinstance(tree, list):
        return [found for at, part in enumerate(tree) for found in leaves(part, (*path, at))]
    return [path]


def holder(tree: Any, path: tuple[Any, ...]) -> Any:
    for step in path[:-1]:
        tree = tree[step]
    return tree


@given(OBJECTS)
def test_every_object_has_all_of_itself(desired):
    assert covers(copy.deepcopy(desired), desired)


@given(OBJECTS, st.data())
def test_a_change_of_any_field_of_ours_is_seen(desired, data):
    live = copy.deepcopy(desired)
    path = data.draw(st.sampled_from(leaves(desired)))
    old, other = holder(live, path)[path[-1]], data.draw(LEAVES)
    assume((type(old), old) != (type(other), other))
    assume(path[-1] != "name" or all(i["name"] != other for i in holder(live, path[:-1])))

    holder(live, path)[path[-1]] = other

    assert not covers(live, desired)


@given(OBJECTS, st.data())
def test_the_loss_of_any_field_of_ours_is_seen(desired, data):
    live = copy.deepcopy(desired)
    path = data.draw(st.sampled_from(leaves(desired)))

    del holder(live, path)[path[-1]]

    assert not covers(live, desired)


def with_foreign(tree: Any, name: str = "", merges: bool = True) -> Any:
    """Add what defaults, meshes and other managers add."""
    if isinstance(tree, dict):
        own = {key: with_foreign(part, key, merges) for key, part in tree.items()}
        return {"foreign": {"x": 1}, **own}
    if isinstance(tree, list) and name == "containers" and merges:
        return [{"name": "sidecar"}, *(with_foreign(part) for part in reversed(tree))]
    if isinstance(tree, list):
        return [with_foreign(part, "", False) for part in tree]
    return tree


@given(OBJECTS)
def test_what_others_add_does_not_matter(desired):
    assert covers(with_foreign(desired), desired)
