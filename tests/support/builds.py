"""Other builds of the operator: folders that go first on its PYTHONPATH."""

import shutil
import subprocess
import tarfile
from io import BytesIO
from pathlib import Path

import pytest
import yaml

SOURCES = Path("operator")
BUILT = "example.com/another-build"
"""Part of every default image of the altered build."""

OTHER_PODS = """

_rendered = pod_template_for


def pod_template_for(*args):
    template = _rendered(*args)
    template["metadata"].setdefault("annotations", {})["example.com/another-build"] = "true"
    return template
"""


def previous_build(to: Path) -> Path:
    """Return the operator as it was before its last change; without a history the test is left out.

    With changes that are not committed, that is the last commit.
    """
    commits = _git("log", "-n", "2", "--format=%H", "--", str(SOURCES)).decode().split()
    changed = _git("status", "--porcelain", "--", str(SOURCES))
    if len(commits) < 2:
        pytest.skip("git tells of no operator before this one")
    archive = _git("archive", commits[0] if changed else commits[1], str(SOURCES))
    with tarfile.open(fileobj=BytesIO(archive)) as files:
        files.extractall(to, filter="data")
    return to / SOURCES


def _git(*arguments: str) -> bytes:
    done = subprocess.run(["git", *arguments], capture_output=True, check=False)
    return done.stdout


def altered_build(to: Path) -> Path:
    """Return an operator with another image and command for every engine, and other pods."""
    built = Path(shutil.copytree(SOURCES, to / SOURCES))
    for file in (built / "modelfleet" / "engines").glob("*.yaml"):
        document = yaml.safe_load(file.read_text())
        spec = document["spec"]
        spec["image"] = f"{BUILT}:{document['metadata']['name']}"
        spec.setdefault("env", []).append({"name": "ANOTHER_BUILD", "value": "true"})
        spec.setdefault("drain", {})["preStopSeconds"] = 42
        file.write_text(yaml.safe_dump(document))
    with (built / "modelfleet" / "plan" / "objects" / "pod.py").open("a") as pods:
        pods.write(OTHER_PODS)
    return built
