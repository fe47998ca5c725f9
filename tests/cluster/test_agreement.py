"""The API server and pydantic judge objects alike that nobody thought of."""

import os
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from modelfleet.api.schema import Kind, Schema
from modelfleet.api.v1alpha1 import KINDS
from modelfleet.api.validation import Problem, problems, problems_in
from support.corpus import examples
from support.running import apply, kubectl
from support.specs import spoiled
from support.verdicts import Judge, names

ALIKE = settings(
    max_examples=int(os.environ.get("AGREEMENT_EXAMPLES", "35")),
    deadline=None,
    phases=[Phase.generate],  # to shrink a failure asks the API server for minutes
    derandomize="AGREEMENT_EXAMPLES" not in os.environ,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
"""Per test, and there are three kinds with a spec and a status each."""

EACH_KIND = pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.names.kind)
NAMES = st.sampled_from(["by-chance"] * 20 + ["7b", "By-Chance", "by.chance", "c" * 51, "d" * 64])


@pytest.fixture(scope="module")
def judge() -> Judge:
    return Judge()


@pytest.fixture(scope="module")
def court() -> Iterator[str]:
    """Give all dry runs one namespace, and one object of each kind to write a status to."""
    name = f"agreement-{os.urandom(3).hex()}"
    kubectl("create", "namespace", name)
    for kind in KINDS:
        apply(_smallest(kind) | {"metadata": {"name": name, "namespace": name}})
    yield name
    for kind in KINDS:
        kubectl("delete", kind.names.plural, name, "-n", name, "--wait=false")
    kubectl("delete", "namespace", name, "--wait=false")


@EACH_KIND
@ALIKE
@given(data=st.data())
def test_both_judge_a_spec_alike(kind: type[Kind], judge: Judge, court: str, data: st.DataObject):
    spec = data.draw(spoiled(_type_of(kind, "spec"), [one["spec"] for one in _valid(kind)]))
    body = _smallest(kind) | {"metadata": {"name": data.draw(NAMES)}, "spec": spec}

    _assert_alike(judge.on_create(kind, body, court), problems(kind, body))


@EACH_KIND
@ALIKE
@given(data=st.data())
def test_both_judge_a_status_alike(kind: type[Kind], judge: Judge, court: str, data: st.DataObject):
    cls = _type_of(kind, "status")
    status = data.draw(spoiled(cls, [{"observedGeneration": 1}]))

    _assert_alike(judge.on_status(kind, court, status, court), _status_problems(cls, status))


def _assert_alike(verdict: Any, found: tuple[Problem, ...]) -> None:
    assert verdict.accepted == (not found), (verdict.message, found)
    if found:
        assert any(
            names(verdict.fields, problem.field)
            or any(names([problem.field], field) for field in verdict.fields)
            for problem in found
        ), (verdict.message, found)


def _status_problems(cls: type[Schema], status: dict[str, Any]) -> tuple[Problem, ...]:
    try:
        cls.model_validate(status, extra="forbid", by_alias=True, by_name=False)
    except ValidationError as refused:
        return tuple(
            Problem(f"status.{one.field}", one.message, one.location)
            for one in problems_in(refused)
        )
    return ()


def _valid(kind: type[Kind]) -> list[dict[str, Any]]:
    return [one.body for one in examples("valid") if one.kind is kind]


def _smallest(kind: type[Kind]) -> dict[str, Any]:
    return min(_valid(kind), key=lambda body: len(str(body["spec"])))


def _type_of(kind: type[Kind], name: str) -> type[Schema]:
    found = kind.model_fields[name].annotation
    assert isinstance(found, type)
    assert issubclass(found, Schema)
    return found
