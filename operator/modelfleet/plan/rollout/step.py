"""The answer of a rollout: its next step."""

from collections.abc import Mapping
from dataclasses import dataclass

from modelfleet.api.v1alpha1.rollout import Strategy


@dataclass(frozen=True, slots=True, kw_only=True)
class Rollout:
    """What each revision gets now. A revision with 0 replicas is on its way out."""

    replicas: Mapping[str, int]
    """Revision hash → replicas of its Deployment."""
    because: str
    strategy: Strategy | None = None
    """What was chosen; None where there is nothing to exchange."""
    route: str | None = None
    """The only revision that takes traffic; None: all that are ready."""
    waits_for_capacity: bool = False
    """A free GPU would be used at once."""
    done: bool = False
    """Nothing of another revision is left."""
