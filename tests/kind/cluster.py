"""A kind cluster, made and removed by the scripts that a user runs."""

import json
import os
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
SCRIPTS = ROOT / "deploy/kind"
NAME = "modelfleet-test"
OPERATOR = "modelfleet-system"
CANNOT = 3
"""The exit code of a script where Docker cannot run."""

SETTINGS = ("vm/overcommit_memory", "vm/panic_on_oom", "kernel/panic", "kernel/panic_on_oops")
"""What a kubelet changes for the whole machine."""

PATIENCE = 300.0
"""Seconds until a test stops to hope: containers start slowly on a busy machine."""

ENVIRONMENT = {**os.environ, "KIND_CLUSTER": NAME}

Object = dict[str, Any]


class Impossible(Exception):
    """Docker cannot run here. The message says why."""


@contextmanager
def running(config: Path | None = None) -> Iterator[None]:
    """Make the cluster, as `config` says, and install modelfleet; afterwards nothing is left.

    Raises Impossible.
    """
    before = _traces()
    _start_docker()
    given = {"KIND_CONFIG": str(config)} if config else {}
    try:
        _script("up", **given)
        subprocess.run(["make", "-s", "kind-deploy"], cwd=ROOT, env=ENVIRONMENT, check=True)
        yield
    finally:
        _script("down")
    assert _traces() == before


def _start_docker() -> None:
    done = subprocess.run(
        [SCRIPTS / "dockerd.sh", "start"], stderr=subprocess.PIPE, text=True, check=False
    )
    if done.returncode == CANNOT:
        raise Impossible(done.stderr.strip())
    assert done.returncode == 0, done.stderr


def _script(verb: str, **variables: str) -> None:
    """Run the script, and show what it says."""
    subprocess.run([SCRIPTS / "cluster.sh", verb], env={**ENVIRONMENT, **variables}, check=True)


def _traces() -> dict[str, str]:
    """Return what kind and Docker could leave on this machine, by where it is."""
    found = {name: Path("/proc/sys", name).read_text() for name in SETTINGS}
    mounts = Path("/proc/self/mounts").read_text()
    return {**found, "mounts": "\n".join(one for one in mounts.splitlines() if "docker" in one)}


def command(*words: str) -> list[str]:
    """Return what runs a command where the cluster can be reached."""
    return [str(SCRIPTS / "cluster.sh"), "run", *words]


def kubectl(*words: str, stdin: str | None = None) -> str:
    """Run kubectl and return what it printed. Raises AssertionError with its complaint."""
    done = subprocess.run(
        command("kubectl", "--context", f"kind-{NAME}", *words),
        env=ENVIRONMENT, input=stdin, capture_output=True, text=True, timeout=400, check=False,
    )  # fmt: skip
    assert done.returncode == 0, f"kubectl {' '.join(words)}: {done.stderr}"
    return done.stdout


def helm(*words: str) -> str:
    """Run Helm on the operator's namespace and return what it printed."""
    done = subprocess.run(
        command("helm", "--kube-context", f"kind-{NAME}", "--namespace", OPERATOR, *words),
        env=ENVIRONMENT, capture_output=True, text=True, timeout=400, check=False,
    )  # fmt: skip
    assert done.returncode == 0, f"helm {' '.join(words)}: {done.stdout}{done.stderr}"
    return done.stdout


def objects(kind: str, *words: str) -> list[Object]:
    """Return what `kubectl get` finds."""
    found: list[Object] = json.loads(kubectl("get", kind, *words, "-o", "json"))["items"]
    return found


def eventually(holds: Callable[[], Any], why: str, patience: float = PATIENCE) -> None:
    """Wait until `holds`, looking once a second. Raises AssertionError."""
    deadline = time.monotonic() + patience
    while not holds():
        assert time.monotonic() < deadline, why
        time.sleep(1.0)
