"""Two replicas of the operator as a Deployment runs them, and what the API server saw of them."""

import asyncio
import os
import time
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from faults.fleet import Fleet, Replica, until
from support.requests_seen import Write

USUAL_LEASE = {
    "MODELFLEET_LEASE_SECONDS": "15",
    "MODELFLEET_RENEW_SECONDS": "10",
    "MODELFLEET_RETRY_SECONDS": "2",
}

SUCCESS = frozenset({200, 201})


@dataclass
class Pod(Replica):
    """A replica whose process is started again when it ends, as a kubelet does."""

    codes: list[int] = field(default_factory=list)
    """With which its processes ended."""
    stays: bool = True
    """Whether it is started again."""

    async def keep(self) -> None:
        """Be the kubelet, until cancelled."""
        while True:
            await asyncio.sleep(0.1)
            process = self.operator.process
            if process is not None and process.poll() is not None and self.stays:
                self.codes.append(process.returncode)
                self.operator.start()

    @asynccontextmanager
    async def gone(self) -> AsyncIterator[None]:
        """Do not start it again for the time of the block."""
        self.stays = False
        try:
            yield
        finally:
            self.stays = True

    def ask_to_end(self) -> None:
        """Ask it to end, and do not wait."""
        assert self.operator.process is not None
        self.operator.process.terminate()

    def leads(self) -> bool:
        """Whether it says that it leads."""
        return self.operator.metric("modelfleet_leader ") == 1

    def memory(self) -> int:
        """Return the bytes that its process holds in memory."""
        assert self.operator.process is not None
        pages = Path(f"/proc/{self.operator.process.pid}/statm").read_text().split()[1]
        return int(pages) * os.sysconf("SC_PAGE_SIZE")


@dataclass
class Pair:
    """Two replicas that compete for one Lease."""

    pods: tuple[Pod, ...]

    async def ready(self) -> None:
        """Wait until one leads and the other stands by."""
        for pod in self.pods:
            await pod.ready()
        await self.led()

    async def led(self) -> Pod:
        """Wait until one leads; return it."""

        async def why_not() -> str:
            return "" if await self._leader() else "nobody leads"

        await until(why_not)
        found = await self._leader()
        assert found is not None
        return found

    async def led_by(self, pod: Pod) -> float:
        """Wait until `pod` leads; return the seconds that it took."""
        began = time.monotonic()

        async def why_not() -> str:
            return "" if await asyncio.to_thread(pod.leads) else "it does not lead"

        await until(why_not)
        return time.monotonic() - began

    def standby(self, leader: Pod) -> Pod:
        """Return the other."""
        (other,) = (pod for pod in self.pods if pod is not leader)
        return other

    async def _leader(self) -> Pod | None:
        for pod in self.pods:
            if await asyncio.to_thread(pod.leads):
                return pod
        return None


@asynccontextmanager
async def pair(fleet: Fleet, **environment: str) -> AsyncIterator[Pair]:
    """Run two replicas, which keep being two, with the settings that users get."""
    settings = {**USUAL_LEASE, **environment}
    async with (
        fleet.operator(**settings) as first,
        fleet.operator(**settings) as second,
        asyncio.TaskGroup() as kubelet,
    ):
        both = Pair(tuple(Pod(one.operator, one.proxy) for one in (first, second)))
        tasks = [kubelet.create_task(pod.keep()) for pod in both.pods]
        try:
            await both.ready()
            yield both
        finally:
            for task in tasks:
                task.cancel()


def written_out_of_turn(pods: Iterable[Pod]) -> list[str]:
    """Return the writes that reached the API server while the Lease was another's.

    Who holds it is what was last written to it: by the order of the API server's answers. Events
    are not counted: they are news, and bind nobody.
    """
    holder: Pod | None = None
    wrong: list[str] = []
    for _, pod, write in sorted(_answered(pods), key=lambda one: one[0]):
        if write.target.plural == "leases":
            holder = pod if write.body["spec"]["holderIdentity"] else None
        elif pod is not holder:
            wrong.append(str(write))
    return wrong


def _answered(pods: Iterable[Pod]) -> Iterator[tuple[float, Pod, Write]]:
    for pod in pods:
        for write in pod.proxy.writes:
            if write.code in SUCCESS and write.target.plural != "events":
                yield write.answered, pod, write
