"""Helm as a user runs it, and what it renders."""

import json
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from devcluster import helm

ROOT = Path(__file__).parents[2]
CHART = ROOT / "charts/modelfleet"
CRDS_CHART = ROOT / "charts/modelfleet-crds"
NAMESPACE = "modelfleet-system"
MAJORS = ("4", "3")

Object = dict[str, Any]
Values = Mapping[str, Any]


class Refused(AssertionError):
    """Helm did not do it. The message is what it printed."""


@dataclass(frozen=True)
class Helm:
    """One major version of Helm."""

    major: str
    path: Path

    @classmethod
    def of(cls, major: str) -> "Helm":
        """Return Helm `major`, built if it has to be."""
        return cls(major, helm.program(major, print))

    def run(self, *arguments: str | Path, values: Values | None = None) -> str:
        """Run it and return what it printed. Raises Refused."""
        with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
            # JSON is YAML, and quotes what YAML would take for something else.
            json.dump(values, file)
            file.flush()
            given = ["--values", file.name] if values is not None else []
            command = [str(part) for part in (self.path, *arguments, *given)]
            done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
        if done.returncode:
            raise Refused(f"helm {' '.join(map(str, arguments))}: {done.stdout}{done.stderr}")
        return done.stdout

    def template(self, values: Values | None = None, chart: Path = CHART) -> str:
        """Return what a release named `modelfleet` would consist of, its tests included."""
        return _rendered(self, json.dumps(values or {}), chart)

    def objects(self, values: Values | None = None, chart: Path = CHART) -> list[Object]:
        """Return the same as objects."""
        return parsed(self.template(values, chart))

    def install(self, values: Values | None = None, *flags: str, chart: Path = CHART) -> str:
        """Install a release named like its chart, and wait until it is ready."""
        return self._release("install", chart, values, *flags)

    def upgrade(self, values: Values | None = None, *flags: str, chart: Path = CHART) -> str:
        """Upgrade that release, and wait until it is ready."""
        return self._release("upgrade", chart, values, *flags)

    def _release(self, verb: str, chart: Path, values: Values | None, *flags: str) -> str:
        name = yaml.safe_load((chart / "Chart.yaml").read_text())["name"]
        return self.run(
            verb, name, chart, "--namespace", NAMESPACE, "--wait", "--timeout", "120s", *flags,
            values=values or {},
        )  # fmt: skip

    def uninstall(self, name: str = "modelfleet", *flags: str) -> str:
        """Uninstall a release."""
        return self.run(
            "uninstall", name, "--namespace", NAMESPACE, "--wait", "--timeout", "120s", *flags
        )

    def releases(self) -> list[str]:
        """Return the names of all releases, failed ones included."""
        return self.run("list", "--all-namespaces", "--short").split()


@cache
def _rendered(helm: Helm, values: str, chart: Path) -> str:
    """Render once what several tests look at."""
    return helm.run(
        "template", "modelfleet", chart, "--namespace", NAMESPACE, values=json.loads(values)
    )


def parsed(text: str) -> list[Object]:
    """Return the objects of a YAML stream."""
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    return [one for one in yaml.load_all(text, Loader=loader) if one]


def sources(text: str) -> set[str]:
    """Return the templates that have rendered something, as paths in the chart."""
    lines = (line for line in text.splitlines() if line.startswith("# Source: "))
    return {line.removeprefix("# Source: ").partition("/")[2] for line in lines}


def merged(base: Values, changes: Values) -> dict[str, Any]:
    """Return values as Helm merges them: maps by key, all else replaced."""
    both = {
        key: merged(base[key], value)
        for key, value in changes.items()
        if isinstance(value, Mapping) and isinstance(base.get(key), Mapping)
    }
    return {**base, **changes, **both}


def at(path: str, value: Any) -> dict[str, Any]:
    """Return values with only `a.b.c` set."""
    for key in reversed(path.split(".")):
        value = {key: value}
    made: dict[str, Any] = value
    return made
