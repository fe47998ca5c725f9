"""Where built programs, fetched packages and clusters live, and how two processes share that."""

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class Unusable(Exception):
    """Nothing can be kept. The message says where, and what to do."""


def directory() -> Path:
    """Return `$XDG_CACHE_HOME/modelfleet`, or `~/.cache/modelfleet`; made if it is not there.

    Raises `Unusable`.
    """
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    path = Path(base) / "modelfleet"
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _unusable(path, str(error.strerror)) from error
    if not os.access(path, os.W_OK | os.X_OK):
        raise _unusable(path, "no permission, or a read-only file system")
    return path


def _unusable(path: Path, why: str) -> Unusable:
    return Unusable(f"{path} cannot be written ({why}): set XDG_CACHE_HOME to a folder that can")


@contextmanager
def locked(name: str) -> Iterator[None]:
    """Hold the lock `name` among all processes that use this cache; wait for it if taken."""
    folder = directory() / "locks"
    folder.mkdir(exist_ok=True)
    with (folder / f"{name}.lock").open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


@contextmanager
def staged(target: Path) -> Iterator[Path]:
    """Give an empty folder beside `target` that becomes `target` if the block succeeds.

    Nobody ever sees a half-filled `target`: the last step is one rename.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=target.parent))
    try:
        yield folder
        folder.chmod(0o755)
        folder.rename(target)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
