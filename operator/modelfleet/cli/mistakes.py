"""What is wrong with what somebody wrote: one line each, wherever it was found."""

import unicodedata
from dataclasses import dataclass

MOST_CHARACTERS = 2000
"""Of one line; a mistake may quote what was written."""


@dataclass(frozen=True, slots=True)
class Mistake:
    """`where` is `file:line`, or the file alone where no line is known."""

    where: str
    what: str

    def __str__(self) -> str:
        return one_line(f"{self.where}: {self.what}")


def one_line(text: str) -> str:
    """Return `text` without anything that a terminal would obey, and not endlessly long."""
    written = (" " if unicodedata.category(one)[0] in "CZ" else one for one in text)
    line = " ".join("".join(written).split())
    return line if len(line) <= MOST_CHARACTERS else f"{line[: MOST_CHARACTERS - 1]}…"
