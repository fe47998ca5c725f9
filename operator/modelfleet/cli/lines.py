"""YAML with line numbers, and without the surprises of duplicate keys."""

from collections.abc import Iterable
from typing import Any

import yaml


class Line:
    """Where a node stands: its line, and the lines of what is in it."""

    __slots__ = ("_inside", "number")

    def __init__(self, number: int, inside: dict[Any, "Line"]) -> None:
        self.number, self._inside = number, inside

    def at(self, path: Iterable[Any]) -> "Line":
        """Return the deepest known line along a path of keys and indices."""
        here = self
        for part in path:
            if part not in here._inside:
                break
            here = here._inside[part]
        return here


class LineLoader(yaml.SafeLoader):
    """PyYAML's safe loader, but a key that is given twice is a mistake, as for kubectl."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """Refuse duplicate keys. Raises yaml.constructor.ConstructorError."""
        seen: set[Any] = set()
        for key, _ in node.value:
            if key.value in seen and key.tag != "tag:yaml.org,2002:merge":
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key {key.value!r} is given twice", key.start_mark
                )
            seen.add(key.value if isinstance(key.value, str) else id(key))
        return super().construct_mapping(node, deep)


# Dates stay text: Kubernetes knows none, and `revision: 2024-01-01` means what it says.
LineLoader.yaml_implicit_resolvers = {
    first: [(tag, regexp) for tag, regexp in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def line_of(node: yaml.Node, depth: int = 0) -> Line:
    """Return the lines of a composed document, counted from 1."""
    inside: dict[Any, Line] = {}
    if depth < 64:
        if isinstance(node, yaml.MappingNode):
            inside = {
                key.value: line_of(value, depth + 1)
                for key, value in node.value
                if isinstance(key, yaml.ScalarNode)
            }
        elif isinstance(node, yaml.SequenceNode):
            inside = {index: line_of(item, depth + 1) for index, item in enumerate(node.value)}
    return Line(node.start_mark.line + 1, inside)
