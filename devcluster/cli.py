"""The command line: `python -m devcluster`."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import click

from devcluster import (
    api,
    building,
    cache,
    debs,
    fleet,
    layout,
    lifecycle,
    pki,
    preflight,
)
from devcluster.layout import Layout
from devcluster.options import BadOption, pool_from

DEFAULT = "dev"
EXPECTED = (
    api.Refused,
    BadOption,
    building.BuildFailed,
    cache.Unusable,
    debs.PackagesUnavailable,
    lifecycle.NotReady,
    lifecycle.NotRunning,
    pki.CertificatesFailed,
    preflight.NotPossible,
)
"""Errors whose message is all that a user needs."""

F = TypeVar("F", bound=Callable[..., Any])


class Tool(click.Group):
    """Shows expected errors as one sentence."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command."""
        try:
            return super().invoke(ctx)
        except EXPECTED as error:
            raise click.ClickException(str(error)) from error


class Wrapper(click.Command):
    """Takes all after `--` as the parameter `command`, untouched."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Split at the first `--`."""
        cut = args.index("--") if "--" in args else len(args)
        rest = super().parse_args(ctx, args[:cut])
        ctx.params["command"] = args[cut + 1 :]
        if not ctx.params["command"]:
            raise click.UsageError("what shall run? Put it after `--`", ctx)
        return rest


name_argument = click.argument("name", default=DEFAULT, envvar="DEVCLUSTER")
cluster_option = click.option(
    "--cluster", default=DEFAULT, envvar="DEVCLUSTER", show_default=True, help="Which cluster."
)


def start_options(function: F) -> F:
    """Add the options that a cluster is started with."""
    options = (
        click.option(
            "--pool",
            "pools",
            multiple=True,
            metavar="NAME=NODESxGPUS:PRODUCT[:KEY=VALUE,...]",
            help="Nodes with GPUs. May be given several times.",
        ),
        click.option("--cpu-nodes", type=click.IntRange(0, 5000), help="Nodes without GPUs."),
        click.option("--pull-seconds", type=click.FloatRange(0), help="How long images take."),
        click.option("--load-seconds", type=click.FloatRange(0), help="How long weights take."),
        click.option(
            "--timeout", type=float, default=120.0, show_default=True, help="Seconds to get ready."
        ),
    )
    for option in reversed(options):
        function = option(function)
    return function


@click.group(cls=Tool)
def main() -> None:
    """Run real Kubernetes with simulated GPU nodes and model servers, on this machine."""


@main.command()
@name_argument
def check(name: str) -> None:
    """Say all that this machine lacks to build and run a cluster."""
    lifecycle.check(name)


@main.command()
def build() -> None:
    """Build the programs, once. `up` does it too where needed."""
    click.echo(building.programs(say))


@main.command()
@name_argument
@start_options
@click.option("--wait/--no-wait", default=True, help="Return when the cluster is ready.")
def up(name: str, wait: bool, **options: Any) -> None:
    """Start a cluster, or repair it, or change its options."""
    began = time.monotonic()
    _up(name, options, wait=wait)
    state = "ready" if wait else "starting"
    click.echo(f"cluster {name} is {state}, {time.monotonic() - began:.1f} s", err=True)


@main.command()
@name_argument
@click.option("--all", "everything", is_flag=True, help="All clusters.")
def down(name: str, everything: bool) -> None:
    """End a cluster and remove all that belongs to it."""
    for each in layout.names() if everything else [name]:
        found = lifecycle.down(each)
        click.echo(f"cluster {each} is gone" if found else f"there is no cluster {each}", err=True)


@main.command()
@click.argument("name", required=False)
def status(name: str | None) -> None:
    """Show the parts of a cluster, or of all."""
    for each in [name] if name else layout.names():
        missing = lifecycle.troubles(each)
        click.echo(f"cluster {each}: {'; '.join(missing) or 'ready'}")
        rows = [("PART", "PID", "SINCE", "RESTARTS", "STATE"), *lifecycle.status(each)]
        for part, pid, since, restarts, state in rows:
            click.echo(f"  {part:<25}{pid:<9}{since:<21}{restarts:<10}{state}")


@main.command()
@name_argument
def shell(name: str) -> None:
    """Open a shell in a cluster's network, with kubectl at hand."""
    click.echo(f"in cluster {name}; `exit` leaves", err=True)
    _become(name, [os.environ.get("SHELL", "/bin/sh")])


@main.command("exec", cls=Wrapper)
@name_argument
def execute(name: str, command: list[str]) -> None:
    """Run a command in a cluster's network: exec [NAME] -- COMMAND."""
    _become(name, command)


@main.command(
    context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False},
    add_help_option=False,
)
@cluster_option
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def kubectl(cluster: str, arguments: tuple[str, ...]) -> None:
    """Run kubectl in a cluster: kubectl [--cluster NAME] ARGUMENTS."""
    _become(cluster, ["kubectl", *arguments])


@main.command(cls=Wrapper)
@name_argument
@start_options
def run(name: str, command: list[str], **options: Any) -> None:
    """Start a cluster, run a command in it, end it: run [NAME] [OPTIONS] -- COMMAND."""
    # Like Ctrl-C, these must not leave the cluster behind.
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda received, _: sys.exit(128 + received))
    try:
        _up(name, options, wait=True)
        line, variables = lifecycle.inside(name, command)
        code = subprocess.run(line, env=variables, check=False).returncode
    finally:
        lifecycle.down(name)
    sys.exit(code if code >= 0 else 128 - code)


@main.group()
def nodes() -> None:
    """Add, remove, lose and restore nodes."""


@nodes.command()
@cluster_option
@click.argument("pool")
def add(cluster: str, pool: str) -> None:
    """Add nodes to a pool, which may be new: NAME=NODESxGPUS:PRODUCT[:KEY=VALUE,...]."""
    wanted = pool_from(pool)
    client = _client(cluster)
    fleet.add(client, wanted, fleet.next_indices(client, wanted))


def _node_command(name: str, action: Callable[[api.Client, str], None], text: str) -> None:
    @nodes.command(name, help=text)
    @cluster_option
    @click.argument("names", nargs=-1, required=True)
    def command(cluster: str, names: Sequence[str]) -> None:
        client = _client(cluster)
        for node in names:
            action(client, node)


_node_command("remove", fleet.remove, "Take machines away with all that runs on them.")
_node_command("lose", fleet.lose, "Let kubelets fall silent: nodes become Unknown, pods not ready.")
_node_command("restore", fleet.restore, "Let the kubelets of lost nodes speak again.")


def say(line: str) -> None:
    """Tell the user what goes on."""
    click.echo(line, err=True)


def _up(name: str, options: dict[str, Any], *, wait: bool) -> None:
    timeout = options.pop("timeout")
    options["pools"] = tuple(map(pool_from, options["pools"])) or None
    lifecycle.start(name, options, say)
    if wait:
        lifecycle.wait(name, timeout)


def _become(name: str, command: Sequence[str]) -> None:
    """Turn this process into a command in the cluster, so that its signals and exit code count."""
    line, variables = lifecycle.inside(name, command)
    try:
        os.execvpe(line[0], line, variables)
    except FileNotFoundError as error:
        raise click.ClickException(f"{line[0]} is not here") from error


def _client(name: str) -> api.Client:
    """Return a client; this process starts again in the cluster's network if it is outside."""
    line, _ = lifecycle.inside(name, [sys.executable, "-m", "devcluster", *sys.argv[1:]])
    if line[0] != sys.executable:
        _become(name, [sys.executable, "-m", "devcluster", *sys.argv[1:]])
    return api.Client(Layout.of(name))
