"""An undisturbed life, and what disturbed ones are held against. The oracle is Sieve's."""

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from faults.chronicle import Chronicle
from faults.life import Outcome, live
from support.requests_seen import Fault, Write
from support.running import Client

AT_ONCE = 4
"""Lives side by side, each with an operator of its own: most of the time is waiting for pods."""

Decide = Callable[[Write], Fault | None]


@dataclass(frozen=True)
class Reference:
    """What a life comes to when nothing is in its way."""

    client: Client
    outcome: Outcome
    chronicle: Chronicle

    def why_different(self, outcome: Outcome) -> str:
        """Say what came out otherwise; nothing where all is the same."""
        for ours, theirs in zip(self.outcome.states, outcome.states, strict=True):
            for part, wanted in ours.items():
                if theirs[part] != wanted:
                    return f"after {ours['after']}: {part}: {theirs[part]} is not {wanted}"
        usual = self.chronicle.of(self.outcome.namespace)
        extra = self.chronicle.of(outcome.namespace) - usual
        return f"made or deleted more often: {dict(extra)}" if extra else ""

    async def differences(self, faults: Iterable[Decide], **environment: str) -> str:
        """Run a life for each of `faults`, several at once; return all that came out otherwise."""
        room = asyncio.Semaphore(AT_ONCE)

        async def disturbed(decide: Decide) -> str:
            async with room:
                return await self._difference(decide, environment)

        return "\n".join(filter(None, await asyncio.gather(*map(disturbed, faults))))

    async def _difference(self, decide: Decide, environment: dict[str, str]) -> str:
        try:
            outcome = await live(self.client, decide, environment=environment)
        except AssertionError as error:
            return str(error)
        trouble = self.why_different(outcome)
        hit = ", ".join(str(write) for write in outcome.writes if write.fault)
        return f"{hit or 'no write'} was hit: {trouble}; {outcome.log}" if trouble else ""
