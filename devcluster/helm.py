"""Helm 4 and 3, built once as Go modules: `python -m devcluster.helm` prints where they are."""

import os
import subprocess
import tempfile
import time
from pathlib import Path
from types import MappingProxyType

import click

from devcluster import cache, preflight
from devcluster.building import BuildFailed, Say

VERSIONS = MappingProxyType({"4": "v4.3.1", "3": "v3.22.0"})
"""Major version → what is built. Helm 3 gets security fixes until February 2027."""

LONGEST_BUILD = 1200.0
"""Seconds, fetching of modules included: 2 minutes on two cores that do nothing else."""


def program(major: str, say: Say) -> Path:
    """Return the path of Helm `major`, which is built if it is not there yet.

    Two processes never build at once. Raises `BuildFailed` and `preflight.NotPossible`.
    """
    target = cache.directory() / "helm" / VERSIONS[major]
    if not target.exists():
        with cache.locked("build-helm"):
            if not target.exists():
                _build(major, target, say)
    return target / "helm"


def _build(major: str, target: Path, say: Say) -> None:
    preflight.require(preflight.TO_BUILD)
    say(f"building Helm {VERSIONS[major]}, once: about 2 minutes on two cores")
    began = time.monotonic()
    with cache.staged(target) as folder:
        _go_install(f"helm.sh/helm/v{major}/cmd/helm@{VERSIONS[major]}", folder)
    say(f"Helm {VERSIONS[major]}: built in {time.monotonic() - began:.0f} s")


def _go_install(package: str, folder: Path) -> None:
    """Install a program into `folder`. Raises `BuildFailed` with what Go says."""
    environment = {
        **os.environ,
        "GOTOOLCHAIN": "local",
        "CGO_ENABLED": "0",
        "GOFLAGS": "-buildvcs=false",
        "GOBIN": str(folder),
    }
    command = ["go", "install", "-ldflags", "-s -w", package]
    # Outside of any module, so that none has a say in the versions.
    with tempfile.TemporaryDirectory() as nowhere:
        try:
            done = subprocess.run(
                command,
                cwd=nowhere,
                env=environment,
                capture_output=True,
                text=True,
                timeout=LONGEST_BUILD,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise BuildFailed(f"{package}: not built after {LONGEST_BUILD:.0f} s") from error
    if done.returncode:
        raise BuildFailed("\n".join(done.stderr.splitlines()[-20:]))


@click.command()
@click.argument("majors", nargs=-1, type=click.Choice(sorted(VERSIONS)))
def main(majors: tuple[str, ...]) -> None:
    """Build Helm where it is missing, and print where it is: all versions, or those named."""
    for major in majors or VERSIONS:
        try:
            click.echo(program(major, lambda line: click.echo(line, err=True)))
        except (BuildFailed, cache.Unusable, preflight.NotPossible) as error:
            raise click.ClickException(str(error)) from error


if __name__ == "__main__":
    main()
