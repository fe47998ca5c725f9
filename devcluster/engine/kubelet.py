"""How a kubelet ends a pod: preStop, SIGTERM, the grace period, SIGKILL, and the last report."""

import asyncio
import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Protocol

import aiohttp

from devcluster.engine.api import ApiError
from devcluster.engine.pods import Pod
from devcluster.engine.servers import ModelServer

logger = logging.getLogger(__name__)

SHORTEST_GRACE = 2.0
"""Seconds between SIGTERM and SIGKILL at the least, however long preStop took."""
_FRESH = 2.0
"""A deletion seen this soon counts from now: its own time is cut to whole seconds."""
_REPORTED_AT_ONCE = 32
"""Beyond this many pods that end together, the last status is left out: the object goes anyway."""
KILLED = 137
CRASHED = 139
"""A segmentation fault."""
_LONGEST_PAUSE = 5.0


class Writer(Protocol):
    """What a kubelet writes; `Api` is the real one."""

    async def patch_pod_status(self, namespace: str, name: str, patch: Mapping[str, Any]) -> None:
        """Merge into the status of a pod."""

    async def delete_pod_now(self, namespace: str, name: str, uid: str) -> None:
        """Remove the object of a pod."""


@dataclass(frozen=True, slots=True)
class Schedule:
    """When a pod's process is told to end, and when it is killed; seconds since the epoch."""

    terminate_at: float
    kill_at: float


def schedule_for(pod: Pod, now: float) -> Schedule:
    """Return the schedule of a pod that is being deleted.

    preStop runs within the grace period; when it takes all of it, two seconds are added.
    """
    assert pod.deletes_at is not None
    asked_at = pod.deletes_at - pod.grace_seconds
    started = now if now - asked_at < _FRESH else asked_at
    terminate_at = started + min(pod.pre_stop_seconds, pod.grace_seconds)
    kill_at = max(started + pod.grace_seconds, terminate_at + SHORTEST_GRACE)
    return Schedule(terminate_at, kill_at)


def last_status(pod: Pod, exit_code: int, now: datetime) -> dict[str, Any]:
    """Return the patch that says that all containers of a pod have ended."""
    at = now.strftime("%Y-%m-%dT%H:%M:%SZ")
    reason = "PodCompleted" if exit_code == 0 else "PodFailed"
    conditions = [
        {"type": kind, "status": "False", "reason": reason, "lastTransitionTime": at}
        for kind in ("Ready", "ContainersReady")
    ]
    return {
        "metadata": {"uid": pod.uid},
        "status": {
            "phase": "Succeeded" if exit_code == 0 else "Failed",
            "conditions": conditions,
            "containerStatuses": [_ended(s, exit_code, at) for s in pod.container_statuses],
        },
    }


def crash_status(pod: Pod, now: datetime) -> dict[str, Any]:
    """Return the patch that says that the containers ended and that the pod goes on."""
    at = now.strftime("%Y-%m-%dT%H:%M:%SZ")
    conditions = [
        {"type": kind, "status": "False", "reason": "ContainersNotReady", "lastTransitionTime": at}
        for kind in ("Ready", "ContainersReady")
    ]
    ended = [_ended(status, CRASHED, at) for status in pod.container_statuses]
    return {
        "metadata": {"uid": pod.uid},
        "status": {"conditions": conditions, "containerStatuses": ended},
    }


def _ended(status: Mapping[str, Any], exit_code: int, at: str) -> dict[str, Any]:
    running = (status.get("state") or {}).get("running")
    if running is None:
        return dict(status)
    terminated = {
        "exitCode": exit_code,
        "reason": "Completed" if exit_code == 0 else "Error",
        "startedAt": running.get("startedAt"),
        "finishedAt": at,
        "containerID": status.get("containerID", ""),
    }
    return {**status, "ready": False, "started": False, "state": {"terminated": terminated}}


class Kubelet:
    """Ends pods. One for all nodes: the API server's patience is shared."""

    def __init__(self, writer: Writer) -> None:
        self._writer = writer
        self._reporting = 0

    async def report_crash(self, pod: Pod) -> None:
        """Report that the containers of a pod ended; what restarts them is played elsewhere."""
        await self._insist(pod, crash_status(pod, datetime.now(UTC)))

    async def remove(self, pod: Pod, exit_code: int) -> None:
        """Report the end of a pod, if there is time for it or somebody waits, and remove it."""
        self._reporting += 1
        in_peace = pod.running and self._reporting <= _REPORTED_AT_ONCE
        try:
            if not pod.ended and (pod.has_finalizers or in_peace):
                await self._insist(pod, last_status(pod, exit_code, datetime.now(UTC)))
            await self._insist(pod, None)
        finally:
            self._reporting -= 1

    async def _insist(self, pod: Pod, patch: Mapping[str, Any] | None) -> None:
        """Write until the API server has taken it: a status, or with None the deletion."""
        pause = 0.1
        while True:
            try:
                if patch is None:
                    await self._writer.delete_pod_now(pod.namespace, pod.name, pod.uid)
                else:
                    await self._writer.patch_pod_status(pod.namespace, pod.name, patch)
            except ApiError as error:
                if not error.passes:
                    _note(pod, error)
                    return
            except (aiohttp.ClientError, TimeoutError, OSError) as error:
                logger.info("%s/%s: %s; trying again", pod.namespace, pod.name, error)
            else:
                return
            await asyncio.sleep(pause)
            pause = min(pause * 2, _LONGEST_PAUSE)


def _note(pod: Pod, error: ApiError) -> None:
    """Log a refusal, unless it says that the pod is gone or another has its name."""
    if error.status not in (404, 409):
        logger.warning("%s/%s: %s", pod.namespace, pod.name, error)


class Ending:
    """The end of one pod, from the first sight of its deletion to the removal of its object."""

    def __init__(self, pod: Pod, server: ModelServer | None, kubelet: Kubelet) -> None:
        self._pod = pod
        self._server = server
        self._kubelet = kubelet
        self._schedule = schedule_for(pod, time.time())
        self._grace: asyncio.Timeout | None = None

    def follow(self, pod: Pod) -> None:
        """Take a newer observation: a second deletion can shorten the grace period."""
        if pod.deletes_at != self._pod.deletes_at:
            self._schedule = schedule_for(pod, time.time())
            if self._grace is not None:
                self._grace.reschedule(_on_loop(self._schedule.kill_at))
        self._pod = pod

    async def run(self) -> None:
        """End the pod."""
        exit_code = await self._end_processes() if self._pod.running else KILLED
        await self._kubelet.remove(self._pod, exit_code)

    async def _end_processes(self) -> int:
        try:
            async with asyncio.timeout_at(_on_loop(self._schedule.kill_at)) as self._grace:
                await self._pre_stop()
                if self._server is not None:
                    await self._server.terminate()
        except TimeoutError:
            if self._server is not None:
                await self._server.kill()
            return KILLED
        finally:
            self._grace = None  # from here on, a newer grace period changes nothing
        return 0

    async def _pre_stop(self) -> None:
        # In steps: a second deletion may bring the end of preStop forward.
        while (left := self._schedule.terminate_at - time.time()) > 0:
            await asyncio.sleep(min(left, 0.5))


def _on_loop(at: float) -> float:
    """Return an instant of the wall clock as the event loop counts."""
    return asyncio.get_running_loop().time() + (at - time.time())
