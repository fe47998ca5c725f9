"""The stages that kwok plays, with the delays of one cluster filled in."""

from pathlib import Path

from devcluster import network
from devcluster.options import ClusterOptions

FOLDER = Path(__file__).parent / "stages"


def document_for(options: ClusterOptions) -> str:
    """Return all stages as one YAML stream."""
    text = "---\n".join(path.read_text() for path in sorted(FOLDER.glob("*.yaml")))
    values = {
        "PULL_SECONDS": f"{options.pull_seconds:g}",
        "LOAD_SECONDS": f"{options.load_seconds:g}",
        "API_ADDRESS": network.API_ADDRESS,
    }
    for name, value in values.items():
        text = text.replace(f'"{name}"', f'"{value}"')
    return text
