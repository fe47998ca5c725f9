"""Pages of metrics that cannot be believed, as engines, proxies and upgrades produce them."""

import re
from enum import StrEnum

HANGS_FOR = 60.0
"""Seconds: longer than anybody should wait."""

HUGE = 6 * 1024 * 1024
"""Bytes: more than anybody should read."""

_SAMPLE = re.compile(r"^([A-Za-z_:][^ {]*(?:\{[^}]*\})?) (\S+)$", re.MULTILINE)
_NAME = re.compile(r"^([a-z]+)([:_])", re.MULTILINE)


class Lie(StrEnum):
    """The annotation `sim.modelfleet.dev/metrics`, which may change while the engine runs."""

    MISSING = "missing"
    """404, as after an upgrade that moves the page."""
    EMPTY = "empty"
    RENAMED = "renamed"
    """Other names than those that are known."""
    NAN = "nan"
    NEGATIVE = "negative"
    ERROR = "error"
    """A page of another kind with the status 200."""
    CUT = "cut"
    """The connection breaks within a number."""
    HUGE = "huge"
    HANGS = "hangs"


def told(page: str, lie: Lie | None) -> str:
    """Return what a lying engine shows instead of its page; what no text shows is the server's."""
    match lie:
        case Lie.EMPTY:
            return ""
        case Lie.RENAMED:
            return _NAME.sub(r"\1next\2", page)
        case Lie.NAN:
            return _SAMPLE.sub(r"\1 NaN", page)
        case Lie.NEGATIVE:
            return _SAMPLE.sub(r"\1 -1", page)
        case Lie.ERROR:
            return '{"error": {"message": "upstream connect error", "code": 503}}\n'
        case Lie.CUT:
            return page[: page.rindex(" ") + 2]
        case Lie.HUGE:
            return page + "# filler\n" * (HUGE // 9)
    return page
