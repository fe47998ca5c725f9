from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from modelfleet.__main__ import main

Run = Callable[..., Result]


@pytest.fixture
def run() -> Run:
    """Runs a command as a shell does; a traceback fails the test."""

    def invoke(*arguments: str | Path, stdin: str | bytes | None = None) -> Result:
        result = CliRunner().invoke(main, [str(one) for one in arguments], input=stdin)
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result

    return invoke


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working folder, so that messages name files without their folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path
