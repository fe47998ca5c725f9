"""Other programs' words, made fit for a status: one line, bounded, steady, without secrets."""

import re
import unicodedata

from modelfleet.plan.verdict import within

MOST_QUOTED = 400
"""Bytes of somebody else's words in one message; the rest of its 1 KiB is ours."""

MOST_READ = 65536
"""Characters that are looked at: a kubelet sends no more than 4 KiB, anybody else's is cut."""

_SECRET = re.compile(r"\bhf_[A-Za-z0-9]{8,}|(?<=Bearer )\S+|(?<=://)[^/\s:@]+:[^/\s@]+(?=@)")
_FLEETING = (
    (re.compile(r"\b\d{1,3}(?:\.\d{1,3}){3}:\d+->"), ""),  # the client's port of one connection
    (re.compile(r"\(\w[\w-]*(?: \w+)? pid=\d+[^)]*\) ?"), ""),
    (re.compile(r"\[?\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:[.,]\d+)?(?:Z|[+-]\d\d:?\d\d)?\]? ?"), ""),
    (re.compile(r"\b\d\d-\d\d \d\d:\d\d:\d\d(?:\.\d+)? "), ""),
    (re.compile(r"(?i)\bx?-?request[-_ ]?id:? ?[\w-]{8,}"), "request"),
)
_MARKS_AN_ERROR = re.compile(r"(?i)\b\w*(?:error|exception|fatal|failed|panic|killed)\b")


def quoted(text: str, most: int = MOST_QUOTED) -> str:
    """Return `text` as one line of at most `most` bytes.

    Control and formatting characters go, since a terminal obeys them. So do secrets and what
    differs between two tries of the same thing, since a status must not change with each try.
    """
    text = _SECRET.sub("***", text[:MOST_READ])
    for pattern, instead in _FLEETING:
        text = pattern.sub(instead, text)
    plain = (" " if unicodedata.category(one)[0] in "CZ" else one for one in text)
    return within(" ".join("".join(plain).split()), most).rstrip(".")


def telling_line(log: str) -> str:
    """Return the line of a log's end that says most: the last that speaks of an error."""
    lines = [line.strip() for line in log[-MOST_READ:].splitlines() if line.strip()]
    errors = [line for line in lines if _MARKS_AN_ERROR.search(line)]
    return quoted((errors or lines or [""])[-1])
