"""Where the files of one cluster are."""

from dataclasses import dataclass
from pathlib import Path

from devcluster import cache
from devcluster.options import ClusterOptions, checked_name


@dataclass(frozen=True, slots=True)
class Layout:
    """The folder of a cluster, and the files in it that more than one module uses."""

    name: str
    folder: Path

    @classmethod
    def of(cls, name: str) -> "Layout":
        """Return the layout of the cluster `name`. Raises `BadOption` for an impossible name."""
        return cls(name, cache.directory() / "clusters" / checked_name(name))

    @property
    def options_file(self) -> Path:
        """What the cluster is started with."""
        return self.folder / "options.json"

    @property
    def kubeconfig(self) -> Path:
        """The administrator's: for users, and for the parts that speak for all nodes."""
        return self.folder / "kubeconfig"

    @property
    def bin(self) -> Path:
        """Programs, by the names they are called by."""
        return self.folder / "bin"

    @property
    def pki(self) -> Path:
        """Keys and certificates, with the names that kubeadm gives them."""
        return self.folder / "pki"

    @property
    def logs(self) -> Path:
        """One log file for each part."""
        return self.folder / "logs"

    @property
    def records(self) -> Path:
        """Which process plays which part."""
        return self.folder / "run"

    @property
    def stages_file(self) -> Path:
        """The stages that kwok plays, with this cluster's delays."""
        return self.folder / "stages.yaml"

    @property
    def pools_file(self) -> Path:
        """The pools whose nodes exist already."""
        return self.folder / "pools.json"

    def options(self) -> ClusterOptions:
        """Return the options of the last start, or those to begin with."""
        if not self.options_file.exists():
            return ClusterOptions()
        return ClusterOptions.from_json(self.options_file.read_text())


def write(path: Path, text: str) -> None:
    """Replace a file in one step, so that no reader sees half of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.new")
    partial.write_text(text)
    partial.replace(path)


def names() -> list[str]:
    """Return the clusters that have a folder."""
    folder = cache.directory() / "clusters"
    return sorted(path.name for path in folder.glob("[!.]*")) if folder.exists() else []
