"""What an engine is started with: its image, its arguments, and who may say what."""

from collections.abc import Callable, Iterable, Iterator
from itertools import chain

from modelfleet.api.v1alpha1.engine import ArgumentGroup, Engine, When
from modelfleet.api.v1alpha1.model import Model
from modelfleet.engines import template, version
from modelfleet.plan import weights

OURS = frozenset({"HOME", "USER"})
"""Variables of every engine: its home is the writable directory."""

GPU_VISIBILITY = "NVIDIA_VISIBLE_DEVICES"
"""Images of NVIDIA set it to `all`, which hands a pod without a GPU every GPU of its node."""


CONDITIONS: dict[When, Callable[[Model], bool]] = {
    "GPU": lambda model: model.spec.resources.gpus > 0,
    "NoGPU": lambda model: model.spec.resources.gpus == 0,
    "MultiGPU": lambda model: model.spec.resources.gpus > 1,
    "Adapters": lambda model: bool(model.spec.adapters),
    "Drain": lambda model: model.spec.drain.timeout_seconds > 0,
}


def image_for(model: Model, engine: Engine) -> str:
    """Return the user's image, or the engine's for this kind of hardware."""
    without_gpu = engine.spec.cpu_image if model.spec.resources.gpus == 0 else None
    return model.spec.engine.image or without_gpu or engine.spec.image


def version_for(model: Model, engine: Engine) -> version.Version | None:
    """Return the engine's version, or None where the image does not tell: it is taken for new."""
    if model.spec.engine.image or not engine.spec.version:
        return version.version_in(image_for(model, engine))
    return version.parse(engine.spec.version)


def finishes_on_sigterm(model: Model, engine: Engine) -> bool:
    """Tell whether this engine, in this version, ends its requests before it exits."""
    drain = engine.spec.drain
    return drain.on_sigterm == "Finishes" and version.reaches(
        version_for(model, engine), drain.since
    )


def served_names(model: Model) -> tuple[str, ...]:
    """Return the names that requests use."""
    return model.spec.served_names or (model.metadata.name,)


def tokens_for(model: Model, engine: Engine) -> dict[str, str]:
    """Return the variables that take a token, with the Secrets that have it."""
    tokens: dict[str, str] = {}
    for _, source in weights.sources_of(model):
        support = weights.support_for(engine, source)
        if source.secret_ref and support and support.token_env:
            tokens.setdefault(support.token_env, source.secret_ref.name)
    return tokens


def reserved_env(model: Model, engine: Engine) -> frozenset[str]:
    """Return the variables that a user may not set."""
    hidden = {GPU_VISIBILITY} if model.spec.resources.gpus == 0 else set()
    return OURS | hidden | tokens_for(model, engine).keys() | set(engine.spec.reserved_env)


def arguments_for(model: Model, engine: Engine) -> list[str]:
    """Return the engine's arguments, then the user's.

    A group of the engine gives way where the user gives one of its flags: not every engine lets
    the last one win.
    """
    given = _flags(model.spec.engine.args)
    ours = (group for group in _groups(model, engine) if not given & _flags(group))
    values = values_for(model, engine)
    lists = {"{names}": list(served_names(model)), "{adapters}": _adapters(model, engine)}
    filled = (lists.get(text, [template.fill(text, values)]) for group in ours for text in group)
    return [*chain.from_iterable(filled), *model.spec.engine.args]


def values_for(model: Model, engine: Engine) -> dict[str, str]:
    """Return what the placeholders stand for."""
    names = served_names(model)
    return {
        "model": weights.model_argument(engine, model.spec.source),
        "revision": model.spec.source.revision or "",
        "port": str(engine.spec.port),
        "gpus": str(model.spec.resources.gpus),
        "cache": weights.CACHE,
        "name": names[0],
        "nameList": ",".join(names),
        "adapterList": ",".join(_adapters(model, engine)),
        "drainSeconds": str(model.spec.drain.timeout_seconds),
    }


def _adapters(model: Model, engine: Engine) -> list[str]:
    return [
        weights.adapter_argument(engine, adapter, index)
        for index, adapter in enumerate(model.spec.adapters)
    ]


def _groups(model: Model, engine: Engine) -> Iterator[tuple[str, ...]]:
    known = version_for(model, engine)
    for group in engine.spec.args:
        if _holds(group, model) and version.reaches(known, group.since):
            yield group.values
    support = weights.support_for(engine, model.spec.source)
    if support:
        yield support.args
        yield support.revision_args if model.spec.source.revision else ()


def _holds(group: ArgumentGroup, model: Model) -> bool:
    return group.when is None or CONDITIONS[group.when](model)


def flag_of(argument: str) -> str | None:
    """Return `--some-flag` of `--some_flag=value`; a value has no flag."""
    name = argument.partition("=")[0]
    if not name.startswith("-") or name[1:2].isdigit():
        return None
    return name.replace("_", "-")


def _flags(arguments: Iterable[str]) -> set[str]:
    return {flag for argument in arguments if (flag := flag_of(argument))}
