"""Verdicts on canaries, one interval after the other."""

import json
from collections.abc import Iterable
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modelfleet.plan.analysis import (
    Evidence,
    Health,
    Judgement,
    Memory,
    ProbeResults,
    Tolerances,
    Verdict,
    dumps,
    judge,
    loads,
    tolerances_for,
)
from modelfleet.plan.verdict import MOST_BYTES
from support.chance import examples
from unit.plan.analysis.worlds import a_window, evidence

TOLERANCES = Tolerances()
FINE = {"succeeded": 30.0, "errors": 0.0}
MUCH = {"succeeded": 300.0, "errors": 0.0}


def looked(
    looks: Iterable[tuple[Evidence, Evidence]],
    memory: Memory | None = None,
    tolerances: Tolerances = TOLERANCES,
) -> list[Judgement]:
    """Judge one look after the other; the memory goes through the status."""
    memory, found = memory or Memory(), []
    for stable, canary in looks:
        found.append(judge(stable, canary, tolerances, memory))
        memory = loads(dumps(found[-1].memory))
    return found


def counted(stable: dict[str, float], canary: dict[str, float], times: int = 6):  # type: ignore[no-untyped-def]
    """Return looks that all tell the same."""
    for look in range(times):
        yield (
            evidence(a_window("old", look, **stable)),
            evidence(a_window("new", look, **canary)),
        )


def timed(stable: float, canary: float, times: int = 6, **counts: float):  # type: ignore[no-untyped-def]
    """Return looks at two times to the first token, in six moments each."""
    counts = counts or FINE
    for look in range(times):
        yield (
            evidence(a_window("old", look, {n: (20, stable) for n in range(6)}, **counts)),
            evidence(a_window("new", look, {n: (5, canary) for n in range(6)}, **counts)),
        )


def verdicts(found: Iterable[Judgement]) -> list[Verdict]:
    return [one.verdict for one in found]


class TestErrors:
    def test_a_canary_without_errors_passes(self) -> None:
        found = looked(counted(MUCH, FINE))
        assert found[0].verdict is Verdict.INCONCLUSIVE
        assert found[-1].verdict is Verdict.PASS
        assert found[-1].rests_on == ("errors",)
        assert found[-1].sentence == (
            "canary: 0 of 180 (0 %) requests failed, stable 0 of 1800 (0 %). "
            "Not worse by more than is acceptable"
        )

    def test_a_canary_that_only_fails_takes_two_intervals(self) -> None:
        found = looked(counted(MUCH, {"succeeded": 0, "errors": 30}, times=3))
        assert verdicts(found) == [Verdict.INCONCLUSIVE, Verdict.FAIL, Verdict.FAIL]
        assert found[-1].sentence == (
            "canary: 60 of 60 (100 %) requests failed, stable 0 of 600 (0 %): more than 1 point "
            "worse; a revision within that fails with probability < 1 %"
        )

    def test_stable_that_fails_as_much_condemns_nobody(self) -> None:
        broken = {"succeeded": 10.0, "errors": 20.0}
        assert Verdict.FAIL not in verdicts(looked(counted(broken, broken, times=40)))

    def test_stable_alone_fails(self) -> None:
        found = looked(counted({"succeeded": 0, "errors": 300}, FINE, times=20))
        assert Verdict.FAIL not in verdicts(found)

    def test_one_burst_of_errors_condemns_nobody(self) -> None:
        looks = [*counted(MUCH, FINE, times=3)]
        burst = evidence(a_window("new", 3, succeeded=0, errors=30))
        looks.append((evidence(a_window("old", 3, **MUCH)), burst))
        assert looked(looks)[-1].verdict is Verdict.INCONCLUSIVE

    def test_what_is_tolerated_can_be_chosen(self) -> None:
        some = {"succeeded": 27.0, "errors": 3.0}
        strict, lax = tolerances_for(1), tolerances_for(12)
        assert looked(counted(MUCH, some, times=8), tolerances=strict)[-1].verdict is Verdict.FAIL
        found = looked(counted(MUCH, some, times=40), tolerances=lax)
        assert Verdict.FAIL not in verdicts(found)

    def test_aborts_are_judged_as_well(self) -> None:
        cut = {"succeeded": 24.0, "errors": 0.0, "aborted": 6.0}
        found = looked(counted(MUCH | {"aborted": 3.0}, cut, times=12))
        assert found[-1].verdict is Verdict.FAIL
        assert "requests aborted" in found[-1].sentence


class TestLatencies:
    def test_a_slow_canary_fails(self) -> None:
        found = looked(timed(0.3, 0.9))
        assert found[-1].verdict is Verdict.FAIL
        assert found[-1].sentence == (
            "canary: 900 ms (of 90) to the first token, stable 300 ms (of 360): more than 25 % "
            "slower in 18 of 18 comparisons; a revision within that fails with probability < 1 %"
        )

    def test_one_as_fast_passes(self) -> None:
        found = looked(timed(0.3, 0.3))
        assert found[-1].verdict is Verdict.PASS
        assert found[-1].rests_on == ("errors", "firstToken")

    def test_a_tolerable_one_never_fails(self) -> None:
        assert Verdict.FAIL not in verdicts(looked(timed(0.3, 0.37, times=40)))

    def test_a_few_milliseconds_are_nothing(self) -> None:
        assert Verdict.FAIL not in verdicts(looked(timed(0.002, 0.008, times=40)))

    def test_one_between_tolerable_and_unacceptable_is_not_promoted_while_suspicious(self) -> None:
        found = looked(timed(0.3, 0.45, times=2))
        assert found[-1].verdict is Verdict.INCONCLUSIVE
        assert "more than tolerated, perhaps: time to the first token" in found[-1].sentence

    def test_moments_of_one_revision_alone_are_no_comparison(self) -> None:
        stable = evidence(a_window("old", 0, {0: (20, 0.3)}, **MUCH))
        canary = evidence(a_window("new", 0, {1: (20, 9.0)}, **FINE))
        (found,) = looked([(stable, canary)])
        assert found.memory.trails["firstToken"].totals.moments == 0


class TestUnknown:
    def test_no_traffic_is_neither_good_nor_bad(self) -> None:
        none = {"succeeded": 0.0, "errors": 0.0}
        found = looked(counted(MUCH, none, times=30))
        assert set(verdicts(found)) == {Verdict.INCONCLUSIVE}
        assert "0 of at least 100 requests" in found[-1].sentence

    def test_nothing_known_is_neither_good_nor_bad(self) -> None:
        found = looked(counted({}, {}, times=30))
        assert set(verdicts(found)) == {Verdict.INCONCLUSIVE}
        assert found[-1].rests_on == ()
        assert "nobody tells whether requests fail" in found[-1].sentence

    def test_success_alone_does_not_say_that_nothing_failed(self) -> None:
        found = looked(counted({"succeeded": 300}, {"succeeded": 30}, times=30))
        assert set(verdicts(found)) == {Verdict.INCONCLUSIVE}

    def test_a_signal_of_one_revision_alone_is_unknown(self) -> None:
        found = looked(counted({"succeeded": 300}, {"succeeded": 30, "errors": 30}, times=5))
        assert "errors" in found[-1].unknown
        assert Verdict.FAIL not in verdicts(found)

    def test_a_silent_pod_is_not_passed_over(self) -> None:
        looks = [
            (stable, replace(canary, window=replace(canary.window, silent=frozenset("x"))))
            for stable, canary in counted(MUCH, FINE)
        ]
        found = looked(looks)
        assert found[-1].verdict is Verdict.INCONCLUSIVE
        assert "1 pod of the canary told nothing" in found[-1].sentence

    def test_a_scrape_that_failed_holds_only_its_interval(self) -> None:
        looks = [*counted(MUCH, FINE, times=7)]
        looks[5] = (looks[5][0], evidence(a_window("new", 5)))
        found = looked(looks)
        assert verdicts(found)[4:] == [Verdict.PASS, Verdict.INCONCLUSIVE, Verdict.PASS]

    def test_a_model_that_streams_nothing_needs_no_latency(self) -> None:
        looks = [
            (evidence(a_window("old", n, {}, **MUCH)), evidence(a_window("new", n, {}, **FINE)))
            for n in range(6)
        ]
        assert looked(looks)[-1].verdict is Verdict.PASS


class TestProbes:
    def looks(self, failed: int, times: int = 8, slow: float = 0.2):  # type: ignore[no-untyped-def]
        for look in range(times):
            yield (
                evidence(a_window("old", look), ProbeResults(1, 0, (0.2,))),
                evidence(a_window("new", look), ProbeResults(1 - failed, failed, (slow,))),
            )

    def test_they_fill_in_where_an_engine_tells_nothing(self) -> None:
        found = looked(self.looks(failed=0))
        assert found[-1].verdict is Verdict.PASS
        assert found[-1].rests_on == ("probeErrors", "probeFirstToken")
        assert "0 of 8 (0 %) probes failed" in found[-1].sentence

    def test_they_condemn(self) -> None:
        found = looked(self.looks(failed=1))
        assert found[-1].verdict is Verdict.FAIL
        assert found[-1].rests_on == ("probeErrors", "probeFirstToken")

    def test_slow_ones_condemn(self) -> None:
        assert looked(self.looks(failed=0, times=20, slow=2.0))[-1].verdict is Verdict.FAIL

    def test_they_are_no_traffic(self) -> None:
        """Where requests are counted and there are none, probes alone promote nothing."""
        none = {"succeeded": 0.0, "errors": 0.0}
        looks = [
            (replace(one, window=counts[0].window), replace(other, window=counts[1].window))
            for (one, other), counts in zip(
                self.looks(failed=0), counted(MUCH, none, times=8), strict=True
            )
        ]
        assert set(verdicts(looked(looks))) == {Verdict.INCONCLUSIVE}

    def test_an_engine_counts_them_among_its_requests(self) -> None:
        """It does not know who asks: of what it counts, ours are no users'."""
        probed = ProbeResults(1, 0, (0.2,))
        found = looked(
            [
                (
                    evidence(a_window("old", look, {0: (30, 0.2)}, succeeded=300.0), probed),
                    evidence(a_window("new", look, {0: (1, 0.2)}, succeeded=1.0), probed),
                )
                for look in range(200)
            ]
        )
        assert set(verdicts(found)) == {Verdict.INCONCLUSIVE}
        assert "0 of at least 100 requests" in found[-1].sentence


class TestCrashes:
    def test_a_restart_under_load_fails_at_once(self) -> None:
        stable = evidence(a_window("old", 0, **MUCH))
        canary = evidence(a_window("new", 0, restarts=1, **FINE))
        (found,) = looked([(stable, canary)])
        assert found.verdict is Verdict.FAIL
        assert found.sentence == "canary: containers ended under load 1 time, stable's never"

    def test_so_does_one_that_kubernetes_tells_of(self) -> None:
        stable = evidence(a_window("old", 0))
        canary = evidence(a_window("new", 0), health=Health(pods=1, restarts=1))
        assert looked([(stable, canary)])[0].verdict is Verdict.FAIL

    def test_and_a_crash_loop(self) -> None:
        canary = evidence(a_window("new", 0), health=Health(pods=2, crash_looping=2))
        (found,) = looked([(evidence(a_window("old", 0)), canary)])
        assert found.sentence == "canary: 2 pods in a crash loop, stable none"

    def test_stable_that_restarts_as_often_condemns_nobody(self) -> None:
        stable = evidence(a_window("old", 0, restarts=2), health=Health(pods=2))
        canary = evidence(a_window("new", 0, restarts=1), health=Health(pods=1))
        assert looked([(stable, canary)])[0].verdict is not Verdict.FAIL


class TestMemory:
    def test_a_window_is_counted_once(self) -> None:
        (stable, canary), *_ = counted(MUCH, FINE)
        once = judge(stable, canary, TOLERANCES, Memory())
        again = judge(stable, canary, TOLERANCES, once.memory)
        assert again.memory == once.memory
        assert again.findings == once.findings

    def test_windows_of_different_times_are_not_compared(self) -> None:
        stable = evidence(a_window("old", 0, **MUCH))
        canary = evidence(a_window("new", 1, succeeded=0, errors=30))
        assert judge(stable, canary, TOLERANCES, Memory()).memory == Memory()

    def test_each_step_must_pass_anew(self) -> None:
        found = looked(counted(MUCH, FINE))
        memory = found[-1].memory.next_step()
        later = [*counted(MUCH, FINE, times=12)][6:]
        assert verdicts(looked(later, memory)) == [Verdict.INCONCLUSIVE] * 3 + [Verdict.PASS] * 3

    def test_a_fault_that_shows_late_is_found(self) -> None:
        good = [*counted(MUCH, FINE, times=30)]
        bad = [*counted(MUCH, {"succeeded": 0, "errors": 30}, times=34)][30:]
        assert looked(good + bad)[-1].verdict is Verdict.FAIL

    def test_it_is_small(self) -> None:
        looks = [
            (
                replace(stable, probes=ProbeResults(1, 0, (0.2123456789,))),
                replace(canary, probes=ProbeResults(1, 0, (0.3123456789,))),
            )
            for stable, canary in timed(1 / 3, 1 / 3, times=30, succeeded=1 / 3e5, errors=1 / 7e5)
        ]
        assert len(dumps(looked(looks)[-1].memory)) < 1500

    @pytest.mark.parametrize(
        "text",
        [
            None,
            "",
            "{}",
            "[]",
            "null",
            "[1]",
            "[2,null,null,[0,0,0,0],{}]",
            "[1,3,null,[],{}]",
            '[1,"2026-01-01T00:00:00",null,[0,0,0,0],{}]',
            "[" * 4096,
            '[1,null,null,[0,0,0,0],{"errors":[[NaN],0,[],[0,0,0,0],[0,0],[0,0],[0,0,0,0]]}]',
        ],
    )
    def test_what_cannot_be_read_is_forgotten(self, text: str | None) -> None:
        assert loads(text) == Memory()


NUMBERS = st.one_of(st.integers(-(10**400), 10**400), st.floats(), st.integers(-3, 3))
CONTENT = st.fixed_dictionaries(
    {
        "alarm": st.lists(NUMBERS, max_size=6),
        "looks": NUMBERS,
        "clear": st.lists(NUMBERS, max_size=6),
        "sums": st.lists(NUMBERS, min_size=4, max_size=4),
        "moments": st.lists(NUMBERS, min_size=2, max_size=2),
        "base": st.lists(NUMBERS, min_size=2, max_size=2),
        "pending": st.lists(NUMBERS, min_size=4, max_size=4),
    }
)


@given(st.dictionaries(st.sampled_from(["errors", "firstToken", "x"]), CONTENT))
def test_no_memory_keeps_a_canary_from_being_judged(trails: dict) -> None:  # type: ignore[type-arg]
    content = {name: list(one.values()) for name, one in trails.items()}
    memory = loads(json.dumps([1, None, None, [0, 0, 0, 0], content]))
    assert looked(timed(0.3, 0.3, times=2), memory)[-1].verdict in set(Verdict)


# --- properties ---------------------------------------------------------------

COUNT = st.integers(0, 60)
LOOK = st.fixed_dictionaries(
    {
        "succeeded": COUNT,
        "errors": COUNT,
        "means": st.lists(st.floats(0.01, 9.0), min_size=6, max_size=6),
    }
)
LOOKS = st.lists(st.tuples(LOOK, LOOK), min_size=1, max_size=15)


def windows(looks, signals=("errors", "ttft")):  # type: ignore[no-untyped-def]
    for number, both in enumerate(looks):
        stable, canary = (_window(number, one, signals) for one in both)
        yield evidence(stable), evidence(canary)


def _window(number, look, signals):  # type: ignore[no-untyped-def]
    counts = {"succeeded": float(look["succeeded"])}
    if "errors" in signals:
        counts["errors"] = float(look["errors"])
    means = {n: (9, mean) for n, mean in enumerate(look["means"])} if "ttft" in signals else None
    return a_window("any", number, means, **counts)


@given(LOOKS)
@settings(max_examples=examples(60))
def test_one_that_tells_the_same_as_stable_never_fails(looks: list) -> None:  # type: ignore[type-arg]
    same = [(one, one) for one, _ in looks]
    assert Verdict.FAIL not in verdicts(looked(windows(same)))


@given(LOOKS, st.sampled_from(["errors", "ttft"]))
@settings(max_examples=examples(60))
def test_two_revisions_are_not_worse_than_each_other(looks: list, signal: str) -> None:  # type: ignore[type-arg]
    turned = [(other, one) for one, other in looks]
    first = looked(windows(looks, (signal,)))[0].verdict
    second = looked(windows(turned, (signal,)))[0].verdict
    assert (first, second) != (Verdict.FAIL, Verdict.FAIL)


@given(LOOK, LOOK, st.sampled_from(["errors", "ttft"]))
@settings(max_examples=examples(60))
def test_nor_when_the_same_is_told_again_and_again(one: dict, other: dict, signal: str) -> None:  # type: ignore[type-arg]
    looks = [(one, other)] * 25
    there = looked(windows(looks, (signal,)))[-1].verdict
    back = looked(windows([(other, one)] * 25, (signal,)))[-1].verdict
    assert (there, back) != (Verdict.FAIL, Verdict.FAIL)


@given(LOOKS, LOOK, LOOK)
@settings(max_examples=examples(60))
def test_a_failed_canary_stays_failed(looks: list, bad: dict, good: dict) -> None:  # type: ignore[type-arg]
    worst = bad | {"succeeded": 0, "errors": 50}
    fine = good | {"succeeded": 50, "errors": 0}
    found = verdicts(looked(windows([(fine, worst)] * 8 + looks)))
    assert found[7] is Verdict.FAIL
    assert set(found[7:]) == {Verdict.FAIL}


@given(LOOKS)
@settings(max_examples=examples(60))
def test_a_signal_that_nobody_tells_changes_nothing_about_others(looks: list) -> None:  # type: ignore[type-arg]
    both = looked(windows(looks))[-1].memory.trails
    alone = looked(windows(looks, ("errors",)))[-1]
    assert alone.memory.trails == {"errors": both["errors"]}
    assert {one.subject for one in alone.findings} == {"errors"}


@given(LOOKS)
@settings(max_examples=examples(60))
def test_without_word_of_errors_nothing_passes(looks: list) -> None:  # type: ignore[type-arg]
    assert Verdict.PASS not in verdicts(looked(windows(looks, ("ttft",))))


@given(LOOKS)
@settings(max_examples=examples(60))
def test_what_is_said_and_kept_is_bounded(looks: list) -> None:  # type: ignore[type-arg]
    found = looked(windows(looks))[-1]
    assert len(found.sentence.encode()) <= MOST_BYTES
    assert "\n" not in found.sentence
    assert len(dumps(found.memory)) < 4096
    once = dumps(found.memory)
    assert dumps(loads(once)) == once
