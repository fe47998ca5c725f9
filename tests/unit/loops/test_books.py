"""Books that follow a fleet event by event."""

import pytest

from modelfleet.plan.ledger.values import Use
from unit.loops.fleets import CHAT, TEAM, Fleet, dollars


@pytest.fixture
def fleet() -> Fleet:
    return Fleet()


def start(fleet: Fleet) -> None:
    fleet.see(fleet.pool(), fleet.node(), fleet.model())
    fleet.books.open(None, {})


def test_before_they_are_opened_books_charge_nothing_and_tell_nothing(fleet: Fleet) -> None:
    fleet.see(fleet.pool(), fleet.node(), fleet.pod())
    fleet.wait(3600)
    fleet.see(fleet.node(unschedulable=True))

    assert fleet.charges == []
    assert fleet.books.model_cost(CHAT, None, fleet.now) is None
    assert fleet.books.pool_cost("h100", None, fleet.now) is None
    assert fleet.books.kept() is None


def test_an_hour_of_a_node_is_its_price_and_a_pod_pays_its_share(fleet: Fleet) -> None:
    start(fleet)
    fleet.see(fleet.pod())
    fleet.wait(3600)
    fleet.books.close_all()

    assert dollars(fleet.charges) == 8
    assert dollars(one for one in fleet.charges if one.account.kind == "model") == 2
    told = fleet.books.model_cost(CHAT, None, fleet.now)
    assert told is not None
    assert (told.hourly, told.month_to_date) == ("2.00", "2.00")
    pool = fleet.books.pool_cost("h100", None, fleet.now)
    assert pool is not None
    assert (pool.hourly, pool.idle_hourly, pool.month_to_date) == ("8.00", "6.00", "8.00")


def test_a_start_is_told_apart_from_serving(fleet: Fleet) -> None:
    start(fleet)
    pod = fleet.pod()
    fleet.see(pod)
    fleet.wait(600)
    fleet.see(fleet.ready(pod))
    fleet.wait(600)
    fleet.lose(pod)

    spent = {one.use: one.length for one in fleet.charges if one.tenant}
    assert spent == {Use.PULLING: 600_000, Use.UNMEASURED: 600_000}
    told = fleet.books.model_cost(CHAT, None, fleet.now)
    assert told is not None
    assert told.split is not None
    assert (told.hourly, told.split.starting, told.split.unmeasured) == ("0.00", "0.33", "0.33")


def test_a_new_price_counts_from_when_it_is_seen(fleet: Fleet) -> None:
    start(fleet)
    fleet.wait(1800)
    fleet.see(fleet.pool("16"))
    fleet.wait(1800)
    fleet.books.close_all()

    assert dollars(fleet.charges) == 12


def test_without_a_price_hours_are_counted_and_no_dollars(fleet: Fleet) -> None:
    fleet.see(fleet.pool(None), fleet.node(), fleet.model())
    fleet.books.open(None, {})
    fleet.see(fleet.pod())
    fleet.wait(3600)
    fleet.books.close_all()

    told = fleet.books.model_cost(CHAT, None, fleet.now)
    assert told is not None
    assert (told.hourly, told.month_to_date, told.unpriced_gpu_hours) == (None, None, "2.00")
    pool = fleet.books.pool_cost("h100", None, fleet.now)
    assert pool is not None
    assert (pool.hourly, pool.unpriced_nodes) == (None, 1)


def test_the_team_is_the_models_label_else_its_namespaces(fleet: Fleet) -> None:
    start(fleet)
    fleet.see(fleet.pod())
    fleet.wait(10)
    fleet.see(fleet.namespace("search"))
    fleet.wait(10)
    fleet.see(fleet.model("ads"))
    fleet.wait(10)
    fleet.books.close_all()

    teams = [one.account.team for one in fleet.charges if one.tenant]
    assert teams == ["unallocated", "search", "ads"]


def test_a_canary_is_told_apart(fleet: Fleet) -> None:
    start(fleet)
    fleet.see(fleet.pod())
    fleet.wait(10)
    trying = {"strategy": "Canary", "revision": "abc"}
    fleet.see(fleet.model(stableRevision="old", rollout=trying))
    fleet.wait(10)
    fleet.see(fleet.model(stableRevision="abc", rollout=trying))
    fleet.wait(10)
    fleet.books.close_all()

    assert [one.canary for one in fleet.charges if one.tenant] == [False, True, False]


def test_other_pods_pay_by_namespace_and_those_of_the_node_are_system(fleet: Fleet) -> None:
    start(fleet)
    other, agent = fleet.pod("job"), fleet.pod("agent", gpus=0)
    other["metadata"]["labels"] = {}
    agent["metadata"]["ownerReferences"] = [
        {"kind": "DaemonSet", "name": "agent", "controller": True}
    ]
    fleet.see(other, agent)
    fleet.wait(10)
    fleet.books.close_all()

    accounts = {(one.account.kind, one.account.namespace) for one in fleet.charges}
    assert accounts == {("workload", TEAM), ("system", ""), ("idle", "")}


def test_a_restart_goes_on_from_what_was_kept_and_neither_loses_nor_doubles(fleet: Fleet) -> None:
    start(fleet)
    fleet.see(fleet.pod())
    fleet.wait(600)
    fleet.books.close_all()
    kept, before = fleet.books.kept(), list(fleet.charges)
    fleet.wait(1200)
    fleet.books.close_all()  # and killed: what was charged after the checkpoint is lost

    fleet.wait(1800)
    fleet.charges = before
    fleet.restart()
    fleet.books.open(kept, {})

    assert dollars(fleet.charges) == 8
    assert dollars(one for one in fleet.charges if one.account.kind == "model") == 2
    assert sum(one.length for one in fleet.charges if one.estimated and one.tenant) == 3_000_000


def test_what_comes_late_for_a_day_that_is_archived_is_booked_on_the_next(fleet: Fleet) -> None:
    start(fleet)
    fleet.books.archived("2026-11-24")
    fleet.wait(3600)
    fleet.books.close_all()

    kept = fleet.books.kept()
    assert kept is not None
    assert {line.day for line in kept.lines} == {"2026-11-25"}


def test_nodes_of_no_pool_are_kept_out_but_for_the_models_on_them(fleet: Fleet) -> None:
    stray = fleet.node()
    stray["metadata"]["labels"] = {}
    fleet.see(fleet.pool(), stray, fleet.model())
    fleet.books.open(None, {})
    fleet.see(fleet.pod())
    fleet.wait(10)
    fleet.books.close_all()

    assert {(one.account.kind, one.pool, one.priced) for one in fleet.charges} == {
        ("model", "", False)
    }
