"""What pods did between two instants, whatever happened to them and to their scrapes."""

import math
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelfleet.plan.analysis import window_for
from modelfleet.plan.analysis.evidence import Sum
from modelfleet.plan.samples import Process, Scrape
from unit.plan.analysis.worlds import a_scrape, a_span, at

UNSURE = Process(0, None)
"""A process that does not say when it started."""


def test_a_counter_counts_by_its_growth() -> None:
    told = window_for("new", [a_scrape(0, succeeded=100), a_scrape(60, succeeded=130)], a_span())
    assert told.counts == {"succeeded": 30}
    assert told.pods == {"a"}


def test_pods_add_up() -> None:
    scrapes = [
        a_scrape(seconds, pod, succeeded=seconds * rate)
        for pod, rate in (("a", 1), ("b", 2))
        for seconds in (0, 30, 60)
    ]
    assert window_for("new", scrapes, a_span()).counts == {"succeeded": 180}


def test_other_revisions_do_not_count() -> None:
    scrapes = [a_scrape(0, succeeded=0), a_scrape(60, succeeded=5)]
    others = [a_scrape(s, "b", revision="old", succeeded=s) for s in (0, 60)]
    assert window_for("new", scrapes + others, a_span()).counts == {"succeeded": 5}


def test_windows_that_follow_each_other_count_everything_once() -> None:
    scrapes = [a_scrape(7 + 15 * n, succeeded=n * n) for n in range(20)]
    parts = [window_for("new", scrapes, a_span(60 * n, 60 * n + 60)) for n in range(4)]
    whole = window_for("new", scrapes, a_span(0, 240))
    assert sum(part.counts["succeeded"] for part in parts) == whole.counts["succeeded"]


def test_a_beginning_from_long_ago_is_not_taken() -> None:
    told = window_for("new", [a_scrape(-100, succeeded=0), a_scrape(30, succeeded=9)], a_span())
    assert not told.pods
    assert not told.counts


def test_one_scrape_is_no_change() -> None:
    told = window_for("new", [a_scrape(30, succeeded=1000)], a_span())
    assert not told.pods
    assert not told.counts
    assert not told.silent


def test_a_pod_that_comes_counts_from_its_first_warm_scrape() -> None:
    scrapes = [a_scrape(seconds, succeeded=seconds) for seconds in (10, 20, 30, 40, 50, 60)]
    span = a_span(warm_up=timedelta(seconds=30), serving_since={"a": at(5)})
    assert window_for("new", scrapes, span).counts == {"succeeded": 20}


def test_a_pod_of_unknown_age_begins_with_its_first_scrape() -> None:
    scrapes = [a_scrape(seconds, succeeded=seconds) for seconds in (10, 20, 30, 40, 50, 60)]
    told = window_for("new", scrapes, a_span(warm_up=timedelta(seconds=30)))
    assert told.counts == {"succeeded": 20}


def test_a_pod_that_goes_counts_up_to_its_last_scrape() -> None:
    scrapes = [a_scrape(0, succeeded=0), a_scrape(15, succeeded=4), a_scrape(30, succeeded=7)]
    scrapes += [a_scrape(seconds, "b", succeeded=seconds) for seconds in (0, 30, 60)]
    told = window_for("new", scrapes, a_span())
    assert told.counts == {"succeeded": 67}
    assert not told.silent


def test_a_pod_that_should_tell_and_does_not_is_silent() -> None:
    scrapes = [a_scrape(0, "a", succeeded=0), a_scrape(60, "a", succeeded=9)]
    span = a_span(serving_since={"a": at(-100), "b": at(-100), "young": at(30)})
    told = window_for("new", scrapes, span)
    assert told.silent == {"b"}
    assert told.counts == {"succeeded": 9}


class TestRestarts:
    def test_a_new_process_counts_from_zero(self) -> None:
        scrapes = [
            a_scrape(0, process=Process(0, 1.0), succeeded=100),
            a_scrape(30, process=Process(0, 1.0), succeeded=110),
            a_scrape(60, process=Process(1, 2.0), succeeded=4),
        ]
        told = window_for("new", scrapes, a_span())
        assert told.counts == {"succeeded": 14}
        assert told.restarts == 1

    def test_it_may_have_overtaken_the_old_one(self) -> None:
        scrapes = [
            a_scrape(0, process=Process(0, 1.0), succeeded=10),
            a_scrape(60, process=Process(0, 2.0), succeeded=50),
        ]
        assert window_for("new", scrapes, a_span()).counts == {"succeeded": 50}

    def test_one_counter_that_falls_tells_for_all(self) -> None:
        scrapes = [
            a_scrape(0, process=UNSURE, succeeded=100, errors=0),
            a_scrape(60, process=UNSURE, succeeded=20, errors=3),
        ]
        told = window_for("new", scrapes, a_span())
        assert told.counts == {"succeeded": 20, "errors": 3}
        assert told.restarts == 1

    def test_news_of_it_that_come_late_count_nothing_twice(self) -> None:
        scrapes = [
            a_scrape(0, process=Process(0), succeeded=100),
            a_scrape(15, process=Process(0), succeeded=2),
            a_scrape(30, process=Process(1), succeeded=4),
            a_scrape(60, process=Process(1), succeeded=9),
        ]
        told = window_for("new", scrapes, a_span())
        assert told.counts == {"succeeded": 7}
        assert told.restarts == 1

    def test_a_counter_that_falls_within_one_process_is_not_believed(self) -> None:
        scrapes = [a_scrape(0, succeeded=0, errors=5), a_scrape(60, succeeded=9, errors=2)]
        told = window_for("new", scrapes, a_span())
        assert told.counts == {"succeeded": 9}
        assert told.unknown["errors"] == 1
        assert told.restarts == 0


class TestUnknown:
    def test_a_signal_that_one_pod_does_not_tell_is_unknown(self) -> None:
        scrapes = [a_scrape(s, "a", succeeded=s, errors=0) for s in (0, 60)]
        scrapes += [a_scrape(s, "b", succeeded=s) for s in (0, 60)]
        told = window_for("new", scrapes, a_span())
        assert told.counts == {"succeeded": 120}
        assert told.unknown["errors"] == 1

    def test_a_signal_that_appears_half_way_is_unknown(self) -> None:
        scrapes = [
            a_scrape(0, succeeded=0),
            a_scrape(30, succeeded=3, errors=1),
            a_scrape(60, succeeded=9, errors=2),
        ]
        assert window_for("new", scrapes, a_span()).counts == {"succeeded": 9}

    @pytest.mark.parametrize("nonsense", [math.nan, math.inf, -math.inf, -1.0, 1e308])
    def test_nonsense_is_dropped_and_told(self, nonsense: float) -> None:
        scrapes = [
            a_scrape(0, succeeded=0),
            a_scrape(30, succeeded=nonsense),
            a_scrape(60, succeeded=8),
        ]
        told = window_for("new", scrapes, a_span())
        assert told.counts == {"succeeded": 8}
        assert told.dropped == 1

    def test_a_histogram_without_a_sum_is_unknown(self) -> None:
        scrapes = [a_scrape(s, succeeded=s, ttft=(s, math.nan)) for s in (0, 60)]
        told = window_for("new", scrapes, a_span())
        assert "timeToFirstToken" not in told.latencies
        assert told.unknown["timeToFirstToken"] == 1

    def test_nobody_tells_anything(self) -> None:
        told = window_for("new", [], a_span())
        assert (told.counts, told.latencies, told.unknown) == ({}, {}, {})

    def test_a_span_without_time_has_nothing_in_it(self) -> None:
        scrapes = [a_scrape(0, succeeded=0), a_scrape(60, succeeded=9)]
        assert not window_for("new", scrapes, a_span(60, 60)).counts


class TestLatencies:
    def test_moments_are_told_apart(self) -> None:
        scrapes = [
            a_scrape(0, ttft=(0, 0)),
            a_scrape(10, ttft=(4, 2.0)),
            a_scrape(15, ttft=(5, 4.0)),
        ]
        told = window_for("new", scrapes, a_span())
        assert told.latencies["timeToFirstToken"] == {0: Sum(4, 2.0), 1: Sum(1, 2.0)}

    def test_a_new_process_counts_from_zero(self) -> None:
        scrapes = [
            a_scrape(0, ttft=(100, 50.0), process=Process(0, 1.0)),
            a_scrape(10, ttft=(2, 3.0), process=Process(1, 2.0)),
        ]
        told = window_for("new", scrapes, a_span())
        assert told.latencies["timeToFirstToken"] == {0: Sum(2, 3.0)}

    def test_a_sum_that_falls_is_not_believed(self) -> None:
        scrapes = [a_scrape(0, ttft=(1, 9.0)), a_scrape(10, ttft=(2, 3.0))]
        assert "timeToFirstToken" not in window_for("new", scrapes, a_span()).latencies


LIVES = st.lists(
    st.tuples(
        st.sampled_from("abc"),
        st.integers(-60, 70),
        st.sampled_from([Process(0, 1.0), Process(1, 2.0), UNSURE, Process(1, None)]),
        st.integers(0, 50),
        st.one_of(st.none(), st.integers(0, 5), st.just(math.nan)),
    ),
    max_size=12,
)


def lived(life: list[tuple[str, int, Process, int, float | None]]) -> list[Scrape]:
    return [
        a_scrape(
            seconds,
            pod,
            process=process,
            ttft=(succeeded, succeeded * 0.5),
            succeeded=succeeded,
            **({} if errors is None else {"errors": errors}),
        )
        for pod, seconds, process, succeeded, errors in life
    ]


@given(LIVES, st.randoms(use_true_random=False))
def test_neither_order_nor_duplicates_matter(life: list, random) -> None:  # type: ignore[no-untyped-def, type-arg]
    scrapes = lived(life)
    shuffled = scrapes * 2
    random.shuffle(shuffled)
    one, other = (window_for("new", each, a_span()) for each in (scrapes, shuffled))
    assert one == other


@given(LIVES)
def test_any_life_makes_a_window_of_counts(life: list) -> None:  # type: ignore[type-arg]
    told = window_for("new", lived(life), a_span())
    assert all(value >= 0 for value in told.counts.values())
    assert all(one.count >= 0 for each in told.latencies.values() for one in each.values())
    assert not told.counts.keys() & told.unknown.keys()
    assert told.restarts >= 0
