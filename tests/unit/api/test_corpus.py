"""The verdict of pydantic on what people write. `cluster/test_crds.py` asks the API server."""

import pytest

from modelfleet.api.validation import problems
from support.corpus import Example, examples

VALID, INVALID = examples("valid"), examples("invalid")


def test_the_corpus_is_large_and_says_what_it_expects():
    assert len(VALID) >= 25
    assert len(INVALID) >= 60
    assert [one.name for one in INVALID if not one.field] == []
    assert [one.name for one in VALID if one.field] == []


@pytest.mark.parametrize("example", VALID, ids=lambda one: one.name)
def test_a_valid_object_has_no_problem(example: Example):
    assert problems(example.kind, example.body) == ()


@pytest.mark.parametrize("example", INVALID, ids=lambda one: one.name)
def test_an_invalid_object_is_refused_for_the_field_that_is_wrong(example: Example):
    named = [problem.field for problem in problems(example.kind, example.body)]

    assert example.field in [_as_the_api_server(field) for field in named]


def _as_the_api_server(field: str) -> str:
    """It calls a bad label of metadata by the map, not by the key."""
    return ".".join(field.split(".")[:2]) if field.startswith("metadata.") else field
