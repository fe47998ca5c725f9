"""The hall in virtual time: caps, deadlines, order, and that everybody is answered exactly once."""

import asyncio
from dataclasses import dataclass, field, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelfleet.gateway.hall import Hall, Refused, Ticket
from modelfleet.plan.hold import Limits, Refusal, Start, Target
from modelfleet.plan.world import Key
from support.builders import NOON
from support.virtual_time import monotonic, run

CHAT, OTHER = Key("Model", "team", "chat"), Key("Model", "rival", "other")
POD = (("10.0.0.1", 8000),)
FOREVER = 1e6


def a_target(key: Key = CHAT, sleep: str | None = "1", lasts: float = 20.0) -> Target:
    start = Start(lasts, 1800.0, None)
    return Target(key=key, uid="u", sleep=sleep, off=False, start=start, trouble="")


@dataclass
class World:
    """Models that a test changes by hand."""

    targets: dict[Key, Target] = field(
        default_factory=lambda: {CHAT: a_target(), OTHER: a_target(OTHER)}
    )
    woken: list[Key] = field(default_factory=list)

    def hall(self, **limits: int) -> Hall:
        return Hall(Limits(**limits), self.targets.get, self.woken.append, lambda: NOON)

    def change(self, hall: Hall, key: Key = CHAT, **facts: object) -> None:
        self.targets[key] = replace(self.targets[key], **facts)  # type: ignore[arg-type]
        hall.changed(key)


async def outcome(ticket: Ticket) -> str:
    """Return what became of a ticket: `go`, or why it was refused."""
    try:
        await ticket.may_go(FOREVER)
    except Refused as refused:
        return refused.refusal.code
    return "go"


def test_a_request_for_a_sleeping_model_waits_and_wakes_it() -> None:
    async def scenario() -> None:
        world = World()
        ticket = world.hall().enter(CHAT)

        assert not await ticket.may_go(5)
        assert world.woken == [CHAT]

    run(scenario())


def test_a_request_for_a_model_that_answers_goes_on_and_wakes_nobody() -> None:
    async def scenario() -> None:
        world = World()
        hall = world.hall(requests=1)
        world.change(hall, backends=POD)

        outcomes = [await outcome(hall.enter(CHAT)) for _ in range(3)]

        assert (outcomes, world.woken, hall.waiting()) == (["go"] * 3, [], 0)

    run(scenario())


def test_those_who_wait_go_on_in_the_order_in_which_they_came() -> None:
    async def scenario() -> None:
        world, order = World(), list[int]()
        hall = world.hall()
        tickets = [hall.enter(CHAT) for _ in range(5)]

        async def wait(number: int) -> None:
            await tickets[number].may_go(FOREVER)
            order.append(number)

        waiting = [asyncio.create_task(wait(number)) for number in (3, 1, 4, 0, 2)]
        await asyncio.sleep(1)
        world.change(hall, backends=POD)
        await asyncio.gather(*waiting)

        assert order == [0, 1, 2, 3, 4]

    run(scenario())


def test_the_deadline_is_exact() -> None:
    async def scenario() -> None:
        hall = World().hall()  # two starts of 20 s
        began, ticket = monotonic(), hall.enter(CHAT)

        assert await outcome(ticket) == "model_not_ready"
        assert monotonic() - began == 40
        assert hall.waiting() == 0

    run(scenario())


def test_a_replica_that_takes_nothing_costs_no_place_and_no_time() -> None:
    async def scenario() -> None:
        world = World()
        hall = world.hall(requests=2)
        first, second = hall.enter(CHAT), hall.enter(CHAT)
        world.change(hall, backends=POD)
        assert await outcome(first) == "go"
        world.change(hall, backends=())
        third = hall.enter(CHAT)

        first.again()  # nothing was sent
        world.change(hall, backends=POD)

        assert [await outcome(one) for one in (first, second, third)] == ["go"] * 3
        world.change(hall, backends=())
        await asyncio.sleep(40)
        first.again()
        assert await outcome(first) == "model_not_ready"

    run(scenario())


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"sleep": None, "trouble": "OutOfMemory: give it more"}, "model_cannot_start"),
        ({"off": True}, "model_off"),
    ],
)
def test_all_who_wait_hear_at_once_that_it_is_no_use(change: dict[str, object], code: str) -> None:
    async def scenario() -> None:
        world = World()
        hall = world.hall()
        tickets = [hall.enter(CHAT), hall.enter(CHAT)]
        other, began = hall.enter(OTHER), monotonic()

        world.change(hall, **change)

        assert [await outcome(one) for one in tickets] == [code] * 2
        assert monotonic() == began
        assert not await other.may_go(1)

    run(scenario())


def test_a_model_that_is_deleted_is_not_found_by_those_who_wait_for_it() -> None:
    async def scenario() -> None:
        world = World()
        hall = world.hall()
        ticket = hall.enter(CHAT)

        del world.targets[CHAT]
        hall.changed(CHAT)

        assert await outcome(ticket) == "model_not_found"
        with pytest.raises(Refused):
            hall.enter(CHAT)

    run(scenario())


def test_who_is_dismissed_hears_when_to_come_again() -> None:
    async def scenario() -> None:
        hall = World().hall()
        tickets = [hall.enter(CHAT), hall.enter(OTHER)]

        hall.dismiss(Refusal(503, "gateway_leaves", "come again", 1))

        assert [await outcome(one) for one in tickets] == ["gateway_leaves"] * 2

    run(scenario())


def test_bytes_are_given_back() -> None:
    async def scenario() -> None:
        hall = World().hall(body_bytes=100)
        first, second = hall.enter(CHAT), hall.enter(CHAT)
        first.grow(60)
        with pytest.raises(Refused, match="too_much_held"):
            second.grow(41)

        first.leave()
        first.leave()
        second.grow(100)

    run(scenario())


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("come"), st.sampled_from([CHAT, OTHER])),
        st.tuples(st.just("leave"), st.integers(0, 30)),
        st.tuples(st.just("ready"), st.sampled_from([CHAT, OTHER])),
        st.tuples(st.just("lost"), st.sampled_from([CHAT, OTHER])),
        st.tuples(st.just("wait"), st.integers(0, 45)),
    ),
    max_size=40,
)


class Crowd:
    """Clients that come, hang up and are answered, and what must be so after each step."""

    MOST = 3

    def __init__(self) -> None:
        self.world = World()
        self.hall = self.world.hall(requests=self.MOST)
        self.clients: list[tuple[Ticket, asyncio.Task[str], float]] = []

    def come(self, key: Key) -> None:
        full = self.hall.waiting(key) >= self.MOST and not self.world.targets[key].backends
        refused = None
        try:
            ticket = self.hall.enter(key)
            self.clients.append((ticket, asyncio.create_task(outcome(ticket)), monotonic()))
        except Refused as no:
            refused = no.refusal.status
        assert refused == (429 if full else None)

    def leave(self, number: int) -> None:
        if self.clients:
            ticket, task, _ = self.clients[number % len(self.clients)]
            ticket.leave()
            task.cancel()

    def ready(self, key: Key) -> None:
        self.world.change(self.hall, key, backends=POD)

    def lost(self, key: Key) -> None:
        self.world.change(self.hall, key, backends=())

    async def step(self, what: str, which: Key | int) -> None:
        if what == "wait":
            assert isinstance(which, int)
            await asyncio.sleep(which)
        else:
            getattr(self, what)(which)
        await asyncio.sleep(0)
        assert max(self.hall.waiting(CHAT), self.hall.waiting(OTHER)) <= self.MOST

    async def end(self) -> None:
        self.ready(CHAT)
        self.ready(OTHER)
        await asyncio.sleep(0)
        assert self.hall.waiting() == 0
        for ticket, task, came in self.clients:
            told = await asyncio.gather(task, return_exceptions=True)
            assert told[0] in ("go", "model_not_ready") or task.cancelled()
            assert ticket.deadline == came + 40


@given(STEPS)
def test_whatever_happens_each_is_answered_once_and_no_more_are_held_than_may_be(
    steps: list[tuple[str, Key | int]],
) -> None:
    async def scenario() -> None:
        crowd = Crowd()
        for what, which in steps:
            await crowd.step(what, which)
        await crowd.end()

    run(scenario())
