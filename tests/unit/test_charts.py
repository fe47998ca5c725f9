"""What is right about the charts without Helm: what has to be the same in several places is."""

from pathlib import Path

import pytest
import yaml

CHARTS = Path(__file__).parents[2] / "charts"


@pytest.mark.parametrize("name", ["templates/crds.yaml", "templates/crds-policy.yaml"])
def test_both_charts_install_the_crds_alike(name: str) -> None:
    both = [(CHARTS / chart / name).read_text() for chart in ("modelfleet", "modelfleet-crds")]

    assert both[0] == both[1]


def test_both_charts_have_the_version_of_the_operator() -> None:
    project = (CHARTS.parent / "pyproject.toml").read_text()

    for chart in ("modelfleet", "modelfleet-crds"):
        about = yaml.safe_load((CHARTS / chart / "Chart.yaml").read_text())
        assert f'version = "{about["appVersion"]}"' in project
        assert about["version"] == about["appVersion"]


def test_the_chart_tells_artifact_hub_of_every_kind() -> None:
    about = yaml.safe_load((CHARTS / "modelfleet/Chart.yaml").read_text())
    told = {one["name"] for one in yaml.safe_load(about["annotations"]["artifacthub.io/crds"])}

    files = (CHARTS / "modelfleet/files/crds").glob("*.yaml")
    assert told == {yaml.safe_load(file.read_text())["metadata"]["name"] for file in files}, (
        "name each kind in the annotation artifacthub.io/crds of charts/modelfleet/Chart.yaml"
    )
