"""Reads traces line by line. Total: a line that makes no sense is told and left out.

Azure's: CSV with a header, TIMESTAMP,ContextTokens,GeneratedTokens. Mooncake's: a JSON object a
line, with timestamp in milliseconds, input_length and output_length. Which one it is, the first
line tells.
"""

import json
import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime

from modelfleet.plan.simulation.traces import (
    LONGEST_SECONDS,
    MOST_REQUESTS,
    MOST_TOKENS,
    Trace,
    trace_of,
)

LONGEST_LINE = 1 << 20
"""Characters; Mooncake's hashes of a long prompt fill many thousands."""

MOST_WRONG = 10
"""Mistakes that are told before the rest of the file is left unread."""

COLUMNS = ("TIMESTAMP", "ContextTokens", "GeneratedTokens")
MEMBERS = ("timestamp", "input_length", "output_length")

Request = tuple[float, int, int]
Parse = Callable[[str], Request]


@dataclass(frozen=True, slots=True)
class Wrong:
    """What is wrong with one line, counted from 1; 0 is the file as a whole."""

    line: int
    what: str


class _BadLine(ValueError):
    """The message says what is wrong with the line."""


def read(lines: Iterable[str]) -> tuple[Trace, tuple[Wrong, ...]]:
    """Return the trace that the lines tell of, and what could not be read."""
    requests: list[Request] = []
    wrong: list[Wrong] = []
    parse: Parse | None = None
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            if parse is None:
                parse = _parser_for(line)
                if parse is not _mooncake:
                    continue  # a header holds no request
            requests.append(parse(_bounded(line, len(requests))))
        except _BadLine as error:
            wrong.append(Wrong(number, str(error)))
            if parse is None or len(wrong) >= MOST_WRONG or len(requests) >= MOST_REQUESTS:
                break
    return _checked(requests, wrong)


def _checked(requests: list[Request], wrong: list[Wrong]) -> tuple[Trace, tuple[Wrong, ...]]:
    trace = trace_of(requests)
    if not wrong and not requests:
        wrong.append(Wrong(0, "there is no request in this file"))
    if trace.seconds > LONGEST_SECONDS:
        days = LONGEST_SECONDS // 86_400
        wrong.append(Wrong(0, f"from first to last request are more than {days} days"))
    return trace, tuple(wrong)


def _bounded(line: str, count: int) -> str:
    if len(line) > LONGEST_LINE:
        raise _BadLine(f"longer than {LONGEST_LINE} characters")
    if count >= MOST_REQUESTS:
        raise _BadLine(f"more than {MOST_REQUESTS} requests")
    return line


def _parser_for(line: str) -> Parse:
    line = line.lstrip("\ufeff")
    if line.lstrip().startswith("{"):
        return _mooncake
    names = [name.strip() for name in line[:1000].split(",")]
    missing = [name for name in COLUMNS if name not in names]
    if missing:
        raise _BadLine(
            f"neither a header with {','.join(COLUMNS)} nor a JSON object with {', '.join(MEMBERS)}"
        )
    return _azure([names.index(name) for name in COLUMNS], len(names))


# --- Azure --------------------------------------------------------------------


def _azure(places: list[int], width: int) -> Parse:
    at, prompt, output = places

    def parse(line: str) -> Request:
        cells = line.strip().split(",")
        if len(cells) != width:
            raise _BadLine(f"{len(cells)} columns, where the header has {width}")
        return (
            _instant(cells[at].strip()),
            _tokens(_whole(cells[prompt]), COLUMNS[1]),
            _tokens(_whole(cells[output]), COLUMNS[2]),
        )

    return parse


def _instant(text: str) -> float:
    try:
        found = datetime.fromisoformat(text)
        # Azure's clock has no zone; only differences count.
        return (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError) as error:
        raise _BadLine(f"TIMESTAMP: {_quoted(text)} is no date and time") from error


def _whole(text: str) -> object:
    text = text.strip()
    return int(text) if text.isascii() and text.isdigit() and len(text) < 19 else text


# --- Mooncake -----------------------------------------------------------------


def _mooncake(line: str) -> Request:
    try:
        found = json.loads(line.lstrip("\ufeff"))
    except (ValueError, RecursionError) as error:
        raise _BadLine("not a JSON object") from error
    if not isinstance(found, dict):
        raise _BadLine("not a JSON object")
    missing = [name for name in MEMBERS if name not in found]
    if missing:
        raise _BadLine(f"{missing[0]} is missing")
    return (
        _milliseconds(found[MEMBERS[0]]) / 1000,
        _tokens(found[MEMBERS[1]], MEMBERS[1]),
        _tokens(found[MEMBERS[2]], MEMBERS[2]),
    )


def _milliseconds(value: object) -> float:
    if isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e15:
        return float(value)
    raise _BadLine(f"{MEMBERS[0]}: {_quoted(value)} is no number of milliseconds")


def _tokens(value: object, name: str) -> int:
    if isinstance(value, float) and math.isfinite(value) and value.is_integer():
        value = int(value)
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= MOST_TOKENS:
        return value
    raise _BadLine(f"{name}: {_quoted(value)} is not a number of tokens up to {MOST_TOKENS}")


def _quoted(value: object) -> str:
    text = value if isinstance(value, str) else repr(value)
    return repr(text if len(text) <= 40 else text[:37] + "...")
