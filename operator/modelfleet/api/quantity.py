"""Kubernetes quantities as numbers."""

from decimal import Decimal

_FACTORS = {
    "": Decimal(1),
    "m": Decimal("0.001"),
    **{name: Decimal(1000**power) for power, name in enumerate(("k", "M", "G", "T", "P", "E"), 1)},
    **{f"{name}i": Decimal(1024**power) for power, name in enumerate("KMGTPE", 1)},
}


def amount(text: str) -> Decimal:
    """Return "1.5Gi" as 1610612736. Raises ValueError for what is no quantity."""
    number = text.rstrip("mkKMGTPEi")
    factor = _FACTORS.get(text[len(number) :])
    if factor is None or not number or not number.isascii() or number.strip("0123456789."):
        raise ValueError(f"{text!r} is not a quantity")
    return Decimal(number) * factor
