"""What a look charges, case by case; times are seconds of a day."""

from collections import defaultdict
from dataclasses import replace

from modelfleet.plan.ledger.fold import fold
from modelfleet.plan.ledger.units import GPU, Millis
from modelfleet.plan.ledger.values import (
    Account,
    Charge,
    Quantities,
    Scene,
    State,
    Tenant,
    Terms,
    Use,
    World,
)

MORNING: Millis = 1_795_996_800_000
CHAT = Account("model", "search", "chat", "search")
NODE = Terms(pool="h100", rate=8_000_000, capacity=Quantities(gpu=8 * GPU), policy="GPUOnly")


def at(seconds: float) -> Millis:
    return MORNING + round(seconds * 1000)


def a_pod(uid: str = "pod", bound: float = 0, **more: object) -> Tenant:
    filled = {"account": CHAT, "asks": Quantities(gpu=2 * GPU), "bound_at": at(bound), **more}
    return Tenant(uid=uid, **filled)  # type: ignore[arg-type]


def world(*tenants: Tenant, terms: Terms = NODE, since: float = 0, uid: str = "n1") -> World:
    scene = Scene(node="node", uid=uid, born_at=at(0), terms=terms, tenants=tenants)
    return World(scenes={"node": scene}, watched_since=at(since))


def opened(*tenants: Tenant) -> State:
    return fold(None, world(*tenants), at(0))[0]


def seconds(charges: tuple[Charge, ...], by: str = "use") -> dict[object, float]:
    spent: dict[object, float] = defaultdict(float)
    for one in charges:
        if one.tenant or by == "tenant":
            spent[getattr(one, by)] += one.length / 1000
    return dict(spent)


def test_the_first_look_charges_nothing_of_the_time_before() -> None:
    state, charges = fold(None, world(a_pod()), at(100))

    assert charges == ()
    assert state.opened_at == state.at == at(100)


def test_a_gap_is_filled_from_the_timestamps_of_a_start_and_is_an_estimate() -> None:
    started = a_pod(bound=10, started_at=at(20), ready_at=at(50))

    _, charges = fold(opened(), world(started, since=100), at(100))

    assert seconds(charges) == {Use.PULLING: 10, Use.LOADING: 30, Use.UNMEASURED: 49.5}
    assert all(one.estimated for one in charges)


def test_what_is_watched_again_is_no_estimate() -> None:
    state, _ = fold(opened(), world(a_pod(), since=100), at(100))

    _, charges = fold(state, world(a_pod(), since=100), at(160))

    assert charges
    assert not any(one.estimated for one in charges)


def test_a_pod_that_went_in_a_gap_is_charged_until_the_middle_of_it() -> None:
    _, charges = fold(opened(a_pod()), world(since=100), at(100))

    assert seconds(charges) == {Use.PULLING: 50}
    assert sum(one.cost for one in charges) == 8_000_000 * 100_000


def test_a_pod_that_was_told_to_go_before_a_gap_went_within_its_grace_period() -> None:
    leaving = a_pod(leaves_by=at(30))

    _, charges = fold(opened(leaving), world(since=100), at(100))

    assert seconds(charges) == {Use.LEAVING: 15}


def test_a_pod_whose_gpu_another_has_taken_was_gone_by_then() -> None:
    full = a_pod("old", asks=Quantities(gpu=8 * GPU))
    heir = a_pod("new", bound=40, asks=Quantities(gpu=8 * GPU))

    _, charges = fold(opened(full), world(heir, since=100), at(100))

    assert seconds(charges, "tenant")["old"] == 20.25
    assert seconds(charges, "tenant")["new"] == 59.5


def test_a_pod_that_is_seen_to_go_is_charged_until_now() -> None:
    _, charges = fold(opened(a_pod()), world(), at(7.25))

    assert seconds(charges) == {Use.PULLING: 7.25}


def test_a_crash_loop_is_failed_and_a_pod_first_seen_failing_has_failed_all_along() -> None:
    crashing = a_pod(bound=10, failing=True)

    state, charges = fold(opened(), world(crashing, since=100), at(100))
    _, later = fold(state, world(crashing, since=100), at(130))

    assert seconds(charges) == {Use.FAILED: 89.5}
    assert seconds(later) == {Use.FAILED: 30}


def test_a_replica_that_stops_being_ready_fails_from_then_on() -> None:
    serving = a_pod(started_at=at(0), ready_at=at(0))
    state = opened(serving)
    lost = replace(serving, unready_at=at(60))

    state, charges = fold(state, world(lost), at(60.5))
    _, later = fold(state, world(lost), at(70.5))

    assert seconds(charges) == {Use.UNMEASURED: 60.5}
    assert seconds(later) == {Use.FAILED: 10}


def test_a_price_and_a_team_change_when_they_are_seen_to() -> None:
    ads = replace(a_pod(), account=replace(CHAT, team="ads"))
    dearer = replace(NODE, rate=16_000_000)

    state, before = fold(opened(a_pod()), world(ads, terms=dearer), at(10))
    _, after = fold(state, world(ads, terms=dearer), at(30))

    assert {(one.account.team, one.rate) for one in before if one.tenant} == {("search", 2_000_000)}
    assert {(one.account.team, one.rate) for one in after if one.tenant} == {("ads", 4_000_000)}


def test_a_clock_that_was_set_back_charges_nothing_until_it_has_caught_up() -> None:
    state, _ = fold(opened(a_pod()), world(a_pod()), at(100))

    state, backwards = fold(state, world(a_pod(), since=40), at(40))
    _, onwards = fold(state, world(a_pod(), since=40), at(130))

    assert backwards == ()
    assert seconds(onwards) == {Use.PULLING: 30}


def test_a_namesake_of_a_node_is_another_node() -> None:
    state = opened(a_pod())

    state, charges = fold(state, world(uid="n2"), at(10))

    assert seconds(charges) == {Use.PULLING: 10}
    assert state.books["node"].uid == "n2"
    assert not state.books["node"].seats


def test_a_cordoned_node_is_unavailable_and_not_free() -> None:
    cordoned = replace(NODE, available=False)
    state, _ = fold(None, world(terms=cordoned), at(0))

    _, charges = fold(state, world(terms=cordoned), at(1))

    assert [one.use for one in charges] == [Use.UNAVAILABLE]
