import os
from pathlib import Path

import pytest
from click.testing import CliRunner

from devcluster import cache, lifecycle, preflight
from devcluster.cli import main


@pytest.fixture
def bare(tmp_path, monkeypatch):
    """A machine with no program on its PATH, and a cache in a folder that cannot be one."""
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))


@pytest.mark.usefixtures("bare")
def test_all_that_is_missing_is_told_at_once_with_a_remedy_each():
    with pytest.raises(preflight.NotPossible) as missing:
        lifecycle.check("dev")

    lines = str(missing.value).splitlines()
    assert [line for line in lines if "set XDG_CACHE_HOME to a folder that can" in line]
    assert "`ip` is not here: apt-get install iproute2" in lines
    assert "`unshare` and `nsenter` are not here: apt-get install util-linux" in lines
    assert [line for line in lines if line.startswith("Go is not here: install Go 1.")]
    assert len(lines) == len(set(lines))


@pytest.mark.usefixtures("bare")
@pytest.mark.parametrize("command", ["check", "up", "build", "status", "down"])
def test_a_cache_that_cannot_be_written_is_no_traceback(command):
    result = CliRunner().invoke(main, [command])

    assert result.exit_code == 1
    assert isinstance(result.exception, SystemExit)
    assert "set XDG_CACHE_HOME to a folder that can" in result.output


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_of_others_is_told(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    cache.directory().chmod(0o500)

    with pytest.raises(cache.Unusable, match="no permission"):
        cache.directory()


def test_the_cache_is_made_where_it_is_wanted(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "new"))

    assert cache.directory() == Path(tmp_path, "new", "modelfleet")
    assert cache.directory().is_dir()
