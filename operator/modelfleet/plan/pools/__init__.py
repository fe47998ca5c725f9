"""Which pools a Model may use, what a pool has, and what its status says."""

from modelfleet.plan.pools.facts import facts_for
from modelfleet.plan.pools.placement import candidates_for, pools_empty, why_unplaceable
from modelfleet.plan.pools.status import pool_status_for

__all__ = ["candidates_for", "facts_for", "pool_status_for", "pools_empty", "why_unplaceable"]
