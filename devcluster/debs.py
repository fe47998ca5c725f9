"""Programs from the distribution's archive, unpacked into the cache and not installed.

The packages come with their own C library and dynamic loader, so that they run on a machine
of another release; `command` gives the command line that does so. Works without root.
"""

import getpass
import hashlib
import os
import platform
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from devcluster import cache

KEYRINGS = {
    "debian": "/usr/share/keyrings/debian-archive-keyring.gpg",
    "ubuntu": "/usr/share/keyrings/ubuntu-archive-keyring.gpg",
}
MERGED = ("bin", "sbin", "lib", "lib64")
UNWANTED = ("./usr/share/doc/*", "./usr/share/man/*", "./usr/share/locale/*", "./usr/lib/*/gconv")
NEEDLESS = ("debconf", "perl-base", "tar", "dpkg", "libdb5.3")
"""What packages need only to be installed, which nobody does here."""


class PackagesUnavailable(Exception):
    """The archive cannot be used. The message says why, and what to do."""


def fetch(packages: Sequence[str], suite: str | None = None) -> Path:
    """Return a folder that holds `packages` and all that they depend on, fetched at most once.

    `suite` is a release such as "forky"; by default the machine's own.
    `MODELFLEET_MIRROR` in the environment names an archive to use instead of apt's.
    Raises `PackagesUnavailable`.
    """
    suite = suite or _own_suite()
    digest = hashlib.sha256(" ".join(sorted(packages)).encode()).hexdigest()[:12]
    target = cache.directory() / "debs" / f"{suite}-{digest}"
    with cache.locked(target.name):
        if not target.exists():
            with cache.staged(target) as root:
                _fetch_into(root, packages, suite)
    return target


def command(root: Path, program: str) -> list[str]:
    """Return what starts `program` (a path below `root`) with the libraries of `root`.

    Further arguments are appended to it. Raises `PackagesUnavailable` if `root` has no loader.
    """
    loaders = sorted(root.glob("usr/lib/*/ld-linux-*.so.*"))
    loaders += sorted(root.glob("usr/lib/ld-linux-*.so.*"))
    if not loaders:
        raise PackagesUnavailable(f"{root} holds no dynamic loader; remove it and try again")
    libraries = ":".join(str(path) for path in library_paths(root))
    return [str(loaders[0]), "--library-path", libraries, str(root / program)]


def library_paths(root: Path) -> list[Path]:
    """Return the folders of `root` that hold shared libraries, the general ones first."""
    folders = {library.parent for library in (root / "usr/lib").rglob("lib*.so*")}
    return sorted(folders, key=lambda folder: (len(folder.parts), folder))


def _fetch_into(root: Path, packages: Sequence[str], suite: str) -> None:
    if not (shutil.which("apt-get") and shutil.which("dpkg-deb")):
        raise PackagesUnavailable(
            f"apt-get and dpkg-deb are not here; install {', '.join(packages)} yourself"
        )
    work = root / ".apt"
    archives = _download(work, packages, suite)
    for name in MERGED:
        (root / "usr" / name).mkdir(parents=True)
        (root / name).symlink_to(f"usr/{name}")
    for archive in archives:
        if archive.name.split("_")[0] not in NEEDLESS:
            _unpack(archive, root)
    shutil.rmtree(work)


def _download(work: Path, packages: Sequence[str], suite: str) -> list[Path]:
    for folder in ("lists/partial", "cache/archives/partial"):
        (work / folder).mkdir(parents=True)
    (work / "status").touch()
    (work / "sources.list").write_text(_source(suite))
    (work / "apt.conf").write_text(_configuration(work))
    _run(work, "apt-get", "-qq", "update")
    _run(work, "apt-get", "-qq", "-y", "--download-only", "install", *packages)
    return sorted((work / "cache/archives").glob("*.deb"))


def _source(suite: str) -> str:
    distribution = "ubuntu" if _os_release().get("ID") == "ubuntu" else "debian"
    keyring = KEYRINGS[distribution]
    components = "main universe" if distribution == "ubuntu" else "main"
    mirror = os.environ.get("MODELFLEET_MIRROR") or _mirror()
    return f"deb [signed-by={keyring}] {mirror} {suite} {components}\n"


def _mirror() -> str:
    """Return the archive that apt uses for this machine's own release, security updates aside."""
    form = "$(CODENAME) $(REPO_URI)"
    listing = subprocess.run(
        ["apt-get", "indextargets", "--format", form], capture_output=True, text=True, check=False
    )
    targets = [line.split(" ", 1) for line in listing.stdout.splitlines()]
    own = [uri for suite, uri in targets if suite == _own_suite() and uri.startswith("http")]
    if not own:
        raise PackagesUnavailable(
            "apt has no archive for this release: set MODELFLEET_MIRROR to one, or install "
            "the packages yourself"
        )
    return own[0]


def _configuration(work: Path) -> str:
    settings = {
        "Dir::State::Lists": work / "lists",
        "Dir::State::status": work / "status",
        "Dir::Cache": work / "cache",
        "Dir::Etc::SourceList": work / "sources.list",
        "Dir::Etc::SourceParts": "/dev/null",
        "APT::Sandbox::User": getpass.getuser(),
        "APT::Install-Recommends": "false",
        "Debug::NoLocking": "true",
    }
    return "".join(f'{name} "{value}";\n' for name, value in settings.items())


def _run(work: Path, *arguments: str) -> None:
    environment = {**os.environ, "APT_CONFIG": str(work / "apt.conf"), "LC_ALL": "C"}
    done = subprocess.run(
        arguments, env=environment, capture_output=True, text=True, check=False, timeout=600
    )
    if done.returncode:
        raise PackagesUnavailable(f"{' '.join(arguments)}: {done.stderr.strip()}")


def _unpack(archive: Path, root: Path) -> None:
    """Unpack the files of a package, through the links that merge /lib into /usr/lib."""
    unwanted = [f"--exclude={pattern}" for pattern in UNWANTED]
    into = ["tar", "-C", str(root), "-x", "--keep-directory-symlink", "--no-same-owner"]
    with subprocess.Popen(
        ["dpkg-deb", "--fsys-tarfile", str(archive)], stdout=subprocess.PIPE
    ) as package:
        done = subprocess.run(
            [*into, *unwanted], stdin=package.stdout, capture_output=True, text=True, check=False
        )
    if done.returncode or package.returncode:
        raise PackagesUnavailable(f"cannot unpack {archive.name}: {done.stderr.strip()}")


def _own_suite() -> str:
    return _os_release().get("VERSION_CODENAME", "stable")


def _os_release() -> dict[str, str]:
    try:
        return platform.freedesktop_os_release()
    except OSError:
        return {}
