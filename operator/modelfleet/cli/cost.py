"""`modelfleet cost`: what a month has cost, from the ledger's checkpoints in the cluster."""

import asyncio
import csv
import io
import json
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from modelfleet import clock
from modelfleet.cli import breakeven, costpicture
from modelfleet.cli.columns import aligned
from modelfleet.cli.replays import drawing
from modelfleet.cluster import errors, kubeconfig
from modelfleet.cluster.checkpoints import OPEN, Checkpoints
from modelfleet.cluster.session import Session
from modelfleet.plan.ledger.breakeven import apis, break_even
from modelfleet.plan.ledger.checkpoint import UnknownFormat, unpack_days, unpack_open
from modelfleet.plan.ledger.figures import dollars
from modelfleet.plan.ledger.focus import COLUMNS, focus_rows
from modelfleet.plan.ledger.report import GROUPINGS, USES, Row, months_before, of_month, report
from modelfleet.plan.ledger.sums import Amount, Line, Lines
from modelfleet.plan.ledger.units import MILLION

CENT = MILLION // 100


@click.command()
@click.option("--by", type=click.Choice(list(GROUPINGS)), default="model", help="What a row is.")
@click.option("--month", metavar="YYYY-MM", help="A month in UTC; default: this one.")
@click.option(
    "-o", "--output", type=click.Choice(["table", "json", "focus-csv"]), default="table",
    help="json has micro-dollars; focus-csv is FOCUS 1.2, a row for each day, account and use.",
)  # fmt: skip
@click.option(
    "--break-even", is_flag=True,
    help="Show from how many tokens an hour a replica is cheaper than APIs instead.",
)  # fmt: skip
@click.option(
    "--input-percent", type=click.IntRange(0, 100), default=85, show_default=True,
    help="With --break-even: how many of 100 tokens are read and not written.",
)  # fmt: skip
@click.option(
    "--picture", type=click.Path(path_type=Path), help="Write a picture of the rows to this PNG."
)
@click.option(
    "--namespace", default="modelfleet-system", show_default=True, help="Of the operator."
)
@click.option("--lease-name", default="modelfleet", show_default=True, help="Of the operator.")
@click.option("--kubeconfig", "file", default="", help="A kubeconfig; else $KUBECONFIG.")
@click.option("--context", default="", help="Its context.")
def cost(**given: Any) -> None:
    """Print what a month has cost, against the month before. All rows together are all of it."""
    month = given["month"] or f"{clock.utc_now():%Y-%m}"
    if problem := _problem(given):
        sys.exit(problem)
    try:
        months_before(month)
        connection = kubeconfig.find(given["file"], given["context"], os.environ)
        lines = asyncio.run(_lines(connection, given, month))
    except ValueError:
        sys.exit(f"--month {month}: write YYYY-MM, as in 2026-11")
    except (kubeconfig.ConfigError, errors.ApiError, UnknownFormat) as error:
        sys.exit(str(error))
    if lines is None:
        sys.exit(f"there is no ledger in namespace {given['namespace']}: see --namespace")
    click.echo(_shown(lines, month, given), nl=False)
    if given["picture"] is not None:
        _draw(lines, month, given)


def _problem(given: Mapping[str, Any]) -> str | None:
    if given["break_even"] and given["output"] not in breakeven.SHOWN:
        return f"--break-even: -o {given['output']} has no such columns; use table or json"
    if given["picture"] is not None and not drawing.is_possible():
        return f"--picture {drawing.MISSING}"
    return None


def _shown(lines: Lines, month: str, given: Mapping[str, Any]) -> str:
    if given["break_even"]:
        rows = break_even(lines, month, apis(), given["input_percent"])
        return breakeven.SHOWN[given["output"]](rows)
    return WRITERS[given["output"]](lines, month, given["by"])


def _draw(lines: Lines, month: str, given: Mapping[str, Any]) -> None:
    rows = report(lines, month, GROUPINGS[given["by"]], CENT)
    try:
        costpicture.draw(rows, f"{month}, by {given['by']}", given["picture"])
    except OSError as error:
        sys.exit(f"--picture {given['picture']}: {error.strerror}")


async def _lines(
    connection: kubeconfig.Connection, given: Mapping[str, Any], month: str
) -> Lines | None:
    """Return the lines of a month and of the one before; None where there is no ledger."""
    async with Session(connection) as session:
        name = f"{given['lease_name']}-ledger"
        documents = await Checkpoints(session, given["namespace"], name).all()
    if not documents:
        return None
    lines: dict[Line, Amount] = {}
    for one in documents:
        if one.label in (month, months_before(month)):
            lines |= unpack_days(one.text)
    for one in documents:
        if one.label == OPEN:
            kept = unpack_open(one.text)  # the last word on days that are in both
            lines = {line: a for line, a in lines.items() if line.day <= kept.archived}
            lines |= kept.lines
    return lines


def _table(lines: Lines, month: str, by: str) -> str:
    rows = report(lines, month, GROUPINGS[by], CENT)
    whole = _whole(rows)
    heads = [heading for heading in USES if whole.by_use[heading]]
    table = [_head(by, heads, month), *(_cells(row, heads) for row in [*rows, whole])]
    return f"{aligned(table)}\n{_notes(whole)}"


def _whole(rows: Sequence[Row]) -> Row:
    return Row(
        name="all",
        by_use={heading: sum(row.by_use[heading] for row in rows) for heading in USES},
        canary=sum(row.canary for row in rows),
        total=sum(row.total for row in rows),
        before=sum(row.before for row in rows),
        gpu_hours=sum(row.gpu_hours for row in rows),
        unpriced_gpu_hours=sum(row.unpriced_gpu_hours for row in rows),
        estimated=sum(row.estimated for row in rows),
    )


def _head(by: str, heads: Sequence[str], month: str) -> list[str]:
    return [by.upper(), *(head.upper() for head in heads), month, months_before(month), "GPU HOURS"]


def _cells(row: Row, heads: Sequence[str]) -> list[str]:
    spent = [dollars(row.by_use[head], 2) for head in heads]
    return [
        row.name,
        *spent,
        dollars(row.total, 2),
        dollars(row.before, 2),
        f"{row.gpu_hours:.2f}",
    ]


def _notes(whole: Row) -> str:
    notes = ""
    if whole.unpriced_gpu_hours:
        notes += f"{whole.unpriced_gpu_hours:.2f} GPU hours have no price and are in no sum.\n"
    if whole.canary:
        notes += f"{dollars(whole.canary, 2)} of it was for canaries.\n"
    if whole.estimated:
        notes += f"{dollars(whole.estimated, 2)} of it is an estimate: nobody watched then.\n"
    return notes


def _json(lines: Lines, month: str, by: str) -> str:
    rows = [asdict(row) for row in report(lines, month, GROUPINGS[by])]
    return json.dumps({"month": month, "by": by, "unit": "micro-dollars", "rows": rows}) + "\n"


def _focus(lines: Lines, month: str, _: str) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(focus_rows(of_month(lines, month), "modelfleet"))
    return text.getvalue()


Writer = Callable[[Lines, str, str], str]
WRITERS: Mapping[str, Writer] = {"table": _table, "json": _json, "focus-csv": _focus}
