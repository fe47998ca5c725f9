"""The bill of materials, of the Python that runs the tests."""

import json
import re
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[3] / "deploy/image/sbom.py"


@pytest.fixture(scope="module")
def printed() -> str:
    return subprocess.run(
        [sys.executable, SCRIPT], capture_output=True, text=True, check=True
    ).stdout


def test_it_names_what_is_installed(printed: str):
    bill = json.loads(printed)
    purls = {one["purl"] for one in bill["components"]}

    assert (bill["bomFormat"], bill["specVersion"]) == ("CycloneDX", "1.6")
    assert bill["metadata"]["component"]["name"] == "modelfleet"
    for name in ("kopf", "pydantic", "prometheus-client"):
        assert f"pkg:pypi/{name}@{version(name)}" in purls
    assert any(purl.startswith("pkg:generic/cpython@3.") for purl in purls)


def test_each_component_is_there_once_under_a_well_formed_name(printed: str):
    references = [one["bom-ref"] for one in json.loads(printed)["components"]]

    assert len(references) == len(set(references))
    assert all(re.fullmatch(r"pkg:[a-z]+/[^@\s:]+@[^@\s:+]+", one) for one in references)


def test_equal_images_have_equal_bills(printed: str):
    again = subprocess.run([sys.executable, SCRIPT], capture_output=True, text=True, check=True)

    assert again.stdout == printed
