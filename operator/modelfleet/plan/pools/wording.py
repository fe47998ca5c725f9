"""Counts and lists as messages spell them."""

from collections.abc import Sequence

MOST_NAMES = 8
"""A message lists so many names and counts the rest."""


def listed(names: Sequence[str]) -> str:
    """Return the names with commas; a long list is cut and its rest counted."""
    rest = len(names) - MOST_NAMES
    return ", ".join(names[:MOST_NAMES]) + (f" and {rest} more" if rest > 0 else "")


def nodes(count: int) -> str:
    """Return `1 node`, `2 nodes`."""
    return "1 node" if count == 1 else f"{count} nodes"
