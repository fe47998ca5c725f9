"""`modelfleet crds`: the CustomResourceDefinitions that belong to this version."""

from pathlib import Path

import click

from modelfleet.api import crd

_FOLDER = click.Path(path_type=Path, file_okay=False)


@click.command()
@click.option("--write", type=_FOLDER, help="Write one file for each kind into this folder.")
@click.option("--check", type=_FOLDER, help="Fail if the files in this folder differ.")
def crds(write: Path | None, check: Path | None) -> None:
    """Print the CRDs, write them into a folder, or check a folder against them."""
    files = crd.render()
    if write and check:
        raise click.UsageError("give one of --write and --check")
    try:
        if write:
            _write(write, files)
        elif check:
            _check(check, files)
        else:
            click.echo("---\n".join(files.values()), nl=False)
    except OSError as error:
        raise click.ClickException(f"{error.filename}: {error.strerror}") from error


def _write(folder: Path, files: dict[str, str]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / name).write_text(text, encoding="utf-8")


def _check(folder: Path, files: dict[str, str]) -> None:
    stale = [name for name, text in files.items() if _text(folder / name) != text]
    if stale:
        names = ", ".join(stale)
        raise click.ClickException(f"not current: {names}; run `modelfleet crds --write {folder}`")


def _text(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8")
    except (FileNotFoundError, UnicodeDecodeError):
        return None
