import os

import pytest

from devcluster.demo import show

KUBECTL = """\
#!/bin/sh
echo 'model.modelfleet.dev/new created'
echo 'Warning: something is deprecated' >&2
echo 'Error from server (AlreadyExists): error when creating "a.yaml": it already exists' >&2
{more}
exit 1
"""


@pytest.fixture
def kubectl(tmp_path, monkeypatch):
    """A kubectl for which one object is new and one is there."""

    def put(more=""):
        program = tmp_path / "kubectl"
        program.write_text(KUBECTL.format(more=more))
        program.chmod(0o755)
        monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")

    return put


def test_what_is_there_is_left_alone_and_counted(kubectl):
    kubectl()

    assert show.create("-f", "examples") == (1, 1)


def test_any_other_refusal_ends_the_demo(kubectl):
    kubectl(more="echo 'Error from server (Forbidden): no' >&2")

    with pytest.raises(show.Failed, match=r"\(Forbidden\): no"):
        show.create("-f", "examples")


def test_an_age_alone_is_no_change():
    table = "NAME   STATUS     AGE\nchat   Creating   {}\n"

    assert show.ageless(table.format("9s")) == show.ageless(table.format("10s"))
    assert show.ageless(table.format("9s")) != show.ageless(table.replace("Creating", "Ready"))
