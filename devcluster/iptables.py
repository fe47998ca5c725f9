"""iptables for kube-proxy: the machine's own, or the distribution's packages in the cache."""

import os
import shutil
import stat
from pathlib import Path

from devcluster import debs

PROGRAMS = ("iptables", "iptables-save", "iptables-restore")
FAMILIES = ("", "ip6")
SYSTEM_PATHS = "/usr/sbin:/sbin:/usr/local/sbin"


def provide(folder: Path) -> str:
    """Return a PATH on which iptables is found. Wrappers are put into `folder` where needed.

    Raises `debs.PackagesUnavailable`.
    """
    path = f"{os.environ.get('PATH', '')}:{SYSTEM_PATHS}"
    if shutil.which("iptables-restore", path=path):
        return path
    try:
        root = debs.fetch(["iptables"])
    except debs.PackagesUnavailable as error:
        cure = f"apt-get install iptables (fetching it failed: {error})"
        raise debs.PackagesUnavailable(f"iptables is not here: {cure}") from error
    _write_wrappers(folder, root)
    return f"{folder}:{path}"


def _write_wrappers(folder: Path, root: Path) -> None:
    """Write scripts that run the one program behind all names, with its own libraries."""
    folder.mkdir(parents=True, exist_ok=True)
    command = " ".join(f"'{word}'" for word in debs.command(root, "usr/sbin/xtables-nft-multi"))
    modules = next(path for path in debs.library_paths(root) if path.name == "xtables")
    for program in (p.replace("ip", f"{f}", 1) if f else p for p in PROGRAMS for f in FAMILIES):
        script = folder / program
        script.write_text(
            f"#!/bin/sh\nXTABLES_LIBDIR='{modules}' exec {command} {program} \"$@\"\n"
        )
        script.chmod(script.stat().st_mode | stat.S_IXUSR | stat.S_IXGRP | stat.S_IXOTH)
