"""Starting, repairing, entering and ending clusters, from outside of their namespaces."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from devcluster import (
    building,
    cache,
    health,
    iptables,
    layout,
    namespace,
    parts,
    pki,
    preflight,
    processes,
    supervisor,
)
from devcluster.building import Say
from devcluster.layout import Layout
from devcluster.processes import STATE_VARIABLE

ROOT = Path(__file__).parent.parent
PATIENCE = 3.0
"""Seconds that a part gets to end by itself; what it holds is thrown away anyhow."""
LAST = ("kube-apiserver", "etcd")
"""They end in this order, after all others: without etcd, the API server never ends politely."""


class NotReady(Exception):
    """The cluster has not become ready in time. The message says what is missing."""


class NotRunning(Exception):
    """Nothing of the cluster runs."""


def check(name: str) -> None:
    """Raise `preflight.NotPossible` with all that a start would lack, before it takes minutes."""
    usable = preflight.cache_unusable() is None
    runs = usable and namespace.resident(Layout.of(name)) is not None
    built = usable and building.is_done()
    preflight.require([*(() if runs else preflight.TO_RUN), *(() if built else preflight.TO_BUILD)])


def start(name: str, given: Mapping[str, Any], say: Say) -> None:
    """Start a cluster, or what is missing of it.

    `given` are the options that the user named, see `ClusterOptions.changed_by`.
    Raises what the steps raise that this one needs.
    """
    check(name)
    at = Layout.of(name)
    with cache.locked(f"cluster-{name}"):
        resident = namespace.resident(at)
        _prepare(at, given, say)
        _supervise(at, resident)


def wait(name: str, seconds: float) -> None:
    """Return when a cluster is ready. Raises `NotReady` after `seconds`."""
    at = Layout.of(name)
    deadline = time.monotonic() + seconds
    while namespace.resident(at) is None and time.monotonic() < deadline:
        time.sleep(0.02)
    if missing := troubles(at.name, deadline - time.monotonic()):
        raise NotReady(
            f"cluster {at.name} is not ready: {'; '.join(missing)}. Its logs are in {at.logs}"
        )


def down(name: str) -> bool:
    """End all of a cluster and remove its folder. Return False if there was none."""
    at = Layout.of(name)
    with cache.locked(f"cluster-{name}"):
        records, found = processes.load_all(at), at.folder.exists()
        # First, so that it does not start again what ends now.
        processes.stop([records.pop(parts.SUPERVISOR)] if parts.SUPERVISOR in records else [], 1.0)
        last = [records.pop(part) for part in LAST if part in records]
        processes.stop(records.values(), PATIENCE)
        for record in last:
            processes.stop([record], PATIENCE)
        rest = processes.strays(at)
        processes.stop(rest, PATIENCE)
        shutil.rmtree(at.folder, ignore_errors=True)
    return found or bool(rest)


def inside(name: str, command: Sequence[str]) -> tuple[list[str], dict[str, str]]:
    """Return the command line and environment that run `command` in a cluster's namespace.

    Raises `NotRunning`.
    """
    at = Layout.of(name)
    resident = namespace.resident(at)
    if resident is None:
        raise NotRunning(f"cluster {name} does not run: python -m devcluster up {name}")
    return [*namespace.enter(resident), *command], environment(at)


def environment(at: Layout) -> dict[str, str]:
    """Return what a process in the cluster finds in its environment."""
    return {
        **os.environ,
        "DEVCLUSTER": at.name,
        "KUBECONFIG": str(at.kubeconfig),
        "PATH": f"{at.bin}:{os.environ.get('PATH', os.defpath)}",
    }


def status(name: str) -> list[tuple[str, str, str, str, str]]:
    """Return a row for each part, and for what else was recorded as one, as the demo's operator.

    A row has name, pid, since when, restarts, state.
    """
    at = Layout.of(name)
    records = processes.load_all(at)
    rows = []
    for part in (*health.NAMES, *sorted(records.keys() - set(health.NAMES))):
        record = records.get(part)
        if record and record.is_alive():
            since = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(record.since))
            rows.append((part, str(record.pid), since, str(record.restarts), "running"))
        else:
            rows.append((part, "-", "-", str(record.restarts) if record else "-", "not running"))
    return rows


def troubles(name: str, seconds: float = 0.0) -> list[str]:
    """Wait up to `seconds` until the cluster is ready; return what is missing then, in words."""
    at = Layout.of(name)
    if not at.kubeconfig.exists() or namespace.resident(at) is None:
        return ["it does not run"]
    command, variables = inside(name, [sys.executable, "-m", health.__name__, name, str(seconds)])
    done = subprocess.run(
        command, env=_with_package(variables), stdout=subprocess.PIPE, text=True, check=False
    )
    return done.stdout.splitlines() if done.returncode else []


def _prepare(at: Layout, given: Mapping[str, Any], say: Say) -> None:
    """Write all files that the parts read. What is right already is not touched."""
    options = at.options().changed_by(given)
    at.logs.mkdir(parents=True, exist_ok=True)
    layout.write(at.options_file, options.to_json())
    _link_programs(building.programs(say), at.bin)
    layout.write(at.folder / "scheduler.yaml", parts.scheduler_configuration(at.kubeconfig))
    pki.provide(at)
    iptables.provide(at.folder / "iptables")


def _link_programs(source: Path, target: Path) -> None:
    """Make the programs part of the cluster, so that a newer build does not take them away."""
    mark = target / ".from"
    if mark.exists() and mark.read_text() == source.name:
        return
    shutil.rmtree(target, ignore_errors=True)
    with cache.staged(target) as folder:
        for program in source.iterdir():
            os.link(program, folder / program.name, follow_symlinks=False)
        (folder / mark.name).write_text(source.name)


def _supervise(at: Layout, resident: int | None) -> None:
    """See that a supervisor runs, and that it knows the options."""
    record = processes.load(at, parts.SUPERVISOR)
    if record and record.is_alive():
        record.end(signal.SIGHUP)
        return
    prefix = namespace.new() if resident is None else namespace.enter(resident)
    variables = {**os.environ, STATE_VARIABLE: str(at.folder), "DEVCLUSTER": at.name}
    with (at.logs / f"{parts.SUPERVISOR}.log").open("ab") as log:
        subprocess.Popen(
            [*prefix, sys.executable, "-m", supervisor.__name__, at.name],
            env=_with_package(variables),
            cwd=at.folder,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )


def _with_package(variables: Mapping[str, str]) -> dict[str, str]:
    """Let Python find this package wherever it is started."""
    paths = [str(ROOT), *filter(None, [variables.get("PYTHONPATH")])]
    return {**variables, "PYTHONPATH": os.pathsep.join(paths)}
