"""`modelfleet simulate`: what a policy would have done, by the operator's own decision."""

import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NoReturn

import click
import orjson

from modelfleet.cli.mistakes import Mistake
from modelfleet.cli.replays import drawing, inputs, page, table
from modelfleet.cli.replays.comparing import Asked, compared
from modelfleet.cli.replays.inputs import Unusable
from modelfleet.cli.replays.table import Comparison
from modelfleet.plan.simulation import search
from modelfleet.plan.simulation.traces import MOST_REQUESTS, Trace, multiplied


def _json(shown: Comparison) -> str:
    return orjson.dumps(table.json_of(shown), option=orjson.OPT_INDENT_2).decode()


SHOWN: Mapping[str, Callable[[Comparison], str]] = {
    "table": table.text_of,
    "json": _json,
    "html": page.page_of,
}


def _names(_: click.Context, __: click.Parameter, value: str) -> tuple[str, ...]:
    names = tuple(dict.fromkeys(name.strip() for name in value.split(",") if name.strip()))
    unknown = [name for name in names if name not in search.GRIDS]
    if unknown:
        raise click.BadParameter(f"{unknown[0]!r} is not one of {', '.join(search.GRIDS)}")
    return names


@click.command()
@click.option(
    "--trace",
    "source",
    required=True,
    help="A file: Azure's CSV (TIMESTAMP,ContextTokens,GeneratedTokens) or Mooncake's JSONL "
    "(timestamp,input_length,output_length); - for standard input; or made, as in "
    "generated:diurnal,hours=48,requests-per-second=2,seed=7 or generated:steps.",
)
@click.option("--policy", required=True, help="A file with an AutoscalingPolicy.")
@click.option("--profile", required=True, help="A file with the figures of a replica.")
@click.option(
    "--against",
    default="",
    callback=_names,
    help="Compare with hpa, kpa or hpa,kpa: each at the best setting of a grid.",
)
@click.option("-o", "--output", type=click.Choice(list(SHOWN)), default="table")
@click.option("--picture", type=click.Path(path_type=Path), help="Write a picture to this PNG.")
@click.option(
    "--times",
    default=1.0,
    type=click.FloatRange(0, 1000, min_open=True),
    help="So many times as many requests.",
)
@click.option(
    "--tune",
    default=0.0,
    type=click.FloatRange(0, 0.9),
    help="The others choose their setting by this first share of the trace, and all figures are "
    "of the rest. Default 0: both on all of it, so that they know the trace in advance.",
)
@click.option(
    "--start",
    type=click.IntRange(0, 1000),
    help="Replicas that are ready at the beginning; default: minReplicas, at least one.",
)
def simulate(
    source: str, policy: str, profile: str, output: str, picture: Path | None, **settings: Any
) -> None:
    """Replay a trace of requests and show what a policy would have done.

    The policy is followed by the same decision as the operator's, every 15 seconds; engines are
    modelled. GPU hours count from the creation of a replica to its end, loading and draining
    included. A mistake in a file is one line on standard error, and the exit code is 1.
    """
    if picture is not None and not drawing.is_possible():
        _fail(Mistake("--picture", drawing.MISSING))
    times = settings.pop("times")
    try:
        asked = Asked(
            _multiplied(inputs.trace_from(source), source, times),
            source,
            inputs.policy_from(policy),
            inputs.profile_from(profile),
            **settings,
        )
    except Unusable as error:
        _fail(*error.mistakes)
    shown = compared(asked)
    click.echo(SHOWN[output](shown))
    if picture is not None:
        _draw(shown, picture)


def _multiplied(trace: Trace, source: str, times: float) -> Trace:
    if len(trace) * times > MOST_REQUESTS:
        raise Unusable(Mistake(source, f"more than {MOST_REQUESTS} requests with --times"))
    return multiplied(trace, times)


def _draw(shown: Comparison, file: Path) -> None:
    try:
        drawing.draw(shown, file)
    except OSError as error:
        _fail(Mistake(str(file), error.strerror or "cannot be written"))


def _fail(*mistakes: Mistake) -> NoReturn:
    for one in mistakes:
        click.echo(str(one), err=True)
    sys.exit(1)
