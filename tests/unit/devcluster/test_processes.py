import os
import subprocess
import sys
from dataclasses import replace

import pytest

from devcluster import processes
from devcluster.layout import Layout

FOREVER = [sys.executable, "-c", "import time; time.sleep(600)"]
STUBBORN = [
    sys.executable,
    "-c",
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(flush=True); "
    "time.sleep(600)",
]


@pytest.fixture
def at(tmp_path):
    return Layout("dev", tmp_path)


@pytest.fixture
def start():
    started = []

    def start(command, **environment):
        process = subprocess.Popen(
            command, env={**os.environ, **environment}, stdout=subprocess.PIPE
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def test_a_record_that_was_kept_names_the_same_process(at, start):
    record = processes.record_of(start(FOREVER).pid, restarts=2)

    processes.save(at, "etcd", record)

    assert processes.load(at, "etcd") == record
    assert processes.load_all(at) == {"etcd": record}
    assert record.is_alive()


def test_what_was_never_kept_is_not_there(at):
    assert processes.load(at, "etcd") is None
    assert processes.load_all(at) == {}


def test_a_process_that_has_ended_is_not_alive_even_before_it_is_reaped(start):
    process = start(FOREVER)
    record = processes.record_of(process.pid)

    process.kill()
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)

    assert not record.is_alive()


def test_another_process_with_the_same_pid_is_left_alone(start):
    process = start(FOREVER)
    stale = replace(processes.record_of(process.pid), born="an earlier boot/1")

    processes.stop([stale], patience=0.0)

    assert process.poll() is None


def test_a_process_that_ignores_a_polite_request_is_killed(start):
    process = start(STUBBORN)
    process.stdout.readline()
    record = processes.record_of(process.pid)

    processes.stop([record], patience=0.1)

    assert not record.is_alive()


def test_processes_that_nobody_recorded_are_found_by_the_folder_in_their_environment(at, start):
    recorded = start(FOREVER, **{processes.STATE_VARIABLE: str(at.folder)})
    stray = start(FOREVER, **{processes.STATE_VARIABLE: str(at.folder)})
    start(FOREVER, **{processes.STATE_VARIABLE: f"{at.folder}-other"})
    processes.save(at, "engine", processes.record_of(recorded.pid))

    assert [record.pid for record in processes.strays(at)] == [stray.pid]
    found = processes.find(at, FOREVER)
    assert found
    assert found.pid == stray.pid
    assert processes.find(at, [*FOREVER, "more"]) is None
