from typing import Any

import pytest

from modelfleet.engines import validity
from unit.plan.models import engine_with

PVC = {"scheme": "pvc", "model": "{mount}"}


@pytest.mark.parametrize(
    ("change", "why"),
    [
        pytest.param(
            {"args": [{"values": ["--x", "{modle}"]}], "adapters": None},
            "spec.args[0].values[1]: unknown placeholder {modle}; here you can use",
            id="misspelt placeholder",
        ),
        pytest.param(
            {"command": ["run", "{model}"]},
            "spec.command[1]: unknown placeholder {model}; here you can use {cache}, {port}",
            id="placeholder without a meaning there",
        ),
        pytest.param(
            {"sources": [PVC | {"args": ["{"]}]},
            "spec.sources[0].args[0]: a single '{'",
            id="brace",
        ),
        pytest.param(
            {"sources": [PVC | {"args": ["{revision}"]}]},
            "spec.sources[0].args[0]: unknown placeholder {revision}",
            id="a revision where there may be none",
        ),
        pytest.param(
            {"env": [{"name": "X", "value": "{gpu}"}]},
            "spec.env[X].value: unknown placeholder {gpu}",
            id="variable",
        ),
        pytest.param(
            {"adapters": {"argument": "{adapter}", "schemes": ["hf"]}},
            "spec.adapters.argument: unknown placeholder {adapter}",
            id="adapter",
        ),
        pytest.param(
            {"args": [{"values": ["--names={names}"]}], "adapters": None},
            "spec.args[0].values[0]: {names} must stand alone; {nameList} may be embedded",
            id="embedded list",
        ),
        pytest.param(
            {"adapters": None},
            "spec.adapters and the placeholders {adapters} or {adapterList} need each other",
            id="adapters without words",
        ),
        pytest.param(
            {"minimumVersion": "1.0"},
            "spec.minimumVersion: spec.image is older than 1.0",
            id="refuses its own image",
        ),
        pytest.param({}, None, id="as it is"),
    ],
)
def test_why_invalid(change: dict[str, Any], why: str | None) -> None:
    found = validity.why_invalid(engine_with(**change))

    assert (found or "").startswith(why or "")
    assert (found is None) == (why is None)
