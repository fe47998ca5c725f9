"""`python -m devcluster.engine`: play the model servers of a devcluster."""

import argparse
import asyncio
import fcntl
import logging
import os
import resource
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import uvloop

from devcluster.engine import real, weights
from devcluster.engine.api import Api
from devcluster.engine.batcher import Pace
from devcluster.engine.feed import Feed
from devcluster.engine.fleet import Fleet
from devcluster.engine.kubeconfig import Access, BadKubeconfig, access_from
from devcluster.engine.kubelet import Kubelet

UNAVAILABLE = 3
TAKEN = 4

logger = logging.getLogger("devcluster.engine")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status."""
    options = _parser().parse_args(arguments)
    logging.basicConfig(level=options.log_level, format="%(asctime)s %(levelname)s %(message)s")
    if options.command == "fetch-real":
        return _fetch_real()
    if options.kubeconfig is None or options.state_dir is None:
        _parser().error("--kubeconfig and --state-dir are required")
    return _serve(options.kubeconfig, options.state_dir)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m devcluster.engine", description=__doc__)
    parser.add_argument("--kubeconfig", type=Path, help="of a user who may watch and delete pods")
    parser.add_argument("--state-dir", type=Path, help="for the lock, and for real engines")
    parser.add_argument("--log-level", default="INFO", type=str.upper)
    commands = parser.add_subparsers(dest="command")
    commands.add_parser("fetch-real", help="get the real llama-server and its weights, then exit")
    return parser


def _fetch_real() -> int:
    try:
        found = weights.fetch(print)
    except weights.Unavailable as error:
        print(f"No real engine: {error}", file=sys.stderr)
        return UNAVAILABLE
    print(f"The real engine is ready: {found.model}")
    return 0


def _serve(kubeconfig: Path, state: Path) -> int:
    try:
        access = access_from(kubeconfig)
    except (BadKubeconfig, OSError) as error:
        print(f"Cannot use the kubeconfig: {error}", file=sys.stderr)
        return 1
    state.mkdir(parents=True, exist_ok=True)
    _raise_open_files()
    try:
        with _alone(state / "engine.lock"):
            uvloop.run(_play(access, state))
    except BlockingIOError:
        print(f"Another engine process uses {state}", file=sys.stderr)
        return TAKEN
    return 0


async def _play(access: Access, state: Path) -> None:
    pace, houses = Pace(), real.Houses(state / "real")
    async with Api(access) as api, houses:
        fleet = Fleet(houses.server_for(pace), Kubelet(api))
        nodes = Feed(api, "/api/v1/nodes", fleet.node_seen, fleet.node_gone, metadata_only=True)
        pods = Feed(api, "/api/v1/pods", fleet.pod_seen, fleet.pod_gone)
        running = [asyncio.create_task(feed.run()) for feed in (nodes, pods)]
        running.append(asyncio.create_task(_told_to_end()))
        running.append(asyncio.create_task(_announce(pods, fleet, houses)))
        try:
            await asyncio.wait(running[:3], return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in running:
                task.cancel()
            await asyncio.gather(*running, return_exceptions=True)


async def _announce(pods: Feed, fleet: Fleet, houses: real.Houses) -> None:
    await pods.synced.wait()
    logger.info("playing the model servers of %d pods", len(fleet))
    houses.evict_strangers(fleet.uids())


async def _told_to_end() -> None:
    loop, told = asyncio.get_running_loop(), asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, told.set)
    await told.wait()


def _raise_open_files() -> None:
    """Each pod takes a socket, and each of its clients one more."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


@contextmanager
def _alone(lock: Path) -> Iterator[None]:
    """Hold the lock file, with our process number in it. Raises `BlockingIOError`."""
    with lock.open("a+") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        handle.truncate(0)
        handle.write(f"{os.getpid()}\n")
        handle.flush()
        yield


if __name__ == "__main__":
    sys.exit(main())
