"""The sixteen invariants of a ledger that adds up, each over random histories."""

import os
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import pairwise

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from modelfleet.plan.ledger.ceiling import within_ceiling
from modelfleet.plan.ledger.gpus import capacity_of, held
from modelfleet.plan.ledger.sums import Amount, added, lines_of, total_by
from modelfleet.plan.ledger.tokens import Tokens, by_direction, counted, per_million
from modelfleet.plan.ledger.units import GPU, GRAINS, Grains, Millis, split, told
from modelfleet.plan.ledger.values import UNALLOCATED, Charge, Quantities, Terms, Use
from modelfleet.plan.ledger.weights import components_for, shares_for
from support.chance import examples
from unit.plan.ledger.histories import (
    ACCOUNTS,
    ASKS,
    CAPACITIES,
    END,
    MOMENTS,
    START,
    Gap,
    History,
    NodeLife,
    PodLife,
    gaps,
    histories,
    kept,
    node_lives,
    stated,
)

POLICIES = st.sampled_from(["Residual", "Ratio", "GPUOnly"])
PRICES = st.integers(0, 200_000_000)

OVER_HISTORIES = settings(
    max_examples=int(os.environ.get("MODELFLEET_TEST_EXAMPLES", examples(20))),
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
"""A history takes some 10 ms. More of them: MODELFLEET_TEST_EXAMPLES=1000."""


def terms_in_force(node: NodeLife) -> Iterable[tuple[Millis, Millis, Terms]]:
    """Yield from when to when a node was on which terms, as far as the ledger must know."""
    if node.gone <= max(START, node.born) or node.born >= END:
        return  # there for no look
    since = [max(START, stated(node.born)), *(max(START, at) for at, _ in node.terms[1:])]
    until = [min(END, node.gone, at) for at in (*since[1:], END)]
    for start, end, (_, terms) in zip(since, until, node.terms, strict=True):
        if start < end:
            yield start, end, terms


def price_of(node: NodeLife) -> Grains:
    """Return node price times time, computed from what happened and not from any charge."""
    return sum((terms.rate or 0) * (end - start) for start, end, terms in terms_in_force(node))


def of(charges: Iterable[Charge], node: NodeLife) -> list[Charge]:
    return [one for one in charges if one.node == node.name]


def cost(charges: Iterable[Charge]) -> Grains:
    return sum(one.cost for one in charges)


@OVER_HISTORIES
@given(histories(), MOMENTS)
def test_invariant_01_workloads_system_and_idle_are_node_price_times_time(
    history: History, more: Sequence[Millis]
) -> None:
    _, charges = kept(history, more)

    for node in history.nodes:
        assert cost(of(charges, node)) == price_of(node)


@OVER_HISTORIES
@given(histories(), MOMENTS)
def test_invariant_02_allocated_and_free_gpus_are_all_gpus_times_time(
    history: History, more: Sequence[Millis]
) -> None:
    _, charges = kept(history, more)

    for node in history.nodes:
        time = sum(one.gpu * one.length for one in of(charges, node))
        expected = sum(t.capacity.gpu * (end - start) for start, end, t in terms_in_force(node))
        assert time == expected
        unavailable = [one for one in of(charges, node) if one.use is Use.UNAVAILABLE]
        assert all(not one.tenant for one in unavailable)


@OVER_HISTORIES
@given(histories(), gaps())
def test_invariant_03_nothing_is_negative_and_no_part_exceeds_its_whole(
    history: History, away: tuple[Gap, ...]
) -> None:
    _, charges = kept(history, gaps=away)

    for one in charges:
        assert min(one.rate, one.gpu_rate, one.gpu, one.length) >= 0
        assert one.gpu_rate <= one.rate
    for pieces in by_piece(charges).values():
        by_tenant = defaultdict(list)
        for one in pieces:
            by_tenant[one.tenant].append(one)
        whole = sum(one.rate for one in pieces)
        for parts in by_tenant.values():
            used = sum(one.rate for one in parts if one.use is Use.USED)
            assert used <= sum(one.rate for one in parts) <= whole


def by_piece(charges: Iterable[Charge]) -> dict[tuple[str, Millis, Millis], list[Charge]]:
    pieces = defaultdict(list)
    for one in charges:
        pieces[one.node, one.start, one.end].append(one)
    return pieces


GROUPINGS = (
    lambda line: line.account,
    lambda line: line.account.team,
    lambda line: (line.account.namespace, line.account.name),
    lambda line: line.pool,
    lambda line: line.day,
    lambda line: line.use,
    lambda line: (line.canary, line.policy, line.capacity_type),
)


@OVER_HISTORIES
@given(histories(), st.sampled_from(GROUPINGS), st.sampled_from(GROUPINGS), st.data())
def test_invariant_04_every_grouping_sums_to_the_same_and_nothing_vanishes(
    history: History, first: object, then: object, data: st.DataObject
) -> None:
    _, charges = kept(history)
    lines = lines_of(charges)
    total = sum(lines.values(), Amount())

    assert sum(total_by(lines.items(), first).values(), Amount()) == total
    nested = total_by(lines.items(), lambda line: (first(line), then(line)))
    regrouped: dict[object, Amount] = {}
    for (_, group), amount in nested.items():
        regrouped[group] = regrouped.get(group, Amount()) + amount
    assert regrouped == total_by(lines.items(), then)
    cut = data.draw(st.integers(0, len(charges)))
    assert added(lines_of(charges[:cut]), lines_of(charges[cut:])) == lines
    assert total.cost == cost(charges)
    untagged = [one for one in charges if one.account.team == UNALLOCATED]
    by_team = total_by(lines.items(), lambda line: line.account.team)
    assert by_team.get(UNALLOCATED, Amount()).cost == cost(untagged)


@OVER_HISTORIES
@given(histories(), MOMENTS, MOMENTS)
def test_invariant_05_windows_add_up_however_often_one_looks(
    history: History, more: Sequence[Millis], still_more: Sequence[Millis]
) -> None:
    _, once = kept(history, more)
    _, oftener = kept(history, [*more, *still_more])

    assert lines_of(once) == lines_of(oftener)


@OVER_HISTORIES
@given(histories(), gaps(), MOMENTS)
def test_invariant_05_a_restart_a_new_leader_or_a_skewed_clock_neither_loses_nor_doubles_a_second(
    history: History, away: tuple[Gap, ...], saves: Sequence[Millis]
) -> None:
    _, charges = kept(history, gaps=away, checkpoints=saves)

    for node in history.nodes:
        spans = sorted({(one.start, one.end) for one in of(charges, node)})
        for (_, end), (start, _) in pairwise(spans):
            assert end == start


@OVER_HISTORIES
@given(node_lives("node-0"), gaps(), MOMENTS)
def test_invariant_05_a_node_that_stays_costs_the_same_through_any_gap(
    node: NodeLife, away: tuple[Gap, ...], saves: Sequence[Millis]
) -> None:
    unskewed = tuple(replace(gap, skew=0) for gap in away)
    stays = replace(node, born=START - 1, gone=END + 1, terms=node.terms[:1])
    stays = replace(stays, terms=((START - 1, node.terms[0][1]),))

    _, charges = kept(History((stays,)), gaps=unskewed, checkpoints=saves)

    rate = stays.terms[0][1].rate or 0
    assert cost(charges) == rate * (max(one.end for one in charges) - START)
    if not unskewed or unskewed[-1].end < END:
        assert max(one.end for one in charges) == END


@given(PRICES, PRICES, st.integers(START, END), POLICIES, CAPACITIES)
def test_invariant_06_a_price_that_changes_inside_a_window_is_integrated(
    before: int, after: int, changed: Millis, policy: object, capacity: Quantities
) -> None:
    terms = Terms(pool="h100", rate=before, capacity=capacity, policy=policy)
    life = ((START, terms), (changed, replace(terms, rate=after)))
    _, charges = kept(History((NodeLife("node", START, END + 1, life, ()),)))

    assert cost(charges) == before * (changed - START) + after * (END - changed)


@given(PRICES, CAPACITIES, POLICIES)
def test_invariant_07_components_sum_to_the_price_and_no_gpu_means_no_gpu_cost(
    rate: int, capacity: Quantities, policy: object
) -> None:
    parts = components_for(rate, capacity, policy)

    assert parts.cpu + parts.memory + parts.gpu == rate
    assert min(parts.cpu, parts.memory, parts.gpu) >= 0
    if not capacity.gpu:
        assert parts.gpu == 0


@OVER_HISTORIES
@given(histories(), gaps())
def test_invariant_07_no_gpu_cost_on_nodes_without_gpus(
    history: History, away: tuple[Gap, ...]
) -> None:
    without = replace(
        history.nodes[0],
        terms=tuple(
            (at, replace(terms, capacity=replace(terms.capacity, gpu=0)))
            for at, terms in history.nodes[0].terms
        ),
    )

    _, charges = kept(History((without,)), gaps=away)

    assert all(one.gpu_rate == 0 and one.gpu == 0 for one in charges)


@OVER_HISTORIES
@given(histories(), gaps())
def test_invariant_08_no_device_is_charged_above_one(
    history: History, away: tuple[Gap, ...]
) -> None:
    _, charges = kept(history, gaps=away)
    most = {node.name: max(terms.capacity.gpu for _, terms in node.terms) for node in history.nodes}

    for (node, _, _), pieces in by_piece(charges).items():
        assert sum(one.gpu for one in pieces) <= most[node]


@given(
    st.lists(st.integers(0, 7), max_size=6),
    st.integers(1, 48),
    st.sampled_from(["NVIDIA-A30", "NVIDIA-A100-SXM4-80GB"]),
)
def test_invariant_08_fractions_of_a_node_never_exceed_its_gpus(
    slices: list[int], replicas: int, product: str
) -> None:
    labels = {"nvidia.com/gpu.replicas": str(replicas), "nvidia.com/gpu.product": product}
    offered = [
        ("nvidia.com/gpu", 2 * replicas),
        *((f"nvidia.com/mig-{g}g.10gb", 1) for g in slices if g),
    ]
    whole = "nvidia.com/gpu"

    assert held(offered[:1], whole, labels) <= 2 * GPU
    assert held(offered, whole, labels) <= capacity_of(offered, whole, labels)


@given(st.integers(1, 6), st.sampled_from([GPU, GPU // 2, 2 * GPU]), ASKS)
def test_invariant_09_a_shared_claim_is_charged_once(
    sharers: int, parts: int, asks: Quantities
) -> None:
    terms = Terms(rate=80_000_000, capacity=Quantities(0, 0, 64 * GPU), policy="GPUOnly")
    pod = PodLife(
        uid="pod",
        account=ACCOUNTS[0],
        asks=replace(asks, gpu=0),
        claims=(("claim", parts),),
        canary=False,
        instants=(START, START, START, END + 1, END + 1),
        busy=None,
    )
    pods = tuple(replace(pod, uid=f"pod-{number}") for number in range(sharers))

    _, charges = kept(History((NodeLife("node", START, END + 1, ((START, terms),), pods),)))

    assert sum(one.gpu * one.length for one in charges if one.tenant) == parts * (END - START)


@OVER_HISTORIES
@given(node_lives("node-0"), MOMENTS)
def test_invariant_10_the_clock_runs_from_bind_to_end_and_every_second_is_labelled(
    node: NodeLife, more: Sequence[Millis]
) -> None:
    _, charges = kept(History((node,)), more)

    for pod in node.pods:
        own = [one for one in charges if one.tenant == pod.uid]
        bound, started, ready, told, gone = (max(START, min(END, at)) for at in pod.instants)
        watched = pod.bound >= START
        by_use = defaultdict(int)
        for span in {(one.start, one.end, one.use) for one in own}:
            by_use[span[2]] += span[1] - span[0]
        spans = {(one.start, one.end) for one in own}
        assert sum(end - start for start, end in spans) == gone - bound
        if pod.account.kind == "model" and watched:
            assert by_use[Use.PULLING] == started - bound
            assert by_use[Use.LOADING] == ready - started
            assert by_use[Use.LEAVING] == gone - told


@given(st.integers(1, 10**12), st.integers(1, 10**9))
def test_invariant_11_without_tokens_there_is_no_price_per_million(spent: int, tokens: int) -> None:
    assert per_million(spent, 0) is None
    assert per_million(spent, None) is None
    assert per_million(spent, tokens) == spent * 1_000_000 // tokens


@OVER_HISTORIES
@given(node_lives("node-0"))
def test_invariant_11_what_was_paid_and_not_used_shows_as_spare(node: NodeLife) -> None:
    """A pod that goes without being told takes with it what was measured since the last look."""
    told = [pod for pod in node.pods if pod.instants[3] < pod.instants[4]]
    idle = replace(node, pods=tuple(replace(pod, busy=0) for pod in told))

    _, charges = kept(History((idle,)))

    assert not any(one.rate or one.gpu for one in charges if one.use is Use.USED)
    assert not any(one.use is Use.UNMEASURED and one.account.kind == "model" for one in charges)


COUNTERS = st.lists(st.tuples(st.integers(0, 10**6), st.booleans()), min_size=1, max_size=20)


@given(COUNTERS)
def test_invariant_12_a_counter_that_begins_anew_loses_nothing_and_counts_nothing_twice(
    steps: list[tuple[int, bool]],
) -> None:
    shown, total, true = Tokens(), Tokens(), 0
    for more, restarted in steps:
        start = 0 if restarted and more < shown.read else shown.read
        reading = Tokens(start + more, 0)
        true += more
        total += counted({"pod": shown}, {"pod": reading}).tokens
        shown = reading

    assert total.read == true


@given(st.dictionaries(st.sampled_from("abcdef"), st.integers(0, 1000)))
def test_invariant_12_a_replica_that_vanished_makes_the_count_an_estimate(
    before: dict[str, int],
) -> None:
    readings = {pod: Tokens(count) for pod, count in before.items()}
    left = dict(list(readings.items())[1:])

    assert counted(readings, readings).estimated is False
    assert counted(readings, left).estimated is bool(before)
    assert counted(readings, left).tokens == Tokens()


@given(PRICES, st.integers(0, 10**12), st.integers(0, 10**12))
def test_invariant_13_input_and_output_sum_to_the_total(
    total: int, read: int, written: int
) -> None:
    assert sum(by_direction(total, read, written)) == total


@given(PRICES, st.lists(st.integers(0, 10**9), min_size=1, max_size=30))
def test_invariant_13_adapters_and_tenants_sum_to_their_model(
    total: int, weights: list[int]
) -> None:
    assert sum(split(total, weights)) == total


@given(st.integers(0, 10**18), st.lists(st.integers(0, 10**12), min_size=1, max_size=30))
def test_invariant_14_shares_sum_to_exactly_one_and_none_is_off_by_more_than_one_unit(
    total: int, weights: list[int]
) -> None:
    shares = split(total, weights)

    assert sum(shares) == total
    if whole := sum(weights):
        for share, weight in zip(shares, weights, strict=True):
            assert abs(share * whole - total * weight) < whole


@given(st.lists(st.integers(0, 10**18), max_size=20))
def test_invariant_14_amounts_told_sum_to_the_total_told(amounts: list[int]) -> None:
    assert sum(told(dict(enumerate(amounts))).values()) == sum(amounts) // GRAINS


@OVER_HISTORIES
@given(histories(), gaps())
def test_invariant_15_an_unknown_price_is_unpriced_and_never_a_default(
    history: History, away: tuple[Gap, ...]
) -> None:
    unpriced = History(
        tuple(
            replace(node, terms=tuple((at, replace(t, rate=None)) for at, t in node.terms))
            for node in history.nodes
        )
    )

    _, charges = kept(unpriced, gaps=away)

    assert not any(one.priced or one.rate or one.policy for one in charges)
    for amount in lines_of(charges).values():
        assert amount.unpriced == amount.gpu_time


@OVER_HISTORIES
@given(histories())
def test_invariant_15_what_was_not_measured_is_unmeasured_and_not_spare(history: History) -> None:
    unknown = History(
        tuple(
            replace(node, pods=tuple(replace(pod, busy=None) for pod in node.pods))
            for node in history.nodes
        )
    )

    _, charges = kept(unknown)

    assert not any(one.use in (Use.USED, Use.SPARE) for one in charges)


@OVER_HISTORIES
@given(node_lives("node-0"), st.integers(0, 10**7))
def test_invariant_16_a_higher_price_never_lowers_a_total(node: NodeLife, more: int) -> None:
    dearer = replace(
        node,
        terms=tuple(
            (at, replace(terms, rate=terms.rate + more if terms.rate is not None else None))
            for at, terms in node.terms
        ),
    )

    assert cost(kept(History((dearer,)))[1]) >= cost(kept(History((node,)))[1])


@given(PRICES, CAPACITIES, POLICIES, st.lists(ASKS, min_size=1, max_size=6))
def test_invariant_16_one_more_pod_never_lowers_what_pods_pay(
    rate: int, capacity: Quantities, policy: object, asks: list[Quantities]
) -> None:
    parts = components_for(rate, capacity, policy)
    fitting: dict[str, Quantities] = {}
    for number, ask in enumerate(asks):
        held_now = sum(fitting.values(), ask)
        fits = (
            held_now.cpu <= capacity.cpu
            and held_now.memory <= capacity.memory
            and held_now.gpu <= capacity.gpu
        )
        before = shares_for(parts, capacity, fitting)
        if fits:
            fitting[str(number)] = ask
        after = shares_for(parts, capacity, fitting)
        assert all(after[one] == before[one] for one in before)


@given(st.integers(0, 50), st.integers(0, 50), PRICES, PRICES, PRICES)
def test_invariant_16_no_scale_decision_passes_the_ceiling_but_down_moves_are_free(
    wanted: int, now: int, each: int, others: int, ceiling: int
) -> None:
    committed = others + now * each

    allowed = within_ceiling(wanted, now, each, committed, ceiling)

    assert allowed <= max(wanted, now)
    if wanted <= now:
        assert allowed == wanted
    else:
        assert now <= allowed <= wanted
        assert allowed == now or each == 0 or committed + (allowed - now) * each <= ceiling
        if allowed < wanted:
            assert committed + (allowed + 1 - now) * each > ceiling
