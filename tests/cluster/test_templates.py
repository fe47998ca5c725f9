"""The API server takes every child of every engine as we write it, where pods must be restricted.

Everything is sent as a dry run: admission and validation are real, and nothing is stored.
"""

import json
import subprocess
from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest

from unit.plan.objects.cases import MODELS, children_of, template_of

NAMESPACE = "restricted-templates"
OF_THE_CLUSTER = ("serviceAccountName", "priorityClassName", "runtimeClassName")
"""Fields of a pod that name objects which this test does not make."""


class Answer(NamedTuple):
    """What the API server made of an object, and what it said."""

    stored: dict[str, Any]
    complaint: str


def kubectl(*arguments: str, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["kubectl", *arguments],
        input=stdin,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def dry_run(manifest: dict[str, Any], namespace: str) -> Answer:
    metadata = manifest["metadata"] | {"namespace": namespace}
    done = kubectl(
        "apply", "--server-side", "--dry-run=server", "--field-manager=modelfleet",
        "--validate=strict", "-o", "json", "-f", "-",
        stdin=json.dumps({**manifest, "metadata": metadata}),
    )  # fmt: skip
    return Answer(json.loads(done.stdout) if done.stdout else {}, done.stderr)


@pytest.fixture(scope="module")
def restricted() -> Iterator[str]:
    """Make a namespace whose pods must pass the Pod Security level `restricted`."""
    policy = "pod-security.kubernetes.io"
    labels = {f"{policy}/{mode}": "restricted" for mode in ("enforce", "warn")}
    metadata = {"name": NAMESPACE, "labels": labels}
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": metadata}
    made = kubectl("apply", "-f", "-", stdin=json.dumps(namespace))
    assert made.returncode == 0, made.stderr
    account = ("serviceaccount/default", "-n", NAMESPACE)
    assert kubectl("wait", "--for=create", *account, "--timeout=30s").returncode == 0
    yield NAMESPACE
    kubectl("delete", "namespace", NAMESPACE, "--wait=false")


def lost(written: Any, stored: Any, path: str = "") -> list[str]:
    """Return the paths of what was written and is not stored so."""
    if isinstance(written, dict) and isinstance(stored, dict):
        pairs = [(key, value, stored.get(key)) for key, value in written.items()]
    elif isinstance(written, list | tuple) and isinstance(stored, list):
        pairs = [
            (str(place), value, stored[place] if place < len(stored) else None)
            for place, value in enumerate(written)
        ]
    else:
        same = written == stored or (written is False and stored is None)  # False is not stored
        return [] if same else [f"{path}: {written!r} became {stored!r}"]
    return [found for key, own, theirs in pairs for found in lost(own, theirs, f"{path}.{key}")]


@pytest.mark.parametrize("case", MODELS)
def test_every_child_is_taken_without_a_warning_and_unchanged(case: str, restricted: str) -> None:
    for child in children_of(MODELS[case]):
        answer = dry_run(dict(child), restricted)

        assert answer.complaint == "", child["kind"]
        for part in ("spec", "data", "revision", "automountServiceAccountToken"):
            assert lost(child.get(part), answer.stored.get(part), part) == []


@pytest.mark.parametrize("case", MODELS)
def test_the_pod_itself_passes_the_restricted_level(case: str, restricted: str) -> None:
    template = template_of(MODELS[case])
    spec = {key: value for key, value in template["spec"].items() if key not in OF_THE_CLUSTER}
    metadata = {**template["metadata"], "name": "engine"}

    answer = dry_run(
        {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}, restricted
    )

    assert answer.complaint == ""
    assert lost(spec, answer.stored["spec"]) == []


def test_a_careless_pod_is_refused_there(restricted: str) -> None:
    """The namespace does judge: without our security context nothing gets in."""
    spec = {"containers": [{"name": "engine", "image": "example.com/engine:1"}]}
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "careless"}, "spec": spec}

    assert "violates PodSecurity" in dry_run(pod, restricted).complaint
