import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelfleet.engines import template


@pytest.mark.parametrize(
    ("text", "filled"),
    [
        pytest.param("{model}", "a/b", id="alone"),
        pytest.param("--port={port}", "--port=80", id="embedded"),
        pytest.param('{{"n": {port}}}', '{"n": 80}', id="doubled braces are braces"),
        pytest.param("{other}", "{other}", id="unknown ones stay"),
        pytest.param("{model.uri}", "{model.uri}", id="no attributes"),
        pytest.param("{0}{model!r}", "{0}{model!r}", id="no formats"),
    ],
)
def test_fill(text: str, filled: str) -> None:
    assert template.fill(text, {"model": "a/b", "port": "80"}) == filled


@given(st.text())
def test_what_is_filled_in_is_not_read_again(value: str) -> None:
    assert template.fill("<{model}>", {"model": value}) == f"<{value}>"


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("plain", None),
        ("{model}", None),
        ("{{}}", None),
        ("{Model}", "unknown placeholder {Model}; here you can use {model}"),
        ("{", "a single '{'; write it twice to mean the brace itself"),
        ("a}b", "a single '}'; write it twice to mean the brace itself"),
        ("{}", "a single '{'; write it twice to mean the brace itself"),
        ("{model!r}", "a single '{'; write it twice to mean the brace itself"),
    ],
)
def test_why_invalid(text: str, why: str | None) -> None:
    assert template.why_invalid(text, {"model"}) == why
