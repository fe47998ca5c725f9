"""What is remembered of load, and what of it outlives a process."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelfleet.plan.scaling import Memory, dumps, loads
from modelfleet.plan.scaling.memory import MOST_LEVELS, MOST_LULLS, Level, Look
from support.builders import NOON, seconds_ago

WINDOW = timedelta(seconds=600)


def look(seconds: float, enough: int, desired: int = 5, known: bool = True) -> Look:
    now = NOON + timedelta(seconds=seconds)
    return Look(
        now=now,
        needs=enough,
        enough=enough,
        known=known,
        quiet=not enough,
        desired=desired,
        highs_after=now - WINDOW,
        lows_after=now,
    )


def after(*looks: Look) -> Memory:
    memory = Memory()
    for one in looks:
        memory = memory.after(one)
    return memory


@given(st.lists(st.integers(0, 1000), min_size=1, max_size=80))
def test_the_peak_is_the_most_that_was_asked_for_in_the_window(asked: list[int]) -> None:
    memory = after(*(look(15 * at, one) for at, one in enumerate(asked)))

    now = NOON + timedelta(seconds=15 * (len(asked) - 1))
    within = [one for at, one in enumerate(asked) if 15 * (len(asked) - 1 - at) <= 600]
    # What there was at first counts as asked for then, and so many levels are kept at most.
    first = [5] if 15 * (len(asked) - 1) <= 600 else []
    assert memory.peak(now - WINDOW) >= max(within + first)  # type: ignore[operator]
    assert len(memory.highs) <= MOST_LEVELS
    if len(set(asked)) < MOST_LEVELS:
        assert memory.peak(now - WINDOW) == max(within + first)


def test_it_comes_back_from_the_status_as_it_was() -> None:
    memory = after(look(0, 4), look(15, 2), look(30, 1), look(45, 0))

    back = loads(dumps(memory))

    assert (back.highs, back.lulls, back.quiet_since) == (
        memory.highs,
        memory.lulls,
        memory.quiet_since,
    )
    assert dumps(back) == dumps(memory)


@pytest.mark.parametrize(
    "text",
    [
        None,
        "",
        "nonsense",
        "[]",
        "[9,[],[],[null,0],null,[]]",
        '[1,[["yesterday",1]],[],[null,0],null,[]]',
        '[1,[["2026-11-24T12:00:00",1]],[],[null,0],null,[]]',
        "[1,[],[],null,null,[NaN]]",
        "[1,[],[],[null,0],null,[1e999]]",
        "[" * 5000,
    ],
)
def test_what_cannot_be_read_is_forgotten(text: str | None) -> None:
    assert loads(text) == Memory()


def test_the_text_is_short_whatever_was_asked_for() -> None:
    memory = after(*(look(at, 1000 - at) for at in range(500)))
    lulls = Memory(highs=memory.highs, lows=memory.highs, lulls=(86_400.0,) * MOST_LULLS)

    assert len(dumps(lulls)) < 4096


def test_a_process_that_knows_nothing_waits_out_a_whole_window() -> None:
    memory = after(look(0, 1))

    assert memory.peak(NOON - WINDOW) == 5


def test_a_gap_ends_nothing_that_was_still_in_the_window() -> None:
    memory = after(look(0, 4), look(15, 1))

    resumed = loads(dumps(memory)).after(look(300, 1))

    assert resumed.highs[0] == Level(NOON, 5)


def test_after_a_long_absence_a_quarter_of_the_window_is_seen_first() -> None:
    memory = after(look(0, 4), look(15, 1))

    resumed = loads(dumps(memory)).after(look(9000, 1))

    assert resumed.peak(NOON + timedelta(seconds=9000) - WINDOW) == 5
    later = resumed
    for at in range(9015, 9165, 15):
        later = later.after(look(at, 1))
    assert later.peak(NOON + timedelta(seconds=9165) - WINDOW) == 1


def test_a_lull_lasts_until_as_many_are_needed_again() -> None:
    memory = after(look(0, 5), look(15, 2), look(30, 2, desired=2), look(45, 4, desired=2))
    assert memory.low_since == NOON + timedelta(seconds=15)

    over = memory.after(look(60, 5, desired=4))

    assert (over.low_since, over.lulls) == (None, (45.0,))


def test_what_is_unknown_neither_begins_nor_ends_a_lull() -> None:
    memory = after(look(0, 5), look(15, 2))

    assert memory.after(look(30, 5, known=False)).low_since == memory.low_since


def test_a_lull_of_a_day_is_the_new_load() -> None:
    memory = after(look(0, 2))

    assert memory.after(look(90_000, 2)).lulls == (86_400.0,)


def test_quiet_begins_with_the_first_look_without_requests() -> None:
    assert after(look(0, 0), look(15, 0)).quiet_since == NOON
    assert after(look(0, 0), look(15, 1)).quiet_since is None
    assert seconds_ago(0) == NOON
