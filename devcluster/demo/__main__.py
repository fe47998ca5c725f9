"""`python -m devcluster.demo up | down`."""

import os
import subprocess
import sys
import time
from contextlib import suppress
from typing import Any

import click

from devcluster import building, lifecycle
from devcluster.cli import Tool, say
from devcluster.demo import CLUSTER, CPU_NODES, POOLS, show
from devcluster.engine import weights
from devcluster.options import pool_from

REAL_UNAVAILABLE = 3
"""Exit code of `fetch-real` where the real engine cannot be had."""


@click.group(cls=Tool)
def main() -> None:
    """Show modelfleet on real Kubernetes with simulated GPU nodes."""


@main.command()
def up() -> None:
    """Start the cluster and the operator, apply examples/, and chat with a model."""
    began = time.monotonic()
    lifecycle.check(CLUSTER)
    building.programs(say)
    _fetch_real()
    _start_cluster()
    line, variables = lifecycle.inside(CLUSTER, [sys.executable, "-m", show.__name__])
    code = subprocess.run(line, env=variables, check=False).returncode
    if code == 0:
        say(f"\ndone in {time.monotonic() - began:.0f} s")
    sys.exit(code if code >= 0 else 128 - code)


@main.command()
def down() -> None:
    """Remove all of it. What was built stays, for the next time."""
    gone = lifecycle.down(CLUSTER)
    say("the demo is gone" if gone else "there is no demo")


def _start_cluster() -> None:
    if lifecycle.troubles(CLUSTER):
        say("[2/4] starting a control plane of your own, with three pools of simulated GPU nodes")
    else:
        say("[2/4] the control plane runs")
    options: dict[str, Any] = {"pools": tuple(map(pool_from, POOLS)), "cpu_nodes": CPU_NODES}
    lifecycle.start(CLUSTER, options, say)
    lifecycle.wait(CLUSTER, 120.0)


def _fetch_real() -> None:
    """Fetch a real engine and real weights, once; the demo goes on without them."""
    with suppress(weights.Unavailable):
        weights.found()
        say("[1/4] llama-server and SmolLM2-135M are here")
        return
    say("[1/4] fetching llama-server and SmolLM2-135M (once, about 150 MB)")
    command = [sys.executable, "-m", "devcluster.engine", "fetch-real"]
    done = subprocess.run(command, env=os.environ, check=False)
    if done.returncode:
        why = "they cannot be had here" if done.returncode == REAL_UNAVAILABLE else "it failed"
        say(f"      {why}: the demo goes on with simulated engines alone")


if __name__ == "__main__":
    main(prog_name="python -m devcluster.demo")
