"""What `modelfleet plan` prints is what kubectl applies, word for word."""

import json
import subprocess
import sys

import yaml

from support.manifests import model
from support.running import kubectl

DRY_RUN = (
    "apply",
    "--server-side",
    "--dry-run=server",
    "--validate=strict",
    "-o",
    "json",
    "-f",
    "-",
)


def plan(*arguments: str, stdin: str = "") -> str:
    command = [sys.executable, "-m", "modelfleet", "plan", *arguments]
    done = subprocess.run(command, input=stdin, capture_output=True, text=True, check=True)
    return done.stdout


def test_every_example_is_accepted() -> None:
    printed = plan("-f", "examples")

    accepted = json.loads(kubectl(*DRY_RUN, stdin=printed))["items"]

    assert len(accepted) == len(list(yaml.safe_load_all(printed)))


def test_text_that_looks_like_something_else_arrives_as_text(namespace: str) -> None:
    words = ["y", "n", "1e3", "2e34567234", "0o17", "017", "1_0", "yes", "~", "", "0x1F", "1:30"]
    words += [".inf", "2026-11-24", "größe 😀 \u2028", "# no comment", "null", "=", "<<", "+1"]
    notes = {f"note-{at}": word for at, word in enumerate(words)}

    printed = plan(
        "-f", "-", stdin=json.dumps(model(namespace, podTemplate={"annotations": notes}))
    )

    accepted = json.loads(kubectl(*DRY_RUN, stdin=printed))["items"]
    (deployment,) = [one for one in accepted if one["kind"] == "Deployment"]
    assert deployment["spec"]["template"]["metadata"]["annotations"] == notes
