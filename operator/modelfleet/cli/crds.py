"""`modelfleet crds`: the CustomResourceDefinitions that belong to this version."""

import sys
from pathlib import Path

import click

from modelfleet.api import crd


@click.command()
@click.option("--write", type=click.Path(path_type=Path), help="Write one file for each kind here.")
@click.option("--check", type=click.Path(path_type=Path), help="Fail if the files here differ.")
def crds(write: Path | None, check: Path | None) -> None:
    """Print the CRDs, write them into a folder, or check a folder against them."""
    files = crd.render()
    if write:
        write.mkdir(parents=True, exist_ok=True)
        for name, text in files.items():
            (write / name).write_text(text)
    elif check:
        stale = [name for name, text in files.items() if _text(check / name) != text]
        if stale:
            sys.exit(f"not current: {', '.join(stale)}; run `modelfleet crds --write {check}`")
    else:
        click.echo("---\n".join(files.values()), nl=False)


def _text(path: Path) -> str | None:
    return path.read_text() if path.exists() else None
