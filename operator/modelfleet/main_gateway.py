"""Construction order of a gateway, a process of its own: it need not know kopf."""

import asyncio
import os
import signal
import sys
from typing import Any

import click
import uvloop
from pydantic import ValidationError

from modelfleet.cluster import kubeconfig
from modelfleet.cluster.session import Limits, Session
from modelfleet.gateway.upstream import Upstream
from modelfleet.loops import logs
from modelfleet.loops.gateway import Gateway
from modelfleet.loops.probes import PortTaken
from modelfleet.settings import GatewaySettings, gateway_from_environment


@click.command()
@click.option("--kubeconfig", help="A kubeconfig; else in the cluster, else $KUBECONFIG.")
@click.option("--context", help="Its context.")
@click.option("--namespaces", help="Namespaces to look into, with commas; else all.")
@click.option("--host", help="The address to listen at, on a port for each Model; default: all.")
@click.option("--metrics-address", help="host:port of /metrics, /healthz and /readyz.")
@click.option("--most-requests", type=int, help="Held for one Model; default: 1000.")
@click.option("--most-bytes", type=int, help="Bytes held for one Model; default: 64 MiB.")
@click.option("--total-bytes", type=int, help="Bytes held for all Models; default: 512 MiB.")
@click.option("--hold-seconds", type=float, help="The longest hold; default: 600.")
@click.option("--leave-seconds", type=float, help="Asked to end, take requests for so long still.")
@click.option("--shutdown-seconds", type=float, help="After that, finish requests for so long.")
@click.option("--log-level", help="DEBUG, INFO, WARNING or ERROR.")
@click.option("--log-format", help="json or text.")
def gateway(**flags: Any) -> None:
    """Hold requests for Models that sleep, wake them, and hand the requests over.

    Every flag is an environment variable too, as in MODELFLEET_MOST_REQUESTS=500.
    """
    try:
        settings = gateway_from_environment(os.environ, **flags)
        connection = kubeconfig.find(settings.kubeconfig, settings.context, os.environ)
    except ValidationError as error:
        sys.exit("\n".join(f"{one['loc'][0]}: {one['msg']}" for one in error.errors()))
    except kubeconfig.ConfigError as error:
        sys.exit(str(error))
    logs.configure(settings.log_level, settings.log_format)
    try:
        uvloop.run(serve(settings, connection))
    except PortTaken as error:
        sys.exit(f"--metrics-address {settings.metrics_address}: {error}")


async def serve(settings: GatewaySettings, connection: kubeconfig.Connection) -> None:
    """Build the gateway and run it until it is asked to stop."""
    loop = asyncio.get_running_loop()
    limits = Limits(settings.request_seconds, settings.connections)
    async with Session(connection, limits) as session, Upstream() as upstream:
        running = Gateway(settings, session, upstream)
        for sign in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(sign, running.stop)
        await running.run()
