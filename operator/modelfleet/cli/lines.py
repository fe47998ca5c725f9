"""YAML with line numbers, without the surprises of duplicate keys, and bounded."""

import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from typing import Any

import yaml

DEEPEST = 64
"""Levels of nesting; the deepest field of a pod has half of that."""

MOST_VALUES = 500_000
"""Values of one document with every alias written out: a few lines can stand for billions."""

_Fast: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class Line:
    """Where a node stands: its line, and the lines of what is in it."""

    __slots__ = ("_inside", "number")

    def __init__(self, number: int, inside: Mapping[Any, "Line"]) -> None:
        self.number, self._inside = number, inside

    def at(self, path: Iterable[Any]) -> "Line":
        """Return the deepest known line along a path of keys and indices."""
        here = self
        for part in path:
            if part not in here._inside:
                break
            here = here._inside[part]
        return here


class LineLoader(_Fast):  # type: ignore[misc]
    """PyYAML's safe loader without dates."""


# Kubernetes knows no dates, and `revision: 2024-01-01` means what it says.
LineLoader.yaml_implicit_resolvers = {
    first: [(tag, regexp) for tag, regexp in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


class Unreadable(Exception):
    """`line` is where, counted from 1; 0 where it is not known."""

    def __init__(self, line: int, what: str) -> None:
        super().__init__(what)
        self.line = line


def documents(text: str) -> Iterator[tuple[Any, Line] | Unreadable]:
    """Yield each document with its lines, or why it cannot be read.

    After a mistake in the form nothing more of the text is read.
    """
    text = _without_pairs(text)
    try:
        _check_depth(text)
        for node in yaml.compose_all(text, Loader=LineLoader):
            yield _document(node)
    except (yaml.YAMLError, RecursionError) as error:
        yield _unreadable(error)


_PAIR = re.compile(r"\\\\|\\u(d[89ab][0-9a-f]{2})\\u(d[c-f][0-9a-f]{2})", re.IGNORECASE)


def _without_pairs(text: str) -> str:
    """Return JSON with each character that is written as two escapes in its place.

    Everything else of JSON is YAML.
    """
    return _PAIR.sub(_one_character, text) if text.lstrip()[:1] in ("{", "[") else text


def _one_character(found: re.Match[str]) -> str:
    if found[1] is None:  # a backslash that is escaped itself
        return found[0]
    pair = bytes.fromhex(found[1] + found[2])
    return pair.decode("utf-16-be")


def _document(node: yaml.Node) -> tuple[Any, Line] | Unreadable:
    loader = LineLoader("")  # a new one: what a refused document has left must not come up again
    try:
        _check_size(node)
        return loader.construct_document(node), line_of(node)
    except (yaml.YAMLError, ValueError, TypeError, RecursionError) as error:
        return _unreadable(error, node)
    finally:
        loader.dispose()


def _check_depth(text: str) -> None:
    """Parse without composing: libyaml's composer recurses until the stack is full."""
    depth = 0
    for event in _events(text):
        depth += isinstance(event, yaml.CollectionStartEvent)
        depth -= isinstance(event, yaml.CollectionEndEvent)
        if depth > DEEPEST:
            raise _refused("nested too deeply", event)


def _events(text: str) -> Iterator[Any]:
    with suppress(yaml.YAMLError):  # the composer comes to the same place and tells it
        yield from yaml.parse(text, Loader=LineLoader)


def _check_size(node: yaml.Node) -> None:
    if _size(node, {}) > MOST_VALUES:
        raise _refused(f"more than {MOST_VALUES} values when its aliases are written out", node)


def _size(node: yaml.Node, known: dict[int, int]) -> int:
    """Return how many values a node stands for. Raises ConstructorError if it holds itself."""
    if id(node) in known:
        if not known[id(node)]:
            raise _refused("an anchor refers to itself", node)
        return known[id(node)]
    known[id(node)] = 0
    _check_keys(node)
    size = 1 + sum(_size(inner, known) for inner in _inner(node))
    known[id(node)] = size
    return size


def _check_keys(node: yaml.Node) -> None:
    """Refuse a key that is given twice, as kubectl does; YAML takes the last one."""
    seen: set[str] = set()
    for key, _ in node.value if isinstance(node, yaml.MappingNode) else ():
        if not isinstance(key, yaml.ScalarNode) or key.tag == "tag:yaml.org,2002:merge":
            continue
        if key.value in seen:
            raise _refused(f"the key {key.value!r} is given twice", key)
        seen.add(key.value)


def _inner(node: yaml.Node) -> Iterable[yaml.Node]:
    if isinstance(node, yaml.MappingNode):
        return (one for pair in node.value for one in pair)
    return node.value if isinstance(node, yaml.SequenceNode) else ()


def _refused(what: str, at: Any) -> yaml.constructor.ConstructorError:
    return yaml.constructor.ConstructorError(None, None, what, at.start_mark)


def _unreadable(error: Exception, node: yaml.Node | None = None) -> Unreadable:
    mark = getattr(error, "problem_mark", None) or (node.start_mark if node else None)
    what = getattr(error, "problem", None) or getattr(error, "reason", None) or str(error)
    return Unreadable(mark.line + 1 if mark else 0, str(what))


def line_of(node: yaml.Node) -> Line:
    """Return the lines of a composed document, counted from 1."""
    inside: dict[Any, Line] = {}
    if isinstance(node, yaml.MappingNode):
        inside = {
            key.value: line_of(value)
            for key, value in node.value
            if isinstance(key, yaml.ScalarNode)
        }
    elif isinstance(node, yaml.SequenceNode):
        inside = {index: line_of(item) for index, item in enumerate(node.value)}
    return Line(node.start_mark.line + 1, inside)
