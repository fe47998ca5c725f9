"""Kubernetes quantities as numbers."""

import re
from decimal import Decimal

_FORM = re.compile(r"([0-9]+(?:\.[0-9]*)?)([a-zA-Z]*)")
_FACTORS = {
    "": Decimal(1),
    "m": Decimal("0.001"),
    **{name: Decimal(1000**power) for power, name in enumerate(("k", "M", "G", "T", "P", "E"), 1)},
    **{f"{name}i": Decimal(1024**power) for power, name in enumerate("KMGTPE", 1)},
}


def amount(text: str) -> Decimal:
    """Return "1.5Gi" as 1610612736. Raises ValueError for what is no quantity."""
    found = _FORM.fullmatch(text)
    if found is None or found[2] not in _FACTORS:
        raise ValueError(f"{text!r} is not a quantity")
    return Decimal(found[1]) * _FACTORS[found[2]]
