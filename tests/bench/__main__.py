"""`python -m tests.bench`: a fresh devcluster for each measurement, a table, and JSON."""

import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
import orjson

from tests.bench import report

GPUS = 8
"""On each simulated node."""


@click.command()
@click.option("--models", "counts", type=int, multiple=True, default=(100, 1000), show_default=True)
@click.option("--nodes", type=int, default=500, show_default=True, help="Simulated GPU nodes.")
@click.option("--json", "file", type=click.Path(path_type=Path), help="Write the figures there.")
@click.option("--repeat", default=1, show_default=True, help="Times that all is measured.")
def main(counts: Sequence[int], nodes: int, file: Path | None, repeat: int) -> None:
    """Measure what the operator adds to a script that applies the same children."""
    runs = []
    for count in counts:
        for _ in range(repeat):
            figures = {what: measure(what, count, nodes) for what in ("script", "operator")}
            runs.append({"models": count, "nodes": nodes, **figures})
            click.echo(report.table(runs[-1]))
    if file:
        file.write_bytes(orjson.dumps(runs, option=orjson.OPT_INDENT_2))


def measure(what: str, count: int, nodes: int) -> dict[str, Any]:
    """Run one measurement in a cluster of its own. Ends the program where that fails."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "figures.json"
        pool = f"h100={nodes}x{GPUS}:NVIDIA-H100-80GB-HBM3"
        command = [
            sys.executable, "-m", "devcluster", "run", "bench", "--pool", pool,
            "--cpu-nodes", "1", "--pull-seconds", "0", "--load-seconds", "0", "--timeout", "300",
            "--", sys.executable, "-m", "tests.bench.measure", what, str(count), str(file),
        ]  # fmt: skip
        click.echo(f"{what}, {count} models on {nodes} nodes …", err=True)
        if code := subprocess.run(command, check=False).returncode:
            raise SystemExit(code)
        figures: dict[str, Any] = orjson.loads(file.read_bytes())
        return figures


if __name__ == "__main__":
    main()
