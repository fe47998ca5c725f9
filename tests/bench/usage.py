"""What a process has used so far, as the kernel counts it."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from devcluster import processes
from devcluster.layout import Layout

TICKS = os.sysconf("SC_CLK_TCK")
MIB = 1 << 20


@dataclass(frozen=True, slots=True)
class Usage:
    """CPU seconds of user and system together; memory in MiB."""

    cpu: float
    resident: float
    peak: float


def of(pid: int) -> Usage:
    """Return what a process has used. Raises FileNotFoundError if it is gone."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    memory = dict(
        line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines()
    )
    # utime and stime are fields 14 and 15 of proc(5), counted from 1.
    cpu = (int(fields[11]) + int(fields[12])) / TICKS
    return Usage(cpu, _mib(memory["VmRSS"]), _mib(memory["VmHWM"]))


def _mib(text: str) -> float:
    return int(text.split()[0]) / 1024


def of_parts(cluster: str) -> Mapping[str, float]:
    """Return the CPU seconds of each part of a devcluster."""
    records = processes.load_all(Layout.of(cluster))
    return {name: of(record.pid).cpu for name, record in records.items() if record.is_alive()}
