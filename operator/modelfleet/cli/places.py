"""Where a field stands that the operator's words name."""

import re
from collections.abc import Iterator
from typing import Any

from modelfleet.api.schema import Location

_FIELD = re.compile(r"spec(?:\.[A-Za-z]+|\[[^\]]*\])*(?=[:, ])")
_STEP = re.compile(r"\.([A-Za-z]+)|\[([^\]]*)\]")


def location_in(body: Any, message: str) -> Location:
    """Return the place of the field that a message begins with; none where it names no field.

    An item of a list is named by its index or by its `name`, as in `spec.adapters[french].source`.
    """
    named = _FIELD.match(message)
    return tuple(_steps(body, named[0])) if named else ()


def _steps(body: Any, field: str) -> Iterator[str | int]:
    here = body
    for step in _STEP.finditer(f".{field}"):
        key = step[1] if step[2] is None else _index(here, step[2])
        yield key
        here = _inside(here, key)


def _index(items: Any, named: str) -> str | int:
    if named.isdecimal() or not isinstance(items, list):
        return int(named) if named.isdecimal() else named
    found = (
        index
        for index, item in enumerate(items)
        if isinstance(item, dict) and item.get("name") == named
    )
    return next(found, named)


def _inside(here: Any, key: str | int) -> Any:
    if isinstance(here, list) and isinstance(key, int):
        return here[key] if key < len(here) else None
    return here.get(key) if isinstance(here, dict) else None
