from typing import Any

from modelfleet.plan.objects.placement import placement_for
from unit.plan.models import model_with, pool_with

TAINT = {"key": "nvidia.com/gpu", "operator": "Exists"}


def affinity_of(placement: Any) -> Any:
    return placement["affinity"]["nodeAffinity"]


def test_without_gpus_any_node_will_do() -> None:
    assert placement_for(model_with(), [pool_with()]) == {}


def test_nodes_of_every_pool_are_allowed_and_earlier_ones_preferred() -> None:
    pools = [pool_with(name) for name in ("a", "b", "c")]
    model = model_with(resources={"gpus": 1}, nodePools=["a", "b", "c"])

    found = affinity_of(placement_for(model, pools))

    required = found["requiredDuringSchedulingIgnoredDuringExecution"]["nodeSelectorTerms"]
    preferred = found["preferredDuringSchedulingIgnoredDuringExecution"]
    assert [term["matchExpressions"][0]["values"] for term in required] == [["a"], ["b"], ["c"]]
    assert [one["preference"] for one in preferred] == required
    assert [one["weight"] for one in preferred] == [100, 67, 34]


def test_sixteen_pools_still_fall_and_stay_in_the_schedulers_bounds() -> None:
    names = [f"p{number}" for number in range(16)]
    model = model_with(resources={"gpus": 1}, nodePools=names)

    found = affinity_of(placement_for(model, [pool_with(name) for name in names]))

    weights = [one["weight"] for one in found["preferredDuringSchedulingIgnoredDuringExecution"]]
    assert weights == sorted(set(weights), reverse=True)
    assert min(weights) >= 1
    assert max(weights) <= 100


def test_who_names_no_pool_prefers_none() -> None:
    pools = [pool_with("a"), pool_with("b")]

    found = affinity_of(placement_for(model_with(resources={"gpus": 1}), pools))

    assert list(found) == ["requiredDuringSchedulingIgnoredDuringExecution"]


def test_all_labels_of_a_pool_must_match() -> None:
    pool = pool_with(nodeSelector={"b": "2", "a": "1"})

    found = affinity_of(placement_for(model_with(resources={"gpus": 1}), [pool]))

    (term,) = found["requiredDuringSchedulingIgnoredDuringExecution"]["nodeSelectorTerms"]
    assert term["matchExpressions"] == [
        {"key": "a", "operator": "In", "values": ["1"]},
        {"key": "b", "operator": "In", "values": ["2"]},
    ]


def test_tolerations_of_pools_and_user_are_united() -> None:
    pools = [pool_with("a", tolerations=[TAINT]), pool_with("b", tolerations=[TAINT])]
    model = model_with(
        resources={"gpus": 1}, podTemplate={"tolerations": [{"key": "spot", "operator": "Exists"}]}
    )

    assert placement_for(model, pools)["tolerations"] == [
        TAINT,
        {"key": "spot", "operator": "Exists"},
    ]
