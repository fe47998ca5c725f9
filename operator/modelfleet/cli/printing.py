"""Objects as YAML that kubectl reads as it was meant."""

import re
from collections.abc import Iterable, Mapping
from typing import Any

import yaml

_TAKEN_FOR_MORE = re.compile(r"[-+.]*\d.*|[yYnN]|[yY]es|YES|[nN]o|NO|[oO]n|ON|[oO]ff|OFF")
"""Text that a YAML parser may take for a number, a date or a truth: PyYAML and Go differ in that
`1e3`, `0o17` and `y` are text here and something else there."""


class _Dumper(yaml.SafeDumper):
    """Without anchors: kubectl reads them, people do not."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002
        return True


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.Node:
    style = "'" if _TAKEN_FOR_MORE.fullmatch(text) else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _text)


def yaml_of(objects: Iterable[Mapping[str, Any]]) -> str:
    """Return one document for each object; nothing for none."""
    written = [dict(one) for one in objects]
    if not written:
        return ""
    text: str = yaml.dump_all(
        written, Dumper=_Dumper, sort_keys=False, explicit_start=True, width=100
    )
    return text
