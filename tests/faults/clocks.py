"""A wall clock that a test sets, for the processes that it starts."""

from dataclasses import dataclass
from pathlib import Path

STEPPED = Path(__file__).parent / "stepped"
"""What it takes in such a process."""


@dataclass(frozen=True)
class Clock:
    """The time of day of the processes with this environment."""

    file: Path

    @property
    def environment(self) -> dict[str, str]:
        """What makes a process read the time of day from here."""
        return {"PYTHONPATH": str(STEPPED), "STEPPED_CLOCK": str(self.file)}

    def step(self, seconds: float) -> None:
        """Set it so many seconds off the machine's."""
        partial = self.file.with_suffix(".new")
        partial.write_text(str(seconds))
        partial.replace(self.file)
