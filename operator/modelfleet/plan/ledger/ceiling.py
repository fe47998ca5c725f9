"""How far a decision about replicas may go under a limit of what is spent per hour.

The seam for budgets: whoever decides a number of replicas passes it through here.
"""

from modelfleet.plan.ledger.units import Rate


def within_ceiling(wanted: int, now: int, each: Rate, committed: Rate, ceiling: Rate) -> int:
    """Return how many replicas are allowed. Going down always is, above the ceiling too.

    `committed` is what all that runs costs now, these replicas included; `each` is one more.
    """
    if wanted <= now or not each:
        return wanted
    return min(wanted, now + max(0, ceiling - committed) // each)
