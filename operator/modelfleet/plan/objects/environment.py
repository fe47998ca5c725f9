"""The engine's environment: ours, then the document's, then the user's."""

from collections.abc import Iterable, Iterator

from modelfleet.api.v1alpha1.engine import Engine
from modelfleet.api.v1alpha1.model import EnvVar, Model
from modelfleet.engines import template
from modelfleet.plan import command, weights
from modelfleet.plan.world import Manifest

TOKEN_KEY = "token"


def environment_for(model: Model, engine: Engine) -> list[Manifest]:
    """Return each variable once; the user's value replaces the document's, in its place."""
    merged = {
        str(variable["name"]): variable
        for variable in (
            *_ours(model),
            *_documented(model, engine),
            *_tokens(model, engine),
            *_written(model.spec.engine.env),
        )
    }
    return list(merged.values())


def _ours(model: Model) -> Iterator[Manifest]:
    yield {"name": "HOME", "value": weights.CACHE}
    # The user id is in no passwd file, and PyTorch asks for the user's name.
    yield {"name": "USER", "value": "modelfleet"}
    if model.spec.resources.gpus == 0:
        yield {"name": command.GPU_VISIBILITY, "value": "void"}


def _documented(model: Model, engine: Engine) -> Iterator[Manifest]:
    values = command.values_for(model, engine)
    support = weights.support_for(engine, model.spec.source)
    for variable in _written((*engine.spec.env, *(support.env if support else ()))):
        if "value" in variable:
            yield {**variable, "value": template.fill(variable["value"], values)}
        else:
            yield variable


def _tokens(model: Model, engine: Engine) -> Iterator[Manifest]:
    for name, secret in command.tokens_for(model, engine).items():
        reference = {"name": secret, "key": TOKEN_KEY}
        yield {"name": name, "valueFrom": {"secretKeyRef": reference}}


def _written(variables: Iterable[EnvVar]) -> Iterator[Manifest]:
    """An empty value is what the API server takes for no value, and drops."""
    for variable in variables:
        written = variable.model_dump(by_alias=True, exclude_none=True)
        if not written.get("value", "x"):
            del written["value"]
        yield written
