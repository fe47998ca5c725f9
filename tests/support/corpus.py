"""Objects as people write them: `tests/corpus/{valid,invalid}/<kind>/*.yaml`."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from modelfleet.api.schema import Kind
from modelfleet.api.v1alpha1 import KINDS

FOLDER = Path(__file__).parents[1] / "corpus"
_KINDS = {kind.names.singular: kind for kind in KINDS}


@dataclass(frozen=True)
class Example:
    """One file. `field` is what a refusal must name; empty for a valid object."""

    name: str
    kind: type[Kind]
    text: str
    field: str

    @property
    def body(self) -> dict[str, Any]:
        parsed: dict[str, Any] = yaml.safe_load(self.text)
        return parsed

    def text_in(self, namespace: str) -> str:
        """Return the text for a namespace, where it names one at all."""
        return self.text.replace("namespace: default", f"namespace: {namespace}")


def examples(verdict: str) -> list[Example]:
    """Return the valid or the invalid objects, sorted by kind and name."""
    return [_example(path) for path in sorted((FOLDER / verdict).glob("*/*.yaml"))]


def _example(path: Path) -> Example:
    text = path.read_text(encoding="utf-8")
    first = text.partition("\n")[0]
    field = first.removeprefix("# field: ") if first.startswith("# field: ") else ""
    return Example(f"{path.parent.name}/{path.stem}", _KINDS[path.parent.name], text, field)
