"""Objects from files, folders and standard input, each with where it stands."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from modelfleet.api.schema import Kind
from modelfleet.api.v1alpha1 import KINDS
from modelfleet.api.validation import Problem, problems
from modelfleet.cli import lines
from modelfleet.cli.files import Text, texts
from modelfleet.cli.lines import Line
from modelfleet.cli.mistakes import Mistake
from modelfleet.cli.places import location_in

BY_NAME: dict[str, type[Kind]] = {kind.names.kind: kind for kind in KINDS}
API_VERSION = "modelfleet.dev/v1alpha1"
GROUP = "modelfleet.dev/"

_OBJECT = re.compile(r"Input should be a valid dictionary(?: or instance of \w+)?")


@dataclass(frozen=True)
class Document:
    """One object and where it was read."""

    file: str
    body: dict[str, Any]
    lines: Line

    @property
    def title(self) -> str:
        """As in `Model team-a/chat`."""
        metadata = self.body.get("metadata")
        metadata = metadata if isinstance(metadata, dict) else {}
        name = f"{metadata.get('namespace') or ''}/{metadata.get('name', '?')}".lstrip("/")
        return f"{self.body.get('kind', '?')} {name}"

    def mistake(self, what: str, at: Iterable[str | int] = ()) -> Mistake:
        """Return a mistake in this object, at a field if one is given."""
        return Mistake(f"{self.file}:{self.lines.at(at).number}", f"{self.title}: {what}")

    def refusal(self, message: str, reason: str = "") -> Mistake:
        """Return what the operator would say of this object, at the field that it names first."""
        what = f"{reason}: {message}" if reason else message
        return self.mistake(what, location_in(self.body, message))


def read(paths: Iterable[str]) -> Iterator[Document | Mistake]:
    """Yield every object under the given paths, and what cannot be read as one."""
    for path in paths:
        for text in texts(path):
            if isinstance(text, Mistake):
                yield text
            else:
                yield from _documents(text)


def _documents(text: Text) -> Iterator[Document | Mistake]:
    for found in lines.documents(text.content):
        if isinstance(found, lines.Unreadable):
            where = f"{text.file}:{found.line}" if found.line else text.file
            yield Mistake(where, f"not readable as YAML: {found}")
        else:
            yield from _objects(text.file, *found)


def _objects(file: str, body: Any, line: Line) -> Iterator[Document | Mistake]:
    if body is None:
        return
    if not isinstance(body, dict):
        kind = "a list" if isinstance(body, list) else "a single value"
        yield Mistake(f"{file}:{line.number}", f"an object is expected, not {kind}")
    elif str(body.get("kind", "")).endswith("List") and isinstance(body.get("items"), list):
        for index, item in enumerate(body["items"]):
            yield from _objects(file, item, line.at(("items", index)))
    else:
        yield Document(file, body, line)


def parse(document: Document) -> Kind | list[Mistake] | None:
    """Return the object, what is wrong with it, or None if it is not of our group."""
    version = document.body.get("apiVersion")
    if not isinstance(version, str) or not version.startswith(GROUP):
        ours = str(document.body.get("kind")) in BY_NAME and not version
        return [document.mistake(f"apiVersion: write {API_VERSION}")] if ours else None
    if version != API_VERSION:
        what = f"apiVersion: {version} is unknown, use {API_VERSION}"
        return [document.mistake(what, ("apiVersion",))]
    kind = BY_NAME.get(str(document.body.get("kind")))
    if kind is None:
        what = f"kind: unknown; {version} has {', '.join(sorted(BY_NAME))}"
        return [document.mistake(what, ("kind",))]
    return _validated(kind, document)


def _validated(kind: type[Kind], document: Document) -> Kind | list[Mistake]:
    # The status is the operator's: what a person pasted there counts for nothing.
    body = {key: value for key, value in document.body.items() if key != "status"}
    if wrong := problems(kind, body):
        in_order = sorted(wrong, key=lambda one: document.lines.at(one.location).number)
        return [document.mistake(_told(one), one.location) for one in in_order]
    return kind.model_validate(body)


def _told(problem: Problem) -> str:
    message = _OBJECT.sub("must be an object", problem.message)
    message = message.replace("Input should be", "must be", 1)
    return f"{problem.field}: {message}" if problem.field else message
