"""How many replicas fit, against placing them one by one."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelfleet.plan.headroom import fitting, room_for, shortfall
from support.builders import a_pool

FREE = st.lists(st.integers(0, 16), max_size=12)


def placed_one_by_one(free: Sequence[int], gpus: int) -> int:
    """Put replicas on nodes until none takes another."""
    left, placed = list(free), 0
    while fits := [node for node, block in enumerate(left) if block >= gpus]:
        left[fits[0]] -= gpus
        placed += 1
    return placed


@given(FREE, st.integers(1, 16))
def test_what_fits_is_what_can_be_placed(free: list[int], gpus: int) -> None:
    assert fitting(Counter(free), gpus) == placed_one_by_one(free, gpus)


@given(FREE, st.integers(1, 16), st.randoms())
def test_the_order_of_nodes_makes_no_difference(free: list[int], gpus: int, random) -> None:  # type: ignore[no-untyped-def]
    shuffled = random.sample(free, len(free))

    assert room_for(gpus, [a_pool(free=free, size=16)]) == room_for(
        gpus, [a_pool(free=shuffled, size=16)]
    )


@given(FREE, FREE, st.integers(1, 8))
def test_pools_apart_add_up(one: list[int], other: list[int], gpus: int) -> None:
    pools = [a_pool("a", free=one, size=16), a_pool("b", free=other, size=16)]

    assert room_for(gpus, pools) == placed_one_by_one([*one, *other], gpus)


@given(FREE, st.integers(1, 8))
def test_a_node_in_two_pools_counts_once(free: list[int], gpus: int) -> None:
    both = [
        replace(a_pool("a", free=free, size=16), shared_with=("b",)),
        replace(a_pool("b", free=free, size=16), shared_with=("a",)),
    ]

    assert room_for(gpus, both) == placed_one_by_one(free, gpus)


def test_without_gpus_the_room_is_not_known() -> None:
    assert room_for(0, [a_pool()]) is None


def test_no_pool_no_room() -> None:
    assert room_for(1, []) == 0


@pytest.mark.parametrize(
    ("gpus", "free", "sentence"),
    [
        pytest.param(
            2,
            [1, 1, 1],
            "2 GPUs asked on one node; pool h100 has 3 free of 24, at most 1 on one node",
            id="scattered",
        ),
        pytest.param(1, [0], "1 GPU asked; pool h100 has 0 free of 8", id="full"),
        pytest.param(1, [], "1 GPU asked; pool h100 has 0 free of 0", id="empty"),
    ],
)
def test_the_shortfall_says_what_is_asked_and_what_is_there(
    gpus: int, free: list[int], sentence: str
) -> None:
    assert shortfall(gpus, [a_pool(free=free)]) == sentence


def test_the_shortfall_names_every_pool_up_to_a_few() -> None:
    pools = [a_pool(f"p{at}", free=[0]) for at in range(6)]

    assert shortfall(1, pools) == (
        "1 GPU asked; pool p0 has 0 free of 8; pool p1 has 0 free of 8; pool p2 has 0 free of 8; "
        "pool p3 has 0 free of 8; 2 more pools have no room either"
    )
