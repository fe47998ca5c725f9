"""Whether replicas that go are worth what it costs to have them back."""

from dataclasses import dataclass
from datetime import datetime

from modelfleet.plan.scaling import wording
from modelfleet.plan.scaling.bounds import HOUR, next_rise
from modelfleet.plan.scaling.facts import Facts
from modelfleet.plan.scaling.memory import Memory
from modelfleet.plan.scaling.policy import Policy


@dataclass(frozen=True, slots=True)
class Sums:
    """Both sides in micro-dollars."""

    saved: int
    restart: int
    told: str

    @property
    def pays(self) -> bool:
        """Whether more is saved than a restart costs."""
        return self.saved > self.restart


def restart(
    policy: Policy, facts: Facts, memory: Memory, target: int, now: datetime
) -> Sums | None:
    """Return price x expected idle against price x cold start; None where no price is known."""
    gone = facts.desired - target
    if facts.price is None or not facts.gpus or gone <= 0:
        return None
    hourly = facts.price * facts.gpus * gone
    idle = expected_idle(policy, facts, memory, target, now)
    saved, again = (round(hourly * seconds / HOUR) for seconds in (idle, facts.start))
    sign = ">" if saved > again else "is no more than"
    told = (
        f"{gone} x {wording.money(facts.price * facts.gpus)}/h x {wording.seconds(idle)} idle = "
        f"{wording.money(saved)} {sign} {wording.money(again)} for a start of "
        f"{wording.seconds(facts.start)}"
    )
    return Sums(saved, again, told)


def expected_idle(
    policy: Policy, facts: Facts, memory: Memory, target: int, now: datetime
) -> float:
    """Return for how many seconds longer so few will do, by the lulls before and the schedules.

    Of the lulls that lasted as long as this one has, the mean of what was left of them; where none
    has, as long again as it has lasted.
    """
    since = [one for one in (memory.low_since, None if target else memory.quiet_since) if one]
    lasted = max([policy.down.length(facts.start), *((now - one).total_seconds() for one in since)])
    longer = [one - lasted for one in memory.lulls if one > lasted]
    left = sum(longer) / len(longer) if longer else lasted
    rise = next_rise(policy, facts, target, now) if policy.schedules else None
    return left if rise is None else min(left, rise)
