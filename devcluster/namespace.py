"""The network namespace of a cluster: making it, finding it again, running things in it."""

import os
import subprocess
from pathlib import Path

from devcluster import network, processes
from devcluster.layout import Layout


def new() -> list[str]:
    """Return what comes before a command to run it in a namespace of its own."""
    return ["unshare", "--net"] if os.geteuid() == 0 else ["unshare", "--map-root-user", "--net"]


def enter(pid: int) -> list[str]:
    """Return what comes before a command to run it in the namespace that process `pid` is in."""
    if _link(pid, "net") == _link("self", "net"):
        return []
    target = ["nsenter", "--target", str(pid), "--net"]
    if _link(pid, "user") == _link("self", "user"):
        return target
    return [*target, "--user", "--preserve-credentials"]


def resident(at: Layout) -> int | None:
    """Return the pid of a process that lives in the cluster's namespace; None: there is none."""
    living = [record.pid for record in processes.load_all(at).values() if record.is_alive()]
    return min(living, default=None)


def set_up() -> None:
    """Give the namespace of this process its addresses and routes, where they are missing.

    Raises `subprocess.CalledProcessError`.
    """
    subprocess.run(
        ["ip", "-batch", "-"], input=network.SETUP, text=True, check=True, capture_output=True
    )


def _link(process: int | str, kind: str) -> str:
    return str(Path(f"/proc/{process}/ns/{kind}").readlink())
