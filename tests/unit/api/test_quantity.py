from decimal import Decimal

import pytest

from modelfleet.api.quantity import amount


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("0", "0"),
        ("12", "12"),
        ("250m", "0.25"),
        ("1.5Gi", "1610612736"),
        ("32Gi", "34359738368"),
        ("1k", "1000"),
        ("1Ki", "1024"),
        ("2M", "2000000"),
        ("64Ti", "70368744177664"),
        ("1P", "1000000000000000"),
        ("1Ei", "1152921504606846976"),
    ],
)
def test_a_quantity_is_exact(text: str, number: str):
    assert amount(text) == Decimal(number)


@pytest.mark.parametrize(
    "text", ["", "Gi", "1gi", "1 Gi", "1GB", "-1", "1e3", "1.2.3", "1im", "\u0663"]
)
def test_what_is_no_quantity_is_refused(text: str):
    with pytest.raises(ValueError, match="not a quantity"):
        amount(text)
