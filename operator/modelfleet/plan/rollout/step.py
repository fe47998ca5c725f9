"""The answer of a rollout: its next step."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

from modelfleet.api.v1alpha1.rollout import Strategy
from modelfleet.plan.rollout.progress import Progress


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
    progress: Progress | None = None
    """Of a canary: what is to be remembered. The next look acts on it."""
    steps: int = 0
    """How many a canary has."""
    compares: bool = False
    """Both revisions' engines are to be read."""
    look_again_in: timedelta | None = None
    """When something is due although nothing happens."""
    waits_for_capacity: bool = False
    """A free GPU would be used at once."""
    held: bool = False
    """A person, or a spec that cannot be met, holds everything as it is."""
    done: bool = False
    """Nothing of another revision is left."""
