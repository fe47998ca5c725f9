"""Whole simulated rollouts, with seeds. The full table comes from `unit.plan.analysis.rollouts`."""

from collections import Counter
from dataclasses import replace

import pytest

from modelfleet.plan.analysis import Verdict
from unit.plan.analysis.rollouts import CASES, GOOD, Behaviour, Traffic, rollout

STEADY, HARD = Traffic(2), Traffic(2, bursty=True, glitches=True)


def ended(canary: Behaviour, traffic: Traffic, seeds: int) -> Counter[Verdict]:
    return Counter(rollout(canary, traffic, seed).verdict for seed in range(seeds))


def test_a_good_canary_is_promoted() -> None:
    outcomes = ended(GOOD, STEADY, 15)
    assert outcomes[Verdict.FAIL] == 0
    assert outcomes[Verdict.PASS] >= 12


@pytest.mark.parametrize("canary", ["as good as stable", "tolerably slower: 1.25 x"])
def test_hard_times_condemn_nobody(canary: str) -> None:
    assert ended(CASES[canary], HARD, 12)[Verdict.FAIL] == 0


@pytest.mark.parametrize(
    "bad",
    [
        replace(GOOD, errors=0.15),
        replace(GOOD, first_token=3.0),
        replace(GOOD, output_token=1.5),
        replace(GOOD, aborts=0.15),
    ],
    ids=["errors", "first token", "output token", "aborts"],
)
def test_a_bad_canary_fails(bad: Behaviour) -> None:
    outcomes = ended(bad, STEADY, 10)
    assert outcomes[Verdict.FAIL] >= 8
    assert outcomes[Verdict.PASS] == 0


def test_a_canary_that_is_barely_asked_is_not_promoted() -> None:
    assert ended(GOOD, Traffic(0.1), 10) == {Verdict.INCONCLUSIVE: 10}


def test_a_broken_canary_is_gone_within_two_intervals_of_its_warm_up() -> None:
    outcomes = [rollout(replace(GOOD, errors=1.0), Traffic(10), seed) for seed in range(5)]
    assert all(one.verdict is Verdict.FAIL and one.intervals <= 3 for one in outcomes)
