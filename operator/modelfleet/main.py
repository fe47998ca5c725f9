"""Construction order: everything that the operator is made of is built and tied together here."""

import asyncio
import os
import signal
import sys
from typing import Any

import aiohttp
import click
import uvloop
from pydantic import ValidationError

from modelfleet.cluster import kubeconfig
from modelfleet.cluster.caches import Caches
from modelfleet.cluster.checkpoints import Checkpoints
from modelfleet.cluster.events import Recorder
from modelfleet.cluster.session import Limits, Session, open_client
from modelfleet.handlers.feed import Feed
from modelfleet.handlers.shell import Login, Shell
from modelfleet.loops import logs
from modelfleet.loops.autoscaling import Autoscaler
from modelfleet.loops.evidence import Evidence
from modelfleet.loops.leader import identity_of
from modelfleet.loops.ledger import Ledger
from modelfleet.loops.lifecycle import Operator, Parts
from modelfleet.loops.load import Load
from modelfleet.loops.probes import PortTaken
from modelfleet.loops.workqueue import WorkQueue
from modelfleet.servers.client import Client
from modelfleet.settings import Settings, from_environment


@click.command()
@click.option("--kubeconfig", help="A kubeconfig; else in the cluster, else $KUBECONFIG.")
@click.option("--context", help="Its context.")
@click.option("--namespaces", help="Namespaces to look into, with commas; else all.")
@click.option("--namespace", help="Where the operator's own Lease is.")
@click.option("--metrics-address", help="host:port of /metrics, /healthz and /readyz.")
@click.option("--workers", type=int, help="Objects worked on at once.")
@click.option("--leader-election/--no-leader-election", default=None, help="Default: on.")
@click.option("--log-level", help="DEBUG, INFO, WARNING or ERROR.")
@click.option("--log-format", help="json or text.")
def operator(**flags: Any) -> None:
    """Run the operator. Every flag is an environment variable too, as in MODELFLEET_WORKERS=16."""
    try:
        settings = from_environment(os.environ, **flags)
        connection = kubeconfig.find(settings.kubeconfig, settings.context, os.environ)
    except ValidationError as error:
        sys.exit("\n".join(f"{one['loc'][0]}: {one['msg']}" for one in error.errors()))
    except kubeconfig.ConfigError as error:
        sys.exit(str(error))
    logs.configure(settings.log_level, settings.log_format)
    try:
        code = uvloop.run(serve(settings, connection))
    except PortTaken as error:
        sys.exit(f"--metrics-address {settings.metrics_address}: {error}")
    sys.exit(code)


async def serve(settings: Settings, connection: kubeconfig.Connection) -> int:
    """Build the operator and run it until it is asked to stop. Returns the exit code."""
    loop = asyncio.get_running_loop()
    limits = Limits(settings.request_seconds, settings.connections)
    async with Session(connection, limits) as session, Client() as client:
        queue = WorkQueue()
        caches = Caches(queue.wake)
        feed = Feed(loop, queue.wake)
        shell = Shell(feed, _login(connection), settings.namespaces)
        recorder = Recorder(session, identity_of(settings.identity))
        load, evidence = Load(client, caches), Evidence(client, caches)
        autoscaler = Autoscaler(client, caches)
        checkpoints = Checkpoints(session, settings.namespace, f"{settings.lease_name}-ledger")
        ledger = Ledger(caches, checkpoints, queue.wake, settings.ledger_seconds, autoscaler.pages)
        parts = Parts(
            settings, session, queue, caches, recorder, load, evidence, ledger, autoscaler, shell
        )
        running = Operator(parts)
        for sign in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(sign, running.stop)
        return await running.run()


def _login(connection: kubeconfig.Connection) -> Login:
    async def login() -> tuple[str, aiohttp.ClientSession]:
        return connection.server, open_client(connection)

    return login
