"""A month's cost as a picture, by matplotlib: `pip install modelfleet[pictures]`."""

from collections.abc import Sequence
from pathlib import Path

from modelfleet.plan.ledger.report import USES, Row
from modelfleet.plan.ledger.units import MILLION

MOST_ROWS = 30
"""More bars cannot be read: the rest is one bar."""


def draw(rows: Sequence[Row], title: str, file: Path) -> None:
    """Write a bar for each row, divided by use, as a PNG; the dearest is on top."""
    from matplotlib.figure import Figure  # noqa: PLC0415

    bars = shown(rows)
    figure = Figure(figsize=(10, 1.5 + 0.35 * len(bars)), layout="constrained")
    axes = figure.subplots()
    names = [name for name, _ in bars]
    left = [0.0] * len(bars)
    for heading in USES:
        parts = [by_use.get(heading, 0.0) for _, by_use in bars]
        if any(parts):
            axes.barh(names, parts, left=left, label=heading)
            left = [one + part for one, part in zip(left, parts, strict=True)]
    axes.invert_yaxis()
    axes.set(title=title, xlabel="dollars")
    axes.spines[["top", "right"]].set_visible(False)
    if any(left):
        figure.legend(loc="outside lower center", ncols=len(USES), fontsize=9)
    figure.savefig(file, format="png", dpi=110)


def shown(rows: Sequence[Row]) -> list[tuple[str, dict[str, float]]]:
    """Return bars in dollars by use. They sum to all rows."""
    first, rest = rows[: MOST_ROWS - 1], rows[MOST_ROWS - 1 :]
    groups = [(row.name, [row]) for row in first]
    if rest:
        groups.append((rest[0].name if len(rest) == 1 else f"{len(rest)} others", list(rest)))
    return [
        (name, {use: sum(one.by_use[use] for one in group) / MILLION for use in USES})
        for name, group in groups
    ]
