"""`modelfleet crds`: the CustomResourceDefinitions that belong to this version."""

from pathlib import Path

import click

from modelfleet.api import crd

_FOLDER = click.Path(path_type=Path, file_okay=False)


@click.command()
@click.option("--write", multiple=True, type=_FOLDER, help="Write a file for each kind there.")
@click.option("--check", multiple=True, type=_FOLDER, help="Fail if the files there differ.")
def crds(write: tuple[Path, ...], check: tuple[Path, ...]) -> None:
    """Print the CRDs, write them into folders, or check folders against them."""
    files = crd.render()
    if write and check:
        raise click.UsageError("give one of --write and --check")
    try:
        for folder in write:
            _write(folder, files)
        for folder in check:
            _check(folder, files)
        if not write and not check:
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
    if unknown := sorted(path.name for path in folder.glob("*.yaml") if path.name not in files):
        raise click.ClickException(f"no kind of ours: {', '.join(unknown)} in {folder}; remove it")


def _text(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8")
    except (FileNotFoundError, UnicodeDecodeError):
        return None
