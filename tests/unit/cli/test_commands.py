"""The commands as a shell sees them, and the CRDs."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from click.testing import Result

from modelfleet import __version__

Run = Callable[..., Result]

CRDS = Path(__file__).parents[3] / "crds"


@pytest.mark.parametrize("help_option", ["-h", "--help"])
def test_help_lists_every_command_with_its_purpose(run: Run, help_option: str) -> None:
    result = run(help_option)

    assert result.exit_code == 0
    listed = dict(line.split(maxsplit=1) for line in result.stdout.splitlines()[-5:])
    assert listed["crds"].startswith("Print the CRDs")
    assert listed["gateway"].startswith("Hold requests")
    assert listed["operator"].startswith("Run the operator")
    assert listed["plan"].startswith("Print what would be applied")
    assert listed["simulate"].startswith("Replay a trace")


@pytest.mark.parametrize("command", ["plan", "crds", "gateway", "operator", "simulate"])
def test_every_command_explains_itself(run: Run, command: str) -> None:
    result = run(command, "--help")

    assert result.exit_code == 0
    assert "Usage: " in result.stdout


def test_an_unknown_command_is_a_wrong_use(run: Run) -> None:
    result = run("plna")

    assert result.exit_code == 2
    assert "No such command" in result.stderr


def test_it_runs_as_a_module() -> None:
    result = subprocess.run(
        [sys.executable, "-m", "modelfleet", "--version"],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )

    assert result.stdout == f"modelfleet, version {__version__}\n"


def test_the_crds_are_printed_as_documents_of_one_file(run: Run) -> None:
    result = run("crds")

    printed = list(yaml.safe_load_all(result.stdout))
    assert {one["kind"] for one in printed} == {"CustomResourceDefinition"}
    assert {one["metadata"]["name"] for one in printed} >= {
        "models.modelfleet.dev",
        "engines.modelfleet.dev",
        "gpunodepools.modelfleet.dev",
    }


def test_written_crds_are_current_and_an_edited_one_is_not(run: Run, folder: Path) -> None:
    assert run("crds", "--write", "new/deep").exit_code == 0
    assert run("crds", "--check", "new/deep").exit_code == 0

    (folder / "new" / "deep" / "modelfleet.dev_models.yaml").write_text("edited")
    (folder / "new" / "deep" / "modelfleet.dev_engines.yaml").unlink()
    result = run("crds", "--check", "new/deep")

    assert result.exit_code == 1
    assert "modelfleet.dev_models.yaml" in result.stderr
    assert "modelfleet.dev_engines.yaml" in result.stderr
    assert "modelfleet crds --write new/deep" in result.stderr


def test_crds_are_written_and_checked_in_several_folders_at_once(run: Run, folder: Path) -> None:
    assert run("crds", "--write", "a", "--write", "b").exit_code == 0
    assert run("crds", "--check", "a", "--check", "b").exit_code == 0

    (folder / "b" / "modelfleet.dev_models.yaml").write_text("edited")
    result = run("crds", "--check", "a", "--check", "b")

    assert result.exit_code == 1
    assert "modelfleet crds --write b" in result.stderr


def test_a_crd_of_a_kind_that_is_gone_is_noticed(run: Run, folder: Path) -> None:
    run("crds", "--write", "a")
    (folder / "a" / "modelfleet.dev_relics.yaml").write_text("")

    result = run("crds", "--check", "a")

    assert result.exit_code == 1
    assert "modelfleet.dev_relics.yaml" in result.stderr


def test_a_folder_that_is_not_there_is_not_current(run: Run, folder: Path) -> None:
    assert run("crds", "--check", "nowhere").exit_code == 1
    assert not (folder / "nowhere").exists()


def test_what_cannot_be_written_is_told(run: Run, folder: Path) -> None:
    (folder / "file").write_text("")

    assert run("crds", "--write", "file").exit_code == 2
    result = run("crds", "--write", "file/below")
    assert result.exit_code == 1
    assert result.stderr.startswith("Error: file/below: ")


def test_writing_and_checking_at_once_is_a_wrong_use(run: Run, folder: Path) -> None:
    assert run("crds", "--check", "a", "--write", "b").exit_code == 2
    assert not list(folder.iterdir())
