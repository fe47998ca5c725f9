"""Keeps the parts of one cluster running. `python -m devcluster.supervisor NAME`, detached.

It lives in the cluster's namespace and may be killed at any time: the next one adopts the parts
that still run, by their records. SIGHUP makes it look at the options again.
"""

import contextlib
import http.client
import logging
import os
import select
import signal
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field
from typing import BinaryIO

from devcluster import api, fleet, health, iptables, layout, namespace, processes, stages
from devcluster.layout import Layout
from devcluster.parts import PARTS, SUPERVISOR, Part
from devcluster.processes import Record

QUICK = 0.1
"""Seconds between two looks while something is missing."""
SLOW = 2.0
"""Seconds between two looks while all runs; a death is noticed at once in any case."""
YOUNG = 10.0
"""A part that lives shorter than this many seconds is started again later and later."""
LATEST = 10.0
LARGEST_LOG = 50_000_000
FORGETFUL = ("etcd", "kube-apiserver")
"""While one of these is away, writes of kwok may be lost: it starts anew to see what is missing."""

log = logging.getLogger(SUPERVISOR)


@dataclass
class Supervisor:
    """The parts of a cluster as they are now."""

    at: Layout
    path: str
    """PATH of the parts, on which iptables is found."""
    watched: dict[str, int] = field(default_factory=dict)
    """A descriptor for each running part, readable when it ends."""
    delays: dict[str, float] = field(default_factory=dict)
    not_before: dict[str, float] = field(default_factory=dict)
    bootstrap: threading.Thread | None = None
    options_changed: bool = True

    def run(self, wake: int) -> None:
        """Look at the parts, at once when one ends or a signal writes to `wake`.

        If somebody removes the cluster's folder, nothing of the cluster may stay behind.
        """
        while self.at.folder.exists():
            self._reap()
            if self.options_changed:
                self._apply_options()
            missing = [part for part in PARTS if not self._is_up(part)]
            for part in missing:
                self._try_to_start(part)
            self._bootstrap_once()
            descriptors = [wake, *self.watched.values()]
            ready, _, _ = select.select(descriptors, [], [], QUICK if missing else SLOW)
            if wake in ready:
                os.read(wake, 64)
        processes.stop(processes.strays(self.at), patience=1.0)

    def _is_up(self, part: Part) -> bool:
        record = processes.load(self.at, part.name)
        if record and record.is_alive():
            if part.name not in self.watched:
                self._watch(part, record)
            return True
        if part.name in self.watched:
            self._has_ended(part, record)
        return False

    def _watch(self, part: Part, record: Record) -> None:
        with contextlib.suppress(ProcessLookupError):
            self.watched[part.name] = os.pidfd_open(record.pid)

    def _has_ended(self, part: Part, record: Record | None) -> None:
        os.close(self.watched.pop(part.name))
        lived = time.time() - record.since if record else 0.0
        delay = min(LATEST, 2 * self.delays.get(part.name, 0.25)) if lived < YOUNG else 0.0
        self.delays[part.name] = delay
        self.not_before[part.name] = time.monotonic() + delay
        log.warning("%s has ended after %.1f s", part.name, lived)
        if part.name in FORGETFUL:
            self._end("kwok")

    def _end(self, name: str) -> None:
        if record := processes.load(self.at, name):
            record.end(signal.SIGTERM)

    def _try_to_start(self, part: Part) -> None:
        if time.monotonic() < self.not_before.get(part.name, 0.0):
            return
        if not all(health.is_well(other) for other in PARTS if other.name == part.needs):
            return
        if part.name == "kube-proxy" and not self._node_is_there():
            return
        try:
            self._start(part)
        except OSError as error:
            log.warning("%s cannot be started yet: %s", part.name, error)
            self.not_before[part.name] = time.monotonic() + 1.0

    def _start(self, part: Part) -> None:
        before = processes.load(self.at, part.name)
        command = part.command(self.at)
        if orphan := processes.find(self.at, command):
            # Whoever started it was killed before it could write that down.
            processes.save(self.at, part.name, orphan)
            return
        environment = {**os.environ, "PATH": self.path}
        with _log_file(self.at, part.name) as output:
            process = subprocess.Popen(
                command,
                cwd=self.at.folder,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        restarts = before.restarts + 1 if before else 0
        with contextlib.suppress(ProcessLookupError):
            record = processes.record_of(process.pid, restarts)
            processes.save(self.at, part.name, record)
            self._watch(part, record)
        log.warning("%s started, pid %d", part.name, process.pid)

    def _node_is_there(self) -> bool:
        """kube-proxy waits half a minute for a node that it does not find at once."""
        try:
            fleet.register_control_plane(api.Client(self.at))
        except (OSError, http.client.HTTPException, api.Refused) as error:
            log.warning("no control plane node yet: %s", error)
            return False
        return True

    def _apply_options(self) -> None:
        self.options_changed = False
        self.bootstrap = None
        text = stages.document_for(self.at.options())
        if not self.at.stages_file.exists() or self.at.stages_file.read_text() != text:
            layout.write(self.at.stages_file, text)
            self._end("kwok")

    def _bootstrap_once(self) -> None:
        """Create the nodes beside the rest: thousands take a while."""
        if self.bootstrap is None and "kube-apiserver" in self.watched:
            self.bootstrap = threading.Thread(target=self._create_nodes, daemon=True)
            self.bootstrap.start()

    def _create_nodes(self) -> None:
        client = api.Client(self.at)
        while True:
            try:
                return fleet.provide(client, self.at, self.at.options().all_pools())
            except (OSError, http.client.HTTPException, api.Refused) as error:
                log.warning("nodes are not created yet: %s", error)
                time.sleep(0.5)

    def _reap(self) -> None:
        with contextlib.suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass


def _log_file(at: Layout, name: str) -> BinaryIO:
    """Open a part's log to write at its end; a very large one is put aside first."""
    path = at.logs / f"{name}.log"
    if path.exists() and path.stat().st_size > LARGEST_LOG:
        path.replace(path.with_suffix(".log.1"))
    return path.open("ab")


def main() -> None:
    """Take over the cluster that the command line names."""
    at = Layout.of(sys.argv[1])
    logging.basicConfig(format="%(asctime)s %(message)s")
    namespace.set_up()
    processes.save(at, SUPERVISOR, processes.record_of(os.getpid()))
    supervisor = Supervisor(at, iptables.provide(at.folder / "iptables"))
    supervisor.run(_waker(supervisor))


def _waker(supervisor: Supervisor) -> int:
    """Return a descriptor that a SIGHUP makes readable."""
    reading, writing = os.pipe()
    os.set_blocking(writing, False)

    def reload(*_: object) -> None:
        supervisor.options_changed = True

    signal.signal(signal.SIGHUP, reload)
    signal.set_wakeup_fd(writing)
    return reading


if __name__ == "__main__":
    main()
