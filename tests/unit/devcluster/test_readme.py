"""The table of values in a chart's README."""

from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from devcluster import readme

VALUES = """\
# -- Copies.
replicas: 2

image:
  # -- Name of the image,
  # in the registry.
  repository: a/b
# -- What it needs.
resources:
  requests: {cpu: 1}
# Not for users.
# -- Taints.
tolerations: []
"""


README = """\
# By hand

## Values

| Value | Default | |
|---|---|---|
| `replicas` | `2` | Copies. |
| `image.repository` | `"a/b"` | Name of the image, in the registry. |
| `resources` | `{"requests": {"cpu": 1}}` | What it needs. |
| `tolerations` | `[]` | Taints. |
"""


@pytest.fixture
def chart(tmp_path: Path) -> Path:
    (tmp_path / "values.yaml").write_text(VALUES)
    (tmp_path / "README.md").write_text("# By hand\n\n## Values\nold")
    return tmp_path


def run(*arguments: str | Path) -> tuple[int, str]:
    result = CliRunner().invoke(readme.main, [str(one) for one in arguments])
    return result.exit_code, result.output


def test_it_has_each_value_with_its_default_and_its_comment(chart: Path) -> None:
    assert run(chart) == (0, "")

    assert (chart / "README.md").read_text() == README


def test_one_that_is_not_current_is_noticed_and_left_alone(chart: Path) -> None:
    assert run("--check", chart) == (
        1,
        f"Error: {chart}/README.md is not current: run `make generate`\n",
    )
    assert run(chart)[0] == run("--check", chart)[0] == 0

    (chart / "values.yaml").write_text(VALUES.replace("2", "3"))
    assert run("--check", chart)[0] == 1


def test_a_value_without_a_comment_is_refused() -> None:
    with pytest.raises(click.ClickException, match=r"image\.tag"):
        readme.table(f"{VALUES}\nimage:\n  tag: latest\n")


def test_a_readme_without_its_heading_is_refused(chart: Path) -> None:
    (chart / "README.md").write_text("# By hand\n")

    assert run(chart)[0] == 1
