"""Processes that outlive the one that started them, and are never mistaken for another."""

import json
import os
import select
import signal
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from devcluster import layout
from devcluster.layout import Layout

STATE_VARIABLE = "DEVCLUSTER_STATE"
"""In the environment of each part, and of what it starts: the folder of the cluster."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """Which process plays a part. A pid alone does not say: the kernel gives it again."""

    pid: int
    born: str
    """The boot and the clock tick at which the process started: unique together with the pid."""
    since: float
    """When it started, in seconds since the epoch."""
    restarts: int = 0

    def is_alive(self) -> bool:
        """Say whether this very process still runs."""
        return birth_of(self.pid) == self.born

    def end(self, number: int) -> None:
        """Send a signal to this process, and to no other."""
        with suppress(ProcessLookupError):
            handle = os.pidfd_open(self.pid)
            try:
                if self.is_alive():
                    signal.pidfd_send_signal(handle, number)
            finally:
                os.close(handle)


def birth_of(pid: int) -> str | None:
    """Return what `Record.born` holds for a running process, None for one that is not there."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except (FileNotFoundError, ProcessLookupError):
        return None
    # The state is field 3 of proc(5), the start time field 22; a zombie has ended.
    return None if fields[0] in "ZX" else f"{boot}/{fields[19]}"


def record_of(pid: int, restarts: int = 0) -> Record:
    """Describe a process that was started a moment ago. Raises `ProcessLookupError`."""
    born = birth_of(pid)
    if born is None:
        raise ProcessLookupError(pid)
    return Record(pid=pid, born=born, since=time.time(), restarts=restarts)


def save(at: Layout, part: str, record: Record) -> None:
    """Keep a record for whoever comes next."""
    layout.write(at.records / f"{part}.json", json.dumps(asdict(record)))


def load(at: Layout, part: str) -> Record | None:
    """Return the last record of a part, whether its process runs or not."""
    try:
        return Record(**json.loads((at.records / f"{part}.json").read_text()))
    except FileNotFoundError:
        return None


def load_all(at: Layout) -> dict[str, Record]:
    """Return all records of a cluster by part."""
    parts = [path.stem for path in at.records.glob("[!.]*.json")]
    return {part: record for part in parts if (record := load(at, part))}


def strays(at: Layout) -> list[Record]:
    """Return the processes of a cluster that nobody recorded, such as those that a part started."""
    recorded = {record.pid for record in load_all(at).values() if record.is_alive()}
    mark = f"{STATE_VARIABLE}={at.folder}".encode()
    found = []
    for pid in (int(path.name) for path in Path("/proc").glob("[0-9]*")):
        environment = _read(pid, "environ").split(b"\0")
        if pid not in recorded and pid != os.getpid() and mark in environment:
            with suppress(ProcessLookupError):
                found.append(record_of(pid))
    return found


def find(at: Layout, command: Sequence[str]) -> Record | None:
    """Return the stray process of a cluster that has this command line, if there is one."""
    line = "\0".join([*command, ""]).encode()
    return next((stray for stray in strays(at) if _read(stray.pid, "cmdline") == line), None)


def _read(pid: int, name: str) -> bytes:
    with suppress(OSError):
        return Path(f"/proc/{pid}/{name}").read_bytes()
    return b""


def stop(records: Iterable[Record], patience: float) -> None:
    """End processes together: politely first, by force after `patience` seconds."""
    records = [record for record in records if record.is_alive()]
    for record in records:
        record.end(signal.SIGTERM)
    wait(records, patience)
    for record in records:
        record.end(signal.SIGKILL)
    wait(records, 5.0)


def wait(records: Iterable[Record], patience: float) -> None:
    """Return when all have ended, or after `patience` seconds."""
    deadline = time.monotonic() + patience
    for record in records:
        with suppress(ProcessLookupError):
            handle = os.pidfd_open(record.pid)
            try:
                if record.is_alive():
                    left = max(0.0, deadline - time.monotonic())
                    select.select([handle], [], [], left)
            finally:
                os.close(handle)
