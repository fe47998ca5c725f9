"""What we give people to copy is what the API server accepts."""

from pathlib import Path

import pytest
import yaml

from modelfleet.api.v1alpha1 import KINDS
from modelfleet.api.validation import problems

ROOT = Path(__file__).parents[3]
BY_NAME = {kind.names.kind: kind for kind in KINDS}
FILES = [
    *sorted((ROOT / "examples").rglob("*.yaml")),
    *sorted((ROOT / "operator/modelfleet/engines").glob("*.yaml")),
]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_an_example_has_no_problem(path: Path):
    documents = [one for one in yaml.safe_load_all(path.read_text(encoding="utf-8")) if one]
    ours = [one for one in documents if one.get("kind") in BY_NAME]

    assert [problems(BY_NAME[one["kind"]], one) for one in ours] == [()] * len(ours)
