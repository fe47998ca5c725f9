"""The kinds of the Prometheus operator, from its Go module.

A cluster's network leads nowhere, so `python -m chart.monitoring` fetches the module beforehand.
"""

import json
import os
import subprocess
from pathlib import Path

MODULE = "github.com/prometheus-operator/prometheus-operator@v0.85.0"
KINDS = ("servicemonitors", "podmonitors", "prometheusrules")


def crds() -> list[Path]:
    """Return the files of the CRDs, fetched if they are not here."""
    done = subprocess.run(
        ["go", "mod", "download", "-json", MODULE],
        cwd="/",
        env={**os.environ, "GOFLAGS": "", "GOTOOLCHAIN": "local"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    folder = Path(json.loads(done.stdout)["Dir"]) / "example/prometheus-operator-crd"
    return [folder / f"monitoring.coreos.com_{one}.yaml" for one in KINDS]


if __name__ == "__main__":
    crds()
