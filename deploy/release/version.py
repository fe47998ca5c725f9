"""Checks that a tag such as v1.2.3 is the version of the package and of both charts."""

import re
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
PLACES = (
    ("pyproject.toml", r'^version = "(.+)"$'),
    ("charts/modelfleet/Chart.yaml", r"^version: (\S+)$"),
    ("charts/modelfleet/Chart.yaml", r'^appVersion: "?([^"\s]+)"?$'),
    ("charts/modelfleet-crds/Chart.yaml", r"^version: (\S+)$"),
    ("charts/modelfleet-crds/Chart.yaml", r'^appVersion: "?([^"\s]+)"?$'),
)


def differing(tag: str, root: Path = ROOT) -> list[str]:
    """Return a sentence for each place with another version."""
    found = ((place, versions(root / place, pattern)) for place, pattern in PLACES)
    return [f"{place} says {said}, not {tag}" for place, said in found if said != [tag[1:]]]


def versions(file: Path, pattern: str) -> list[str]:
    """Return what a file says of the version."""
    return re.findall(pattern, file.read_text(encoding="utf-8"), re.MULTILINE)


if __name__ == "__main__":
    wrong = differing(sys.argv[1])
    print("\n".join(wrong) or f"everything says {sys.argv[1]}")
    sys.exit(bool(wrong))
