import os

from devcluster import health, lifecycle, processes
from devcluster.layout import Layout


def test_what_else_runs_in_a_cluster_is_listed_after_its_parts(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    at = Layout.of("demo")
    processes.save(at, "operator", processes.record_of(os.getpid()))

    rows = lifecycle.status("demo")

    assert [row[0] for row in rows] == [*health.NAMES, "operator"]
    assert (rows[-1][1], rows[-1][-1]) == (str(os.getpid()), "running")
    assert {row[-1] for row in rows[:-1]} == {"not running"}
