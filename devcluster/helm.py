"""Helm 4 and 3, built once: `python -m devcluster.helm` prints where they are."""

import hashlib
import os
import subprocess
import tempfile
import time
from pathlib import Path
from types import MappingProxyType

import click

from devcluster import cache, preflight
from devcluster.building import BuildFailed, Say, kubernetes_version

PACKAGES = MappingProxyType(
    {
        "4": "helm.sh/helm/v4/cmd/helm@v4.3.1",
        "3": "helm.sh/helm/v3/cmd/helm@v3.22.0",
    }
)
"""What is built. Helm 3 gets security fixes until February 2027."""

LONGEST_BUILD = 1200.0
"""Seconds, fetching of modules included: 2 minutes on two cores that do nothing else."""


def program(which: str, say: Say) -> Path:
    """Return the path of a program, which is built if it is not there yet.

    Two processes never build at once. Raises `BuildFailed` and `preflight.NotPossible`.
    """
    package = PACKAGES[which]
    name, version = package.rpartition("/")[2].split("@")
    digest = hashlib.sha256(f"{package} {_flags(which)}".encode()).hexdigest()
    target = cache.directory() / "helm" / f"{name}-{version}-{digest[:8]}"
    if not target.exists():
        with cache.locked("build-helm"):
            if not target.exists():
                _build(which, target, say)
    return target / name


def _build(which: str, target: Path, say: Say) -> None:
    preflight.require(preflight.TO_BUILD)
    say(f"building {PACKAGES[which]}, once: about 2 minutes on two cores")
    began = time.monotonic()
    with cache.staged(target) as folder:
        _go_install(PACKAGES[which], folder, _flags(which))
    say(f"{PACKAGES[which]}: built in {time.monotonic() - began:.0f} s")


def _flags(which: str) -> str:
    """Return link flags. Helm's are those of its releases: unset, 3 takes any cluster for 1.20."""
    kubernetes = kubernetes_version().removeprefix("v").split(".")
    values = [f"internal/version.version={PACKAGES[which].partition('@')[2]}"]
    for place in ("chartutil", "lint/rules"):
        parts = zip(("Major", "Minor"), kubernetes, strict=False)
        values += [f"pkg/{place}.k8sVersion{part}={value}" for part, value in parts]
    return " ".join(["-s -w", *(f"-X helm.sh/helm/v{which}/{value}" for value in values)])


def _go_install(package: str, folder: Path, flags: str) -> None:
    """Install a program into `folder`. Raises `BuildFailed` with what Go says."""
    environment = {
        **os.environ,
        "GOTOOLCHAIN": "local",
        "CGO_ENABLED": "0",
        "GOFLAGS": "-buildvcs=false",
        "GOBIN": str(folder),
    }
    command = ["go", "install", "-ldflags", flags, package]
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
@click.argument("programs", nargs=-1, type=click.Choice(sorted(PACKAGES)))
def main(programs: tuple[str, ...]) -> None:
    """Build what is missing, and print where it is: all programs, or those named."""
    for which in programs or PACKAGES:
        try:
            click.echo(program(which, lambda line: click.echo(line, err=True)))
        except (BuildFailed, cache.Unusable, preflight.NotPossible) as error:
            raise click.ClickException(str(error)) from error


if __name__ == "__main__":
    main()
