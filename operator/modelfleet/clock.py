"""Where time comes from, so that nothing else asks for it."""

import time
from datetime import UTC, datetime


def utc_now() -> datetime:
    """Return the wall clock's time: for what users read, never for measuring."""
    return datetime.now(UTC)


def monotonic() -> float:
    """Return seconds on a clock that never jumps: for measuring and for deadlines."""
    return time.monotonic()
