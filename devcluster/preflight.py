"""What a machine must have. Each check returns a sentence that says what to do, or None."""

import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterable
from pathlib import Path

from devcluster import cache, namespace

GIB = 1 << 30
MEMORY_TO_RUN = 1 * GIB
DISK_TO_RUN = 1 * GIB
DISK_TO_BUILD = 7 * GIB
"""The programs' sources take 1 GiB, Go's build cache 4 GiB, the programs 0.3 GiB."""

SYSCTLS = (
    (
        "kernel/unprivileged_userns_clone",
        "0",
        "as root: sysctl -w kernel.unprivileged_userns_clone=1",
    ),
    ("user/max_user_namespaces", "0", "as root: sysctl -w user.max_user_namespaces=10000"),
    ("user/max_net_namespaces", "0", "as root: sysctl -w user.max_net_namespaces=10000"),
    (
        "kernel/apparmor_restrict_unprivileged_userns",
        "1",
        "as root: sysctl -w kernel.apparmor_restrict_unprivileged_userns=0",
    ),
)

Check = Callable[[], str | None]


class NotPossible(Exception):
    """This machine lacks something. The message says what to do about it."""


def cache_unusable() -> str | None:
    """Look whether anything can be kept."""
    try:
        cache.directory()
    except cache.Unusable as error:
        return str(error)
    return None


def ip_missing() -> str | None:
    """Look for the `ip` program."""
    return None if shutil.which("ip") else "`ip` is not here: apt-get install iproute2"


def util_linux_missing() -> str | None:
    """Look for what enters namespaces."""
    if shutil.which("unshare") and shutil.which("nsenter"):
        return None
    return "`unshare` and `nsenter` are not here: apt-get install util-linux"


def namespaces_refused() -> str | None:
    """Try to make a network namespace."""
    if not shutil.which("unshare"):
        return None
    done = subprocess.run([*namespace.new(), "true"], capture_output=True, text=True, check=False)
    if not done.returncode:
        return None
    cures = [cure for name, bad, cure in SYSCTLS if _sysctl(name) == bad]
    cure = cures[0] if cures else "run as root, or in a container that may (--privileged)"
    return f"no network namespace can be made ({done.stderr.strip()}); {cure}"


def memory_short() -> str | None:
    """Look at the memory that is left."""
    found = re.search(r"MemAvailable:\s+(\d+) kB", Path("/proc/meminfo").read_text())
    free = int(found[1]) * 1024 if found else MEMORY_TO_RUN
    if free >= MEMORY_TO_RUN:
        return None
    return f"a cluster needs 1 GiB of memory, {free / GIB:.1f} GiB is free: end something else"


def disk_short() -> str | None:
    """Look at the disk that clusters are on."""
    return _disk_short(DISK_TO_RUN)


def build_disk_short() -> str | None:
    """Look whether a build has the space that it needs."""
    return _disk_short(DISK_TO_BUILD)


def go_missing() -> str | None:
    """Look for a Go that can build the programs."""
    wanted = re.search(r"^go (\S+)", (Path(__file__).parent / "go/go.mod").read_text(), re.M)
    need = wanted[1] if wanted else "1.26"
    if not shutil.which("go"):
        return f"Go is not here: install Go {need} or newer and put it on PATH"
    own = {**os.environ, "GOTOOLCHAIN": "local"}
    done = subprocess.run(
        ["go", "env", "GOVERSION"], capture_output=True, text=True, check=False, env=own
    )
    have = done.stdout.strip().removeprefix("go")
    if _version(have) >= _version(need):
        return None
    return f"Go {have or '(broken)'} is too old: install Go {need} or newer"


TO_RUN: tuple[Check, ...] = (
    cache_unusable,
    ip_missing,
    util_linux_missing,
    namespaces_refused,
    memory_short,
    disk_short,
)
TO_BUILD: tuple[Check, ...] = (cache_unusable, go_missing, build_disk_short)


def require(checks: Iterable[Check]) -> None:
    """Raise `NotPossible` with all that is missing, so that it can be mended in one go."""
    troubles = [trouble for check in dict.fromkeys(checks) if (trouble := check())]
    if troubles:
        raise NotPossible("\n".join(troubles))


def _disk_short(need: int) -> str | None:
    if cache_unusable():
        return None
    place = cache.directory()
    free = shutil.disk_usage(place).free
    if free >= need:
        return None
    return (
        f"{need / GIB:.0f} GiB of disk are needed at {place}, {free / GIB:.1f} GiB are free: "
        "make room, or set XDG_CACHE_HOME"
    )


def _version(text: str) -> tuple[int, ...]:
    return tuple(int(number) for number in re.findall(r"\d+", text)[:3])


def _sysctl(name: str) -> str:
    path = Path("/proc/sys") / name
    return path.read_text().strip() if path.exists() else ""
