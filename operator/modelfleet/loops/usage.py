"""What engines told lately, for the ledger: how busy they were, and how many tokens they made.

Only Models whose engines are read are known, as those with `autoscaling`.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence

from modelfleet.cluster.caches import Caches
from modelfleet.loops.accounts import Accounts, Name
from modelfleet.plan.ledger.tokens import Measured, Tokens, counted
from modelfleet.plan.ledger.units import Grains
from modelfleet.plan.ledger.usage import busy_of, tokens_of
from modelfleet.plan.samples import Scrape
from modelfleet.plan.world import Key

Pages = Callable[[Key], Sequence[Scrape]]
"""Returns what the pods of a Model told in the last minute."""

Counters = Mapping[str, Tokens]
"""By pod uid and, after a slash, restarts."""


class Usage:
    """Remembers the counters of the last round, so that the next tells what has moved."""

    def __init__(self, caches: Caches, pages: Pages) -> None:
        self._caches, self._pages = caches, pages
        self._last: dict[Name, tuple[Counters, Grains]] = {}

    def forget(self) -> None:
        """Begin anew: what the next round tells is compared with nothing."""
        self._last.clear()

    def busy(self, models: Iterable[Key]) -> dict[str, int]:
        """Return how busy the pods of these Models were, by uid."""
        return {pod: part for key in models for pod, part in busy_of(self._pages(key)).items()}

    def count(self, models: Iterable[Key], accounts: Accounts) -> None:
        """Add what was made since the last round, and what the Model cost meanwhile."""
        before, self._last = self._last, {}
        for key in models:
            name = (key.namespace, key.name)
            if now := tokens_of(self._pages(key)):
                spent = accounts.spent(name)
                if (last := before.get(name)) is not None:
                    moved = counted(last[0], now).tokens
                    accounts.measure(name, Measured(moved, max(0, spent - last[1])))
                    now = {**self._alive(name, last[0]), **now}
                self._last[name] = (now, spent)

    def _alive(self, name: Name, counters: Counters) -> Counters:
        """Keep what pods told that told nothing this time: they may again."""
        here = {pod.uid for pod in self._caches.pods.by("model", name)}
        return {one: tokens for one, tokens in counters.items() if one.split("/")[0] in here}
