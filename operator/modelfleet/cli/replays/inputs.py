"""The files of a replay: a trace, a policy, a profile. What is wrong with one is a mistake."""

import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any, TextIO, TypeVar

from pydantic import ValidationError

from modelfleet.api.v1alpha1.autoscalingpolicy import AutoscalingPolicy
from modelfleet.api.validation import problems_in
from modelfleet.cli.documents import Document, parse, read
from modelfleet.cli.mistakes import Mistake
from modelfleet.plan.simulation import generated, traceformats
from modelfleet.plan.simulation.generated import Shape
from modelfleet.plan.simulation.profiles import Profile
from modelfleet.plan.simulation.traces import Trace

T = TypeVar("T")
GENERATED = "generated:"


class Unusable(Exception):
    """Files that cannot be replayed."""

    def __init__(self, *mistakes: Mistake) -> None:
        super().__init__("; ".join(map(str, mistakes)))
        self.mistakes = mistakes


# --- traces -------------------------------------------------------------------


def trace_from(source: str) -> Trace:
    """Return a trace from a file, from standard input for `-`, or made by a shape."""
    if source.startswith(GENERATED):
        return _made(source)
    try:
        if source == "-":
            return _read("<stdin>", sys.stdin)
        with Path(source).open(encoding="utf-8-sig", errors="replace", newline="") as file:
            return _read(source, file)
    except OSError as error:
        raise Unusable(Mistake(source, error.strerror or "cannot be read")) from error
    except ValueError as error:  # a name with a NUL
        raise Unusable(Mistake(source, str(error))) from error


def _read(name: str, file: TextIO) -> Trace:
    trace, wrong = traceformats.read(_lines(file))
    if wrong:
        at = (f"{name}:{one.line}" if one.line else name for one in wrong)
        raise Unusable(*(Mistake(where, one.what) for where, one in zip(at, wrong, strict=True)))
    return trace


def _lines(file: TextIO) -> Iterator[str]:
    """Yield lines; of one that is too long only so much that it is told, and then no more."""
    while line := file.readline(traceformats.LONGEST_LINE + 1):
        yield line
        if len(line) > traceformats.LONGEST_LINE:
            return


def _made(source: str) -> Trace:
    name, *settings = source.removeprefix(GENERATED).split(",")
    if name not in generated.SHAPES:
        raise Unusable(Mistake(source, f"known shapes: {', '.join(generated.SHAPES)}"))
    given: dict[str, Any] = dict(_setting(source, one) for one in settings)
    shape = Shape(**given)
    if not generated.is_possible(shape):
        raise Unusable(Mistake(source, "a trace of this length or rate cannot be made"))
    return generated.SHAPES[name](shape)


def _setting(source: str, text: str) -> tuple[str, float]:
    known = {field.name.replace("_", "-"): field.name for field in fields(Shape)}
    key, _, value = text.partition("=")
    if key not in known:
        raise Unusable(Mistake(source, f"known settings: {', '.join(known)}"))
    try:
        return known[key], int(value) if key == "seed" else float(value)
    except ValueError as error:
        raise Unusable(Mistake(source, f"{key}: {value!r} is not a number")) from error


# --- objects ------------------------------------------------------------------


def policy_from(path: str) -> AutoscalingPolicy:
    """Return the one AutoscalingPolicy of a file."""
    parsed = [(one, parse(one)) for one in _documents(path)]
    wrong = [mistake for _, found in parsed if isinstance(found, list) for mistake in found]
    if wrong:
        raise Unusable(*wrong)
    return _only(path, [one for _, one in parsed if isinstance(one, AutoscalingPolicy)])


def profile_from(path: str) -> Profile:
    """Return the one profile of a file."""
    document = _only(path, _documents(path), "profile")
    try:
        return Profile.model_validate(document.body, extra="forbid", by_alias=True, by_name=False)
    except ValidationError as refused:
        raise Unusable(*_told(document, refused)) from refused


def _told(document: Document, refused: ValidationError) -> Iterable[Mistake]:
    for one in problems_in(refused):
        where = f"{document.file}:{document.lines.at(one.location).number}"
        yield Mistake(where, f"{one.field}: {one.message}")


def _documents(path: str) -> list[Document]:
    found = list(read([path]))
    wrong = [one for one in found if isinstance(one, Mistake)]
    if wrong:
        raise Unusable(*wrong)
    return [one for one in found if isinstance(one, Document)]


def _only(path: str, found: Sequence[T], what: str = "AutoscalingPolicy") -> T:
    if len(found) != 1:
        raise Unusable(Mistake(path, f"one {what} is expected, not {len(found)}"))
    return found[0]
