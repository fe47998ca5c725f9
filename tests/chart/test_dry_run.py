"""The API server takes everything that the charts can render, and warns of nothing."""

import json
import subprocess
from collections.abc import Iterable, Iterator
from typing import Any

import pytest

from chart.cases import CASES, combinations
from chart.helm import CRDS_CHART, NAMESPACE, Helm, at, merged, parsed
from support.running import kubectl

pytestmark = pytest.mark.usefixtures("monitoring", "empty_cluster")


def each_rendering(helm: Helm) -> Iterator[str]:
    """Yield all combinations of the main values, each case by itself, and the small chart."""
    for values in combinations():
        yield helm.template(values)
    for path, case in CASES.items():
        yield helm.template(merged(case.needs, at(path, case.value)))
    yield helm.template(at("watchNamespaces", ["default"]))
    yield helm.template(chart=CRDS_CHART)


def test_every_rendering_passes_the_dry_run(helm4: Helm) -> None:
    documents = {one for text in each_rendering(helm4) for one in text.split("\n---\n")}
    unique = parsed("\n---\n".join(sorted(documents)))

    assert len(unique) > 100
    for batch in _without_namesakes(unique):
        assert dry_run(batch) == []


def _without_namesakes(objects: Iterable[dict[str, Any]]) -> list[list[dict[str, Any]]]:
    """Return batches: of two objects with one name, kubectl would show the second as a change."""
    batches: list[dict[tuple[str, str, str], dict[str, Any]]] = []
    for one in objects:
        meta = one["metadata"]
        name = (one["kind"], meta.get("namespace", ""), meta["name"])
        free = next((batch for batch in batches if name not in batch), None)
        if free is None:
            batches.append(free := {})
        free[name] = one
    return [list(batch.values()) for batch in batches]


def dry_run(objects: list[dict[str, Any]]) -> list[str]:
    """Have the API server look at objects; return what it complains about."""
    done = subprocess.run(
        ["kubectl", "apply", "--server-side", "--dry-run=server", "--validate=strict", "-f", "-"],
        input=json.dumps({"apiVersion": "v1", "kind": "List", "items": objects}),
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    complaints = [line for line in done.stderr.splitlines() if line.strip()]
    assert complaints or len(done.stdout.splitlines()) == len(objects)
    return complaints


@pytest.mark.parametrize("kind", ["Deployment", "Job"])
def test_its_pods_are_restricted(helm4: Helm, kind: str) -> None:
    (owner,) = [one for one in helm4.objects() if one["kind"] == kind]
    spec = owner["spec"]["template"]["spec"] | {"serviceAccountName": "default"}
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "probe", "namespace": NAMESPACE}}

    assert dry_run([pod | {"spec": spec}]) == []


def test_a_namespace_of_the_policy_refuses_less_restricted_pods() -> None:
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "probe", "namespace": NAMESPACE}}
    spec = {"containers": [{"name": "a", "image": "a"}]}

    assert "violates PodSecurity" in dry_run([pod | {"spec": spec}])[0]


def test_kubectl_needs_no_chart() -> None:
    kubectl("apply", "--server-side", "--dry-run=server", "--validate=strict", "-f", "crds")
