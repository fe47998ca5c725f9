"""One 8-GPU node with two models: who pays depends on the weight policy, the sum does not."""

from typing import Any

import pytest

from modelfleet.plan.ledger.charges import charges_for
from modelfleet.plan.ledger.stays import Stay, Window
from modelfleet.plan.ledger.units import GPU, GRAINS, HOUR, MILLION, split
from modelfleet.plan.ledger.values import Account, Charge, Quantities, Seat, Terms, Use

GIB = 1 << 30
P5 = Quantities(192_000, 2048 * GIB, 8 * GPU)
"""p5.48xlarge in us-east-1: 55.04 $/h on 2026-07-20, 192 vCPU, 2048 GiB, 8 H100."""
A = Account("model", "team", "a")
B = Account("model", "team", "b")
SYSTEM = Account("system")
HELD = {
    A: Quantities(32_000, 256 * GIB, 4 * GPU),
    B: Quantities(64_000, 1024 * GIB, 2 * GPU),
    SYSTEM: Quantities(4_000, 16 * GIB),
}


def an_hour(policy: Any, busy: int | None = None) -> tuple[Charge, ...]:
    terms = Terms(pool="p5", rate=55_040_000, capacity=P5, policy=policy)
    stays = [
        Stay(account.name or "system", Seat(account=account, asks=asks, use=use), 0, HOUR, busy)
        for (account, asks), use in zip(
            HELD.items(), (Use.SERVING, Use.SERVING, Use.UNMEASURED), strict=True
        )
    ]
    return charges_for("node", terms, stays, Window(0, HOUR, 0))


def dollars(charges: tuple[Charge, ...], account: Account) -> float:
    grains = sum(one.cost for one in charges if one.account == account)
    return round(grains / GRAINS / MILLION, 2)


@pytest.mark.parametrize(
    ("policy", "a", "b", "system", "idle", "idle_gpu"),
    [
        pytest.param("Ratio", 14.52, 20.35, 0.48, 19.69, 4.68, id="by list, normalised"),
        pytest.param("Residual", 22.24, 16.44, 0.19, 16.17, 10.07, id="the GPU is the rest"),
        pytest.param("GPUOnly", 27.52, 13.76, 0.0, 13.76, 13.76, id="the GPU is all"),
    ],
)
def test_each_policy_gives_the_figures_worked_out_by_hand(
    policy: Any, a: float, b: float, system: float, idle: float, idle_gpu: float
) -> None:
    charges = an_hour(policy)

    assert [dollars(charges, one) for one in (A, B, SYSTEM, Account("idle"))] == [
        a, b, system, idle,
    ]  # fmt: skip
    (free,) = [one for one in charges if one.use is Use.FREE]
    assert round(free.gpu_rate / MILLION, 2) == idle_gpu
    assert sum(one.cost for one in charges) == 55_040_000 * HOUR
    assert {one.policy for one in charges} == {policy}


def test_a_model_that_is_busy_six_tenths_of_the_time_uses_six_tenths_of_its_cost() -> None:
    charges = [one for one in an_hour("Residual", busy=600_000) if one.account == A]

    used, spare = (
        sum(one.cost for one in charges if one.use is use) for use in (Use.USED, Use.SPARE)
    )

    assert used + spare == sum(one.cost for one in an_hour("Residual") if one.account == A)
    assert used == pytest.approx(0.6 * (used + spare), rel=1e-6)


def test_fully_loaded_the_two_models_pay_for_the_whole_node() -> None:
    """System and idle by direct cost, as the example distributes them: 31.65 and 23.39."""
    charges = an_hour("Residual")
    direct = [sum(one.cost for one in charges if one.account == account) for account in (A, B)]

    shares = split(55_040_000, direct)

    assert [round(share / MILLION, 2) for share in shares] == [31.65, 23.39]
    assert sum(shares) == 55_040_000
