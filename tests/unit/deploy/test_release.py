"""The workflow of releases, as far as it can be looked at without running it."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[3]
WORKFLOW: dict[Any, Any] = yaml.safe_load((ROOT / ".github/workflows/release.yaml").read_text())
JOBS: dict[str, Any] = WORKFLOW["jobs"]
STEPS = [step for job in JOBS.values() for step in job["steps"]]


def test_every_action_is_pinned_to_a_release_or_a_commit():
    used = [step["uses"] for step in STEPS if "uses" in step]

    assert used
    assert [one for one in used if not re.search(r"@(v\d+\.\d+\.\d+|[0-9a-f]{40})$", one)] == []


def test_every_job_says_what_it_may_do():
    assert WORKFLOW["permissions"] == {}
    assert all(job["permissions"]["contents"] == "read" for job in JOBS.values())


def test_no_script_pastes_what_somebody_else_may_write():
    assert [step["run"] for step in STEPS if "${{" in step.get("run", "")] == []


@pytest.mark.parametrize("key", ["registry", "repository", "digest"])
def test_the_chart_has_each_value_that_a_release_fills_in_once(key: str):
    values = (ROOT / "charts/modelfleet/values.yaml").read_text()

    assert len(re.findall(rf"^  {key}: ", values, re.MULTILINE)) == 1
    assert re.search(rf"\^  {key}: \.\*", JOBS["charts"]["steps"][-1]["run"])


@pytest.mark.parametrize(("tag", "code"), [("v9.9.9", 1), (None, 0)])
def test_a_tag_must_be_the_version_of_everything(tag: str | None, code: int):
    project = (ROOT / "pyproject.toml").read_text()
    (version,) = re.findall(r'^version = "(.+)"$', project, re.MULTILINE)
    script = ROOT / "deploy/release/version.py"

    done = subprocess.run([sys.executable, script, tag or f"v{version}"], check=False)

    assert done.returncode == code
