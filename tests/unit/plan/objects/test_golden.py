"""What each engine's pods look like, in full. A difference here is seen by every user."""

import pytest
import yaml

from unit.plan.objects.cases import GOLDEN, MODELS, text_of


@pytest.mark.parametrize("case", MODELS)
def test_rendered_as_before(case: str) -> None:
    golden = (GOLDEN / f"{case}.yaml").read_text(encoding="utf-8")

    assert list(yaml.safe_load_all(text_of(case))) == list(yaml.safe_load_all(golden))


def test_no_golden_file_is_left_over() -> None:
    assert {file.stem for file in GOLDEN.iterdir()} == set(MODELS)
