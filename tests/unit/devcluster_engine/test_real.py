"""Processes in the place of simulated engines: started, taken over, replaced, ended."""

import asyncio
import os
import signal

import pytest

from devcluster.engine.real import Houses, RealServer
from devcluster.engine.weights import RealEngine
from unit.devcluster_engine.worlds import spec_of

SPEC = spec_of(engine="llama-cpp", annotations={"engine": "real"})


@pytest.fixture
def engine(tmp_path):
    """Return a program that takes any arguments and runs."""
    command = ("sh", "-c", "while :; do sleep 60 & wait; done", "sh")
    return RealEngine(command, tmp_path, tmp_path / "model.gguf")


@pytest.fixture
async def server(engine, tmp_path):
    server = RealServer(engine, SPEC, "127.0.0.1", tmp_path / "uid-1.json")
    await server.load()
    yield server
    await server.kill()


def pid_of(server):
    return server._process.pid


async def test_it_starts_once_and_ends(server, tmp_path):
    pid = pid_of(server)
    await server.serve()
    assert pid_of(server) == pid

    await server.terminate()

    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    assert not list(tmp_path.glob("uid-1.*"))


async def test_a_later_run_takes_it_over(server, engine, tmp_path):
    later = RealServer(engine, SPEC, "127.0.0.1", tmp_path / "uid-1.json")
    await later.load()

    assert pid_of(later) == pid_of(server)


async def test_a_later_run_replaces_what_serves_something_else(server, engine, tmp_path):
    later = RealServer(engine, SPEC, "127.0.0.2", tmp_path / "uid-1.json")
    old = server._process
    await later.load()
    await asyncio.wait_for(old.ended.wait(), 5)

    assert pid_of(later) != old.pid
    await later.kill()


async def test_what_ends_by_itself_is_started_again(server):
    old = server._process
    os.kill(old.pid, signal.SIGKILL)

    async with asyncio.timeout(5):
        while server._process is old:
            await asyncio.sleep(0.01)


async def test_left_overs_of_pods_that_are_gone_are_ended(server, tmp_path):
    houses = Houses(tmp_path)

    houses.evict_strangers({"uid-1"})
    assert not server._process.ended.is_set()
    server._watch.cancel()
    houses.evict_strangers(set())

    await asyncio.wait_for(server._process.ended.wait(), 5)
