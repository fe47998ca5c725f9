"""The Go programs: built once, then shared by all clusters and clones."""

import hashlib
import os
import re
import shutil
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from devcluster import cache, preflight

SOURCES = Path(__file__).parent
NAMES = (
    "etcd",
    "kube-apiserver",
    "kube-controller-manager",
    "kube-scheduler",
    "kube-proxy",
    "kubelet",
    "kubeadm",
    "kubectl",
)
"""What the program `k8s` is, under other names."""
KEPT = 3
"""Builds that stay in the cache: going back to an older commit needs no new build."""

Say = Callable[[str], None]


class BuildFailed(Exception):
    """A program does not build. The message is what Go says."""


def kubernetes_version() -> str:
    """Return the version of Kubernetes that is built, as in v1.2.3."""
    found = re.search(r"k8s\.io/kubernetes (v\S+)", (SOURCES / "go/go.mod").read_text())
    if not found:
        raise BuildFailed("go.mod names no version of Kubernetes")
    return found[1]


def programs(say: Say) -> Path:
    """Return the folder of the programs, which are built if they are not there yet.

    Two processes never build at once. Raises `BuildFailed` and `preflight.NotPossible`.
    """
    target = _target()
    if not target.exists():
        with cache.locked("build"):
            if not target.exists():
                _build_all(target, say)
    os.utime(target)
    return target


def is_done() -> bool:
    """Say whether the programs are there already."""
    return _target().exists()


def _target() -> Path:
    return cache.directory() / "bin" / _key()


def _build_all(target: Path, say: Say) -> None:
    preflight.require(preflight.TO_BUILD)
    for abandoned in target.parent.glob(".*"):
        shutil.rmtree(abandoned)
    say("building the Go programs, once: about 6 minutes on two cores")
    with cache.staged(target) as folder:
        _build("kwok", SOURCES / "kwok", ".", folder / "kwok", "-s -w", say)
        _build("k8s", SOURCES / "go", "./cmd/k8s", folder / "k8s", _stamp(), say)
        for name in NAMES:
            (folder / name).symlink_to("k8s")
    _forget_old(target.parent)


def _build(name: str, module: Path, package: str, output: Path, flags: str, say: Say) -> None:
    began = time.monotonic()
    listing = _Progress(name, say)
    packages = _go(["list", "-deps", package], module, listing)
    building = _Progress(name, say, fetched=listing.fetched, total=len(packages))
    _go(["build", "-v", "-ldflags", flags, "-o", str(output), package], module, building)
    say(f"{name}: built in {time.monotonic() - began:.0f} s")


def _go(arguments: list[str], module: Path, progress: "_Progress") -> list[str]:
    """Run Go and return the lines that it prints. Raises `BuildFailed`."""
    environment = {
        **os.environ,
        "GOTOOLCHAIN": "local",
        "CGO_ENABLED": "0",
        "GOFLAGS": "-mod=readonly -buildvcs=false",
    }
    with (
        tempfile.TemporaryFile("w+") as printed,
        subprocess.Popen(
            ["go", *arguments],
            cwd=module,
            env=environment,
            text=True,
            stdout=printed,
            stderr=subprocess.PIPE,
        ) as process,
    ):
        assert process.stderr
        with progress.shown_every(5.0):
            for line in process.stderr:
                progress.see(line.strip())
        if process.wait():
            raise BuildFailed("\n".join(progress.tail))
        printed.seek(0)
        return printed.read().splitlines()


@dataclass
class _Progress:
    """Counts what Go says that it does. What is in its cache is in `total`, but never counted."""

    name: str
    say: Say
    fetched: int = 0
    compiled: int = 0
    total: int = 0
    tail: list[str] = field(default_factory=list)

    def see(self, line: str) -> None:
        if line.startswith("go: downloading"):
            self.fetched += 1
        elif line and " " not in line:
            self.compiled += 1
        self.tail = [*self.tail[-19:], line]

    @contextmanager
    def shown_every(self, seconds: float) -> Iterator[None]:
        over = threading.Event()
        began = time.monotonic()

        def show() -> None:
            while not over.wait(seconds):
                self.say(f"{self.name}: {time.monotonic() - began:.0f} s, {self._counts()}")

        thread = threading.Thread(target=show, daemon=True)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()

    def _counts(self) -> str:
        if not self.total:
            return f"{self.fetched} modules fetched"
        return f"{self.compiled} of {self.total} packages compiled"


def _stamp() -> str:
    """Return link flags with the version: kubectl, kubeadm and Helm look at it."""
    version = kubernetes_version()
    major, minor = version.removeprefix("v").split(".")[:2]
    values = {
        "gitVersion": version,
        "gitMajor": major,
        "gitMinor": minor,
        "gitTreeState": "clean",
    }
    places = ("k8s.io/component-base/version", "k8s.io/client-go/pkg/version")
    marks = [f"-X {place}.{key}={value}" for place in places for key, value in values.items()]
    return " ".join(["-s -w", *marks])


def _key() -> str:
    """Return a name that changes with the sources and the flags."""
    digest = hashlib.sha256(_stamp().encode())
    for module in ("go", "kwok"):
        for path in sorted((SOURCES / module).rglob("*")):
            if path.suffix in (".go", ".mod", ".sum") and not path.stem.endswith("_test"):
                digest.update(str(path.relative_to(SOURCES)).encode() + path.read_bytes())
    return digest.hexdigest()[:16]


def _forget_old(folder: Path) -> None:
    builds = sorted(folder.glob("[!.]*"), key=lambda path: path.stat().st_mtime, reverse=True)
    for build in builds[KEPT:]:
        shutil.rmtree(build)
