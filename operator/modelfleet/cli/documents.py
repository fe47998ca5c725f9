"""Objects from files, folders and standard input, each with where it stands."""

import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from modelfleet.api.schema import Kind
from modelfleet.api.v1alpha1 import KINDS
from modelfleet.cli.lines import Line, LineLoader, line_of

BY_NAME: dict[str, type[Kind]] = {kind.names.kind: kind for kind in KINDS}
API_VERSION = "modelfleet.dev/v1alpha1"


class Mistake(Exception):
    """One or more lines, each naming file, object and field."""


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
        name = f"{metadata.get('namespace', '')}/{metadata.get('name', '?')}".lstrip("/")
        return f"{self.body.get('kind', '?')} {name}"


def read(paths: Iterable[str]) -> Iterator[Document]:
    """Yield every YAML document under the given paths. Raises Mistake."""
    for path in paths:
        for file, text in _texts(path):
            yield from _documents(file, text)


def _texts(path: str) -> Iterator[tuple[str, str]]:
    if path == "-":
        yield "<stdin>", _decoded("<stdin>", sys.stdin.buffer.read())
        return
    root = Path(path)
    if not root.exists():
        raise Mistake(f"{path}: no such file or folder")
    files = (
        [root]
        if not root.is_dir()
        else sorted(one for one in root.rglob("*") if one.suffix in (".yaml", ".yml", ".json"))
    )
    for file in files:
        try:
            yield str(file), _decoded(str(file), file.read_bytes())
        except OSError as error:
            raise Mistake(f"{file}: {error.strerror}") from error


def _decoded(file: str, data: bytes) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise Mistake(f"{file}: not UTF-8 text ({error.reason} at byte {error.start})") from error


def _documents(file: str, text: str) -> Iterator[Document]:
    loader = None
    try:
        loader = LineLoader(text)
        while loader.check_node() and (node := loader.get_node()):
            body = loader.construct_document(node)
            yield from _objects(file, body, line_of(node))
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise Mistake(f"{file}: {_yaml_error(error)}") from error
    finally:
        if loader:
            loader.dispose()


def _yaml_error(error: Exception) -> str:
    mark = getattr(error, "problem_mark", None)
    where = f"line {mark.line + 1}: " if mark else ""
    return f"{where}{getattr(error, 'problem', None) or error or 'cannot be read as YAML'}"


def _objects(file: str, body: Any, lines: Line) -> Iterator[Document]:
    if body is None:
        return
    if not isinstance(body, dict):
        raise Mistake(f"{file}:{lines.number}: an object is expected, not {type(body).__name__}")
    if body.get("kind") == "List" and isinstance(body.get("items"), list):
        for index, item in enumerate(body["items"]):
            yield from _objects(file, item, lines.at(("items", index)))
        return
    yield Document(file, body, lines)


def parse(document: Document) -> Kind | None:
    """Return the object, or None if it is not of our group. Raises Mistake."""
    version = document.body.get("apiVersion")
    if not isinstance(version, str) or not version.startswith("modelfleet.dev/"):
        if document.body.get("kind") in BY_NAME and not version:
            raise Mistake(_at(document, ("apiVersion",), f"write {API_VERSION}"))
        return None
    if version != API_VERSION:
        raise Mistake(_at(document, ("apiVersion",), f"{version} is unknown, use {API_VERSION}"))
    kind = BY_NAME.get(str(document.body.get("kind")))
    if kind is None:
        known = ", ".join(sorted(BY_NAME))
        raise Mistake(_at(document, ("kind",), f"unknown kind; {version} has {known}"))
    return _validated(kind, document)


def _validated(kind: type[Kind], document: Document) -> Kind:
    body = {key: value for key, value in document.body.items() if key != "status"}
    try:
        return kind.model_validate(body, extra="forbid")
    except ValidationError as error:
        lines = [_at(document, one["loc"], _message(one)) for one in error.errors()]
        raise Mistake("\n".join(lines)) from error


def _message(error: Any) -> str:
    if error["type"] == "extra_forbidden":
        return "unknown field"
    if error["type"] == "missing":
        return "required, but not given"
    return str(error["msg"]).removeprefix("Value error, ")


def _at(document: Document, where: tuple[Any, ...], message: str) -> str:
    field = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in where)
    number = document.lines.at(where).number
    return f"{document.file}:{number}: {document.title}: {field.lstrip('.') or 'object'}: {message}"
