"""Every value does something, every template can be reached, and nothing unknown is let through."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
import yaml

from chart.cases import CASES, combinations
from chart.helm import CHART, CRDS_CHART, Helm, Refused, Values, at, merged, sources

CHARTS = pytest.mark.parametrize("chart", [CHART, CRDS_CHART], ids=lambda one: one.name)
DEFAULTS = yaml.safe_load((CHART / "values.yaml").read_text())
SCHEMA = json.loads((CHART / "values.schema.json").read_text())
OPEN = {"affinity", "global", "resources"}
"""Their parts are Kubernetes' or Helm's, and need no defaults."""


def leaves(values: Values, schema: Values, path: str = "") -> Iterator[str]:
    """Yield the path of each value that a user may set."""
    for key, value in values.items():
        place = f"{path}.{key}" if path else key
        nested = schema["properties"][key]
        if isinstance(value, Mapping) and value and "properties" in nested:
            yield from leaves(value, nested, place)
        else:
            yield place


def closed(schema: Values, path: str = "") -> Iterator[str]:
    """Yield the path of each map of values."""
    yield path
    for key, nested in schema.get("properties", {}).items():
        if "properties" in nested:
            yield from closed(nested, f"{path}.{key}" if path else key)


@CHARTS
def test_it_has_no_mistake_that_helm_knows(helm: Helm, chart: Any) -> None:
    helm.run("lint", "--strict", chart)


def test_each_value_has_a_case() -> None:
    assert sorted(leaves(DEFAULTS, SCHEMA)) == sorted(CASES)


@pytest.mark.parametrize("path", CASES)
def test_each_value_makes_a_difference(helm4: Helm, path: str) -> None:
    case = CASES[path]

    assert helm4.template(merged(case.needs, at(path, case.value))) != helm4.template(case.needs)


@pytest.mark.parametrize("path", list(closed(SCHEMA)))
def test_unknown_keys_are_refused(helm: Helm, path: str) -> None:
    with pytest.raises(Refused, match="unheard"):
        helm.template(at(f"{path}.unheard".lstrip("."), 1))


@pytest.mark.parametrize(
    ("path", "wrong"),
    [
        ("replicas", "two"),
        ("image.digest", "sha256:abc"),
        ("image.repository", ""),
        ("watchNamespaces", ["Team_A"]),
        ("log.level", "LOUD"),
        ("metrics.port", 80),
        ("metrics.serviceMonitor.interval", "soon"),
        ("networkPolicy.metricsFrom", [{}]),
    ],
)
def test_impossible_values_are_refused(helm: Helm, path: str, wrong: Any) -> None:
    with pytest.raises(Refused, match=path.split(".")[-1]):
        helm.template(at(path, wrong))


def test_two_monitors_at_once_are_refused(helm: Helm) -> None:
    both = {"serviceMonitor": {"enabled": True}, "podMonitor": {"enabled": True}}

    with pytest.raises(Refused, match="counts twice"):
        helm.template({"metrics": both})


def test_leases_that_would_overlap_are_refused(helm: Helm) -> None:
    with pytest.raises(Refused, match="renewSeconds"):
        helm.template({"leaderElection": {"leaseSeconds": 10, "renewSeconds": 10}})


def test_the_schema_knows_no_value_without_a_default() -> None:
    for path in closed(SCHEMA):
        here: Any = DEFAULTS
        schema: Any = SCHEMA
        for key in filter(None, path.split(".")):
            here, schema = here.get(key, {}), schema["properties"][key]
        if path.split(".")[0] not in OPEN:
            assert set(schema["properties"]) - OPEN <= set(here), path


def test_every_template_can_be_reached(helm4: Helm) -> None:
    reached = sources(helm4.template())
    for path, case in CASES.items():
        reached |= sources(helm4.template(merged(case.needs, at(path, case.value))))

    files = (CHART / "templates").rglob("*.yaml")
    assert reached == {str(file.relative_to(CHART)) for file in files}


def test_both_versions_of_helm_render_the_same() -> None:
    four, three = Helm.of("4"), Helm.of("3")
    for values in [merged(case.needs, at(path, case.value)) for path, case in CASES.items()]:
        assert _by_name(four.objects(values)) == _by_name(three.objects(values)), values


def _by_name(objects: list[dict[str, Any]]) -> dict[tuple[str, str, str], Any]:
    return {
        (one["kind"], one["metadata"].get("namespace", ""), one["metadata"]["name"]): one
        for one in objects
    }


def test_there_are_as_many_combinations_as_choices() -> None:
    assert len({json.dumps(one, sort_keys=True) for one in combinations()}) == 256
