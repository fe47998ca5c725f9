"""Prints what an image consists of, as CycloneDX 1.6: run it with the image's own Python.

    docker run --rm -i --network none --entrypoint python3 IMAGE - < deploy/image/sbom.py

Python packages as their metadata says, Debian's as dpkg says, and the interpreter. Equal images
print equal documents: there is no time in it.
"""

import json
import platform
import re
import sys
from collections.abc import Iterator
from importlib.metadata import Distribution, PackageMetadata, distributions
from pathlib import Path
from typing import Any
from uuid import NAMESPACE_URL, uuid5

SUBJECT = "modelfleet"
DPKG = Path("/var/lib/dpkg/status")
OS_RELEASE = Path("/etc/os-release")

Component = dict[str, Any]


def document() -> Component:
    """Return the whole bill of materials."""
    found = sorted(components(), key=lambda one: str(one["bom-ref"]))
    subject = next((one for one in found if one["name"] == SUBJECT), None)
    rest = [one for one in found if one is not subject]
    return {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": f"urn:uuid:{uuid5(NAMESPACE_URL, json.dumps(found, sort_keys=True))}",
        "version": 1,
        "metadata": {"component": {**subject, "type": "application"}} if subject else {},
        "components": rest,
    }


def components() -> Iterator[Component]:
    """Yield everything that is installed, each once."""
    known: dict[str, Component] = {}
    for one in (_interpreter(), *map(_python, distributions()), *_debian()):
        known.setdefault(one["bom-ref"], one)
    yield from known.values()


def _component(name: str, version: str, purl: str, **more: Any) -> Component:
    return {
        "type": "library",
        "bom-ref": purl,
        "name": name,
        "version": version,
        "purl": purl,
        **more,
    }


def _interpreter() -> Component:
    version = platform.python_version()
    return _component("cpython", version, f"pkg:generic/cpython@{version}")


def _python(one: Distribution) -> Component:
    name = re.sub(r"[-_.]+", "-", one.metadata["Name"]).lower()
    found = _licenses(one.metadata)
    licenses = {"licenses": found} if found else {}
    return _component(name, one.version, f"pkg:pypi/{name}@{one.version}", **licenses)


def _licenses(metadata: PackageMetadata) -> list[Component]:
    """Return the expression where there is one; older packages have a name, or a whole text."""
    expression = metadata.get("License-Expression")
    if expression:
        return [{"expression": expression}]
    name = (metadata.get("License") or "").strip()
    if name and "\n" not in name:
        return [{"license": {"name": name}}]
    prefix = "License :: "
    told = (line for line in metadata.get_all("Classifier") or [] if line.startswith(prefix))
    return [{"license": {"name": line.rpartition(" :: ")[2]}} for line in told]


def _debian() -> Iterator[Component]:
    if not DPKG.exists():
        return
    release = dict(re.findall(r'^(\w+)="?([^"\n]*)"?$', OS_RELEASE.read_text(), re.MULTILINE))
    distro = f"{release.get('ID', 'debian')}-{release.get('VERSION_ID', '')}".rstrip("-")
    for paragraph in DPKG.read_text(encoding="utf-8").split("\n\n"):
        fields = dict(re.findall(r"^([\w-]+): (.*)$", paragraph, re.MULTILINE))
        if fields.get("Status", "").endswith(" installed"):
            yield _package(fields, distro)


def _package(fields: dict[str, str], distro: str) -> Component:
    name, version = fields["Package"], fields["Version"]
    # A purl's version is percent-encoded; of what Debian allows, only these need it.
    encoded = version.replace("%", "%25").replace("+", "%2B").replace(":", "%3A")
    family, arch = distro.partition("-")[0], fields["Architecture"]
    purl = f"pkg:deb/{family}/{name.replace('+', '%2B')}@{encoded}?arch={arch}&distro={distro}"
    return _component(name, version, purl)


if __name__ == "__main__":
    json.dump(document(), sys.stdout, indent=2)
    print()
