"""Placeholders such as `{model}` in the texts of an Engine. A literal brace is written twice."""

import re
from collections.abc import Collection, Mapping

TOKEN = re.compile(r"\{\{|\}\}|\{([A-Za-z]+)\}|[{}]")


def fill(text: str, values: Mapping[str, str]) -> str:
    """Replace the placeholders that `values` knows; leave the others as they are."""

    def replace(found: re.Match[str]) -> str:
        token, name = found.group(), found.group(1)
        return values.get(name, token) if name else token[0]

    return TOKEN.sub(replace, text)


def placeholders(text: str) -> list[str]:
    """Return the names in braces, in order."""
    return [found.group(1) for found in TOKEN.finditer(text) if found.group(1)]


def why_invalid(text: str, known: Collection[str]) -> str | None:
    """Say which brace or placeholder of `text` is wrong, or None."""
    for found in TOKEN.finditer(text):
        if found.group() in ("{", "}"):
            return f"a single {found.group()!r}; write it twice to mean the brace itself"
        if found.group(1) and found.group(1) not in known:
            takes = ", ".join(f"{{{name}}}" for name in sorted(known))
            return f"unknown placeholder {found.group()}; here you can use {takes}"
    return None
