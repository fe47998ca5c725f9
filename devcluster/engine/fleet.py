"""All pods of the cluster: each gets the server that it should have now, and its end."""

import asyncio
import logging
from collections.abc import Callable, Mapping
from typing import Any

from devcluster.engine.kubelet import Ending, Kubelet
from devcluster.engine.pods import ENGINE_LABEL, EngineSpec, Pod, is_lost, pod_from
from devcluster.engine.servers import ModelServer

logger = logging.getLogger(__name__)

ServerFor = Callable[[Pod, EngineSpec], ModelServer]

_MOST_SPECS = 4096
_FIRST_PAUSE = 0.05
_LONGEST_PAUSE = 5.0


class Resident:
    """One pod and what runs for it. Looks at the newest observation only, one look at a time."""

    def __init__(self, pod: Pod, server_for: ServerFor, kubelet: Kubelet) -> None:
        self.pod = pod
        self.lost = False
        self.gone = False
        self.server: ModelServer | None = None
        self._server_for = server_for
        self._kubelet = kubelet
        self._started = (-1, "")
        self._spec: EngineSpec | None = None
        self._loaded = False
        self._ending: Ending | None = None
        self._end: asyncio.Task[None] | None = None
        self._look: asyncio.Task[None] | None = None
        self._crash: asyncio.Task[None] | None = None
        self._again = False

    def wake(self) -> None:
        """Look at the pod again, soon."""
        self._again = True
        if self._look is None or self._look.done():
            self._look = asyncio.create_task(self._look_until_still())

    async def _look_until_still(self) -> None:
        pause = _FIRST_PAUSE
        while self._again:
            self._again = False
            try:
                await self._step()
                pause = _FIRST_PAUSE
            except OSError as error:
                # The last pod with this address may not be gone yet.
                logger.info("%s/%s: %s", self.pod.namespace, self.pod.name, error)
                self._again = True
                await asyncio.sleep(pause)
                pause = min(pause * 2, _LONGEST_PAUSE)

    async def _step(self) -> None:
        pod = self.pod
        if self.lost or self.gone:
            await self._stop()
        elif pod.deletes_at is not None:
            await self._run_to_the_end(pod)
        elif not pod.running or not pod.ip or pod.ended:
            await self._drop_server()
        elif pod.engine is not None:
            await self._run(pod, pod.engine)

    async def _run(self, pod: Pod, spec: EngineSpec) -> None:
        if self._started != (pod.restarts, pod.ip):
            await self._drop_server()
        if self.server is None:
            self.server = self._server_for(pod, spec)
            self._started, self._spec = (pod.restarts, pod.ip), spec
            self._crash = asyncio.create_task(self._await_crash(self.server))
            self._crash.add_done_callback(_log_failure)
        if self._spec != spec:
            self.server.adjust(spec)
            self._spec = spec
        if self._loaded:
            return
        if pod.loaded:
            await self.server.serve()
            self._loaded = True
        else:
            await self.server.load()

    async def _await_crash(self, server: ModelServer) -> None:
        """Tell that a process ended by itself. It stays in its place until it is restarted."""
        await server.crashed()
        if self._ending is None and not self.lost and not self.gone:
            await self._kubelet.report_crash(self.pod)

    async def _run_to_the_end(self, pod: Pod) -> None:
        if self._ending is not None:
            self._ending.follow(pod)
            return
        if self.server is None and pod.running and pod.ip and pod.engine is not None:
            await self._run(pod, pod.engine)  # this process was started in the middle of it
        self._ending = Ending(pod, self.server, self._kubelet)
        self._end = asyncio.create_task(self._ending.run())
        self._end.add_done_callback(_log_failure)

    async def _stop(self) -> None:
        """Let nothing be left of the pod here, in the middle of whatever it was doing."""
        if self._end is not None:
            self._end.cancel()
        self._end = self._ending = None
        await self._drop_server()

    async def _drop_server(self) -> None:
        server, self.server = self.server, None
        self._started, self._loaded = (-1, ""), False
        if self._crash is not None:
            self._crash.cancel()
            self._crash = None
        if server is not None:
            await server.kill()


class Fleet:
    """The residents by the UID of their pod, and the nodes whose machine is gone."""

    def __init__(self, server_for: ServerFor, kubelet: Kubelet) -> None:
        self._server_for = server_for
        self._kubelet = kubelet
        self._specs: dict[bytes, EngineSpec] = {}
        self._residents: dict[str, Resident] = {}
        self._lost: dict[str, str] = {}

    def __len__(self) -> int:
        return len(self._residents)

    def uids(self) -> frozenset[str]:
        """Return the UIDs of all pods."""
        return frozenset(self._residents)

    def pod_seen(self, document: Mapping[str, Any]) -> None:
        """Take an observation of a pod. Pods without a node are nobody's business here."""
        if not document.get("spec", {}).get("nodeName"):
            return
        if len(self._specs) > _MOST_SPECS:
            self._specs.clear()
        pod = pod_from(document, self._specs)
        resident = self._residents.get(pod.uid)
        if resident is None:
            resident = Resident(pod, self._server_for, self._kubelet)
            self._residents[pod.uid] = resident
            resident.lost = pod.node in self._lost.values()
            _warn(pod, document)
        elif resident.pod == pod:
            return
        resident.pod = pod
        resident.wake()

    def pod_gone(self, uid: str) -> None:
        """Learn that a pod's object was removed: what still runs in it is killed."""
        resident = self._residents.pop(uid, None)
        if resident is not None:
            resident.gone = True
            resident.wake()

    def node_seen(self, document: Mapping[str, Any]) -> None:
        """Take an observation of a node."""
        uid, name = document["metadata"]["uid"], document["metadata"]["name"]
        lost = is_lost(document)
        if lost is (uid in self._lost):
            return
        if lost:
            self._lost[uid] = name
        else:
            del self._lost[uid]
        self._mark(name, lost)

    def node_gone(self, uid: str) -> None:
        """Learn that a node's object was removed; its pods are then removed by others."""
        name = self._lost.pop(uid, None)
        if name is not None:
            self._mark(name, lost=True)

    def _mark(self, name: str, lost: bool) -> None:
        logger.info("node %s is %s", name, "lost" if lost else "back")
        for resident in self._residents.values():
            if resident.pod.node == name and resident.lost is not lost:
                resident.lost = lost
                resident.wake()


def _log_failure(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and task.exception() is not None:
        logger.error("a pod could not be ended", exc_info=task.exception())


def _warn(pod: Pod, document: Mapping[str, Any]) -> None:
    engine = (document["metadata"].get("labels") or {}).get(ENGINE_LABEL)
    if engine is not None and pod.engine is None:
        message = "%s/%s: nothing answers for it: engine %r has no dialect, or no port is `http`"
        logger.warning(message, pod.namespace, pod.name, engine)
    for remark in pod.engine.remarks if pod.engine is not None else ():
        logger.warning("%s/%s: %s", pod.namespace, pod.name, remark)
