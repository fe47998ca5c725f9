"""The tables of values in the charts' READMEs, made from the comments in values.yaml.

`python -m devcluster.readme CHART…` writes them, with `--check` it fails where one is not current.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import yaml

HEADING = "## Values\n"
"""All after it is generated; what stands before it is written by hand."""

MARK = "# -- "
"""Begins the comment of a value."""

INDENT = 2


def comments(text: str) -> dict[str, str]:
    """Return the comment of each value of a values.yaml, by its path, in order."""
    found: dict[str, str] = {}
    path: list[str] = []
    comment: list[str] = []
    for line in text.splitlines():
        words = line.strip()
        if words.startswith(MARK):
            comment = [words.removeprefix(MARK)]
        elif words.startswith("#"):
            comment.append(words[2:])
        elif ":" in words and not words.startswith("-"):
            depth = (len(line) - len(line.lstrip())) // INDENT
            path = [*path[:depth], words.partition(":")[0]]
            if comment:
                found[".".join(path)] = " ".join(comment)
            comment = []
    return found


def undocumented(values: Any, known: dict[str, str], path: str = "") -> Iterator[str]:
    """Yield the path of each value that neither has a comment nor is part of one that has."""
    if path in known:
        return
    if not isinstance(values, dict) or not values:
        yield path
        return
    for key, value in values.items():
        yield from undocumented(value, known, f"{path}.{key}".lstrip("."))


def table(text: str) -> str:
    """Return the table of a values.yaml. Raises ClickException for a value without a comment."""
    values, known = yaml.safe_load(text), comments(text)
    if missing := list(undocumented(values, known)):
        raise click.ClickException(f"no comment that begins with {MARK!r}: {', '.join(missing)}")
    rows = [f"| `{path}` | `{_default(values, path)}` | {known[path]} |" for path in known]
    return "\n".join(["| Value | Default | |", "|---|---|---|", *rows, ""])


def _default(values: Any, path: str) -> str:
    for key in path.split("."):
        values = values[key]
    return json.dumps(values)


def current(chart: Path) -> str:
    """Return what the README of a chart has to be."""
    before, heading, _ = (chart / "README.md").read_text().partition(HEADING)
    if not heading:
        raise click.ClickException(f"{chart}/README.md lacks the heading {HEADING.strip()!r}")
    return f"{before}{HEADING}\n{table((chart / 'values.yaml').read_text())}"


@click.command()
@click.argument("charts", nargs=-1, type=click.Path(path_type=Path, file_okay=False, exists=True))
@click.option("--check", is_flag=True, help="Change nothing; fail if one is not current.")
def main(charts: tuple[Path, ...], check: bool) -> None:
    """Write the tables of values into the READMEs of charts."""
    for chart in charts:
        readme, text = chart / "README.md", current(chart)
        if check and readme.read_text() != text:
            raise click.ClickException(f"{readme} is not current: run `make generate`")
        if not check:
            readme.write_text(text)


if __name__ == "__main__":
    main()
