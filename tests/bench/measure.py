"""One measurement inside a fresh cluster; `python -m tests.bench.measure WHAT MODELS FILE`."""

import asyncio
import os
import resource
import sys
import time
from asyncio.subprocess import PIPE
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import orjson

from modelfleet.cluster import kubeconfig, rest
from modelfleet.cluster.session import Session
from tests.bench import operating, subject, usage
from tests.bench.milestones import Milestone, available, exists, watched

Figures = dict[str, Any]


async def script(client: Session, count: int) -> Figures:
    """Measure the yardstick."""
    applied, ready = Milestone(exists), Milestone(available)
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.bench.script", str(count), stdin=PIPE, stdout=PIPE
    )
    assert process.stdin is not None
    assert process.stdout is not None
    await process.stdout.readline()
    async with watched(client, rest.DEPLOYMENTS, subject.NAMESPACE, applied, ready):
        parts, spent = usage.of_parts(os.environ["DEVCLUSTER"]), usage.of(process.pid).cpu
        others, began = _children_cpu(), time.monotonic()
        process.stdin.write(b"go\n")
        done = await applied.reached(count) - began
        all_ready = await ready.reached(count) - began
        if await process.wait():
            raise SystemExit("the script failed")
    return {
        "applied_seconds": done,
        "ready_seconds": all_ready,
        "own_cpu_seconds": _children_cpu() - others - spent,
        "cluster_cpu_seconds": since(parts),
    }


async def operator(client: Session, count: int) -> Figures:
    """Measure the operator: many at once, at rest, one at a time, and restarted."""
    run = operating.Run(client, count)
    return await run.all()


def _children_cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def since(before: Mapping[str, float]) -> dict[str, float]:
    """Return the CPU seconds that each part of the cluster has used since."""
    now = usage.of_parts(os.environ["DEVCLUSTER"])
    return {name: now[name] - cpu for name, cpu in before.items() if name in now}


async def main(what: str, count: int, file: Path) -> None:
    """Measure and write the figures down."""
    subject.prepare()
    async with Session(kubeconfig.find()) as client:
        await client.create(rest.GPU_NODE_POOLS.all(), subject.POOL)
        figures = await (script if what == "script" else operator)(client, count)
    file.write_bytes(orjson.dumps(figures, option=orjson.OPT_INDENT_2))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2]), Path(sys.argv[3])))
