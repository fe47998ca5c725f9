"""Whether an Engine document can be used: what the schema cannot say."""

from collections.abc import Callable, Iterable, Iterator

from modelfleet.api.v1alpha1.engine import Engine, SourceSupport
from modelfleet.api.v1alpha1.model import EnvVar
from modelfleet.engines import template, version

ENGINE_WIDE = frozenset({"cache", "port"})
ARGUMENT = ENGINE_WIDE | {"model", "gpus", "name", "nameList", "adapterList", "drainSeconds"}
LISTS = frozenset({"names", "adapters"})
MODEL = frozenset({"uri", "path", "mount"})
OF_SOURCE = ENGINE_WIDE | {"model"}
ADAPTER = frozenset({"name", "path", "index"})

Text = tuple[str, str, frozenset[str]]
"""Where it stands, what it says, and the placeholders that have a meaning there."""


def bad_placeholder(engine: Engine) -> str | None:
    """Name the first text with a placeholder that nothing would fill."""
    for where, text, known in _texts(engine):
        if why := template.why_invalid(text, known):
            return f"{where}: {why}"
    return None


def list_not_alone(engine: Engine) -> str | None:
    """A list becomes several arguments, so nothing else may stand in its value."""
    for where, text in _arguments(engine):
        for name in template.placeholders(text):
            if name in LISTS and text != f"{{{name}}}":
                return f"{where}: {{{name}}} must stand alone; {{{name[:-1]}List}} may be embedded"
    return None


def adapters_not_described(engine: Engine) -> str | None:
    """Adapters need the words to give them with, and the other way round."""
    uses = any(
        name in ("adapters", "adapterList")
        for _, text in _arguments(engine)
        for name in template.placeholders(text)
    )
    if uses == (engine.spec.adapters is not None):
        return None
    return "spec.adapters and the placeholders {adapters} or {adapterList} need each other"


def older_than_itself(engine: Engine) -> str | None:
    """The image that the document gives must be one that it accepts."""
    spec = engine.spec
    own = version.parse(spec.version) if spec.version else version.version_in(spec.image)
    if version.reaches(own, spec.minimum_version):
        return None
    return f"spec.minimumVersion: spec.image is older than {spec.minimum_version}"


CHECKS: tuple[Callable[[Engine], str | None], ...] = (
    bad_placeholder,
    list_not_alone,
    adapters_not_described,
    older_than_itself,
)


def why_invalid(engine: Engine) -> str | None:
    """Return the first reason why no Model can use this Engine, or None."""
    return next((why for check in CHECKS if (why := check(engine))), None)


def _arguments(engine: Engine) -> Iterator[tuple[str, str]]:
    for number, group in enumerate(engine.spec.args):
        for place, text in enumerate(group.values):
            yield f"spec.args[{number}].values[{place}]", text


def _texts(engine: Engine) -> Iterator[Text]:
    for where, text in _arguments(engine):
        yield where, text, ARGUMENT | LISTS
    for number, text in enumerate(engine.spec.command):
        yield f"spec.command[{number}]", text, ENGINE_WIDE
    yield from _variables("spec.env", engine.spec.env, OF_SOURCE)
    for number, source in enumerate(engine.spec.sources):
        yield from _texts_of(f"spec.sources[{number}]", source)
    if engine.spec.adapters:
        yield "spec.adapters.argument", engine.spec.adapters.argument, ADAPTER


def _texts_of(where: str, source: SourceSupport) -> Iterator[Text]:
    yield f"{where}.model", source.model, MODEL
    for number, text in enumerate(source.args):
        yield f"{where}.args[{number}]", text, OF_SOURCE
    for number, text in enumerate(source.revision_args):
        yield f"{where}.revisionArgs[{number}]", text, OF_SOURCE | {"revision"}
    yield from _variables(f"{where}.env", source.env, OF_SOURCE)


def _variables(where: str, env: Iterable[EnvVar], known: frozenset[str]) -> Iterator[Text]:
    for variable in env:
        yield f"{where}[{variable.name}].value", variable.value or "", known
