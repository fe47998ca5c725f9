"""Serving engines as documents, and pure readers of what engines print."""

from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from types import MappingProxyType

import yaml

from modelfleet.api.v1alpha1.engine import Engine


@cache
def built_in() -> Mapping[str, Engine]:
    """Return the engines of this package by name, in the order of their names.

    Raises pydantic's ValidationError where a document has a field that an Engine has not.
    """
    documents = (file for file in files(__name__).iterdir() if file.name.endswith(".yaml"))
    engines = (parse(file.read_text(encoding="utf-8")) for file in documents)
    return MappingProxyType({one.metadata.name: one for one in sorted(engines, key=_name)})


def parse(document: str) -> Engine:
    """Read one document. Unknown fields are errors: a misspelt one would be lost in silence."""
    return Engine.model_validate(yaml.safe_load(document), extra="forbid")


def _name(engine: Engine) -> str:
    return engine.metadata.name
