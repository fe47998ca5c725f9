"""`modelfleet plan`: what the operator would apply, offline, from the same pure core."""

import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

import click

from modelfleet import engines
from modelfleet.api.conditions import Condition, ConditionType, Reason
from modelfleet.api.schema import Kind
from modelfleet.api.v1alpha1 import AutoscalingPolicy, Engine, GPUNodePool, Model
from modelfleet.cli.documents import Document, parse, read
from modelfleet.cli.mistakes import Mistake, one_line
from modelfleet.cli.printing import yaml_of
from modelfleet.plan.enginestatus import engine_status_for
from modelfleet.plan.model import plan_for
from modelfleet.plan.policystatus import policy_status_for
from modelfleet.plan.world import Manifest, Observed, Pool

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
"""No cluster, no time: nothing that is printed depends on it."""

OPEN = "labels-of-pool"
"""Stands for the labels of a pool that is not among the files."""


@dataclass
class Found:
    """The objects of our kinds among the files, and all that is wrong with the files."""

    models: list[tuple[Document, Model]] = field(default_factory=list)
    engines: list[tuple[Document, Engine]] = field(default_factory=list)
    pools: list[tuple[Document, GPUNodePool]] = field(default_factory=list)
    policies: list[AutoscalingPolicy] = field(default_factory=list)
    mistakes: list[Mistake] = field(default_factory=list)
    titles: dict[str, Document] = field(default_factory=dict)


@click.command()
@click.option(
    "-f",
    "--filename",
    "paths",
    multiple=True,
    required=True,
    help="A file, a folder with all in it, or - for standard input; may be given more than once.",
)
def plan(paths: Sequence[str]) -> None:
    """Print what would be applied for every Model in the files, without a cluster.

    GPU pools and engines in the same files are used; nodes are not known here, so free GPUs are
    not looked at. Other objects are left out. A mistake is one line on standard error that names
    file, line, object and field; what is right is printed all the same. The exit code is 1 if
    there was a mistake.
    """
    found = _found(paths)
    printed = [
        manifest
        for document, model in found.models
        for manifest in _planned(document, model, found)
    ]
    click.echo(yaml_of(printed), nl=False)
    for mistake in found.mistakes:
        click.echo(str(mistake), err=True)
    sys.exit(1 if found.mistakes else 0)


def _found(paths: Sequence[str]) -> Found:
    found = Found()
    for one in read(paths):
        if isinstance(one, Mistake):
            found.mistakes.append(one)
        else:
            _sort_in(one, found)
    if not found.titles and not found.mistakes:
        found.mistakes.append(Mistake(", ".join(paths), "there is no Model here"))
    elif found.titles and not found.models:
        _note("there is no Model here, so nothing would be applied")
    _tell_open_pools(found)
    return found


def _sort_in(document: Document, found: Found) -> None:
    parsed = parse(document)
    if parsed is None:
        return
    if isinstance(parsed, list):
        found.mistakes += parsed
        found.titles.setdefault(document.title, document)
    elif document.title in found.titles:
        before = found.titles[document.title]
        found.mistakes.append(document.mistake(f"also in {before.file}:{before.lines.number}"))
    else:
        found.titles[document.title] = document
        _keep(document, parsed, found)


def _keep(document: Document, parsed: Kind, found: Found) -> None:
    if isinstance(parsed, Model):
        found.models.append((document, parsed))
    elif isinstance(parsed, GPUNodePool):
        found.pools.append((document, parsed))
    elif isinstance(parsed, AutoscalingPolicy):
        found.policies.append(parsed)
        found.mistakes += _stalled(document, policy_status_for(parsed, EPOCH).status.conditions)
    elif isinstance(parsed, Engine):
        found.engines.append((document, parsed))
        found.mistakes += _unusable(document, parsed)


def _unusable(document: Document, engine: Engine) -> Iterator[Mistake]:
    yield from _stalled(document, engine_status_for(engine, EPOCH).status.conditions)


def _stalled(document: Document, conditions: Iterable[Condition]) -> Iterator[Mistake]:
    stalled = (one for one in conditions if one.type == ConditionType.STALLED)
    yield from (document.refusal(one.message) for one in stalled)


def _planned(document: Document, model: Model, found: Found) -> Iterable[Manifest]:
    plan = plan_for(model, _world(model, found))
    stalled = (one for one in plan.status.conditions if one.type == ConditionType.STALLED)
    problem = next(stalled, None)
    if model.spec.paused and (problem is None or problem.reason == Reason.PAUSED):
        _note(f"{document.title}: spec.paused is set, so nothing would be applied")
    elif problem:
        found.mistakes.append(document.refusal(problem.message, problem.reason))
        return ()
    return plan.apply


def _world(model: Model, found: Found) -> Observed:
    """Return a world with the pools and engines of the files, and nothing running."""
    own = {engine.metadata.name: engine for _, engine in found.engines}
    known = {**engines.built_in(), **own}
    pools = [pool for _, pool in found.pools] or [_open_pool(name) for name in _asked(model)]
    return Observed(
        now=EPOCH,
        engine=known.get(model.spec.engine.name),
        known_engines=tuple(sorted(known)),
        pools={pool.metadata.name: Pool(pool=pool) for pool in pools},
        policy=_policy_of(model, found),
    )


def _policy_of(model: Model, found: Found) -> AutoscalingPolicy | None:
    """Return the policy that a Model refers to; without one it gets a single replica."""
    if model.spec.autoscaling is None:
        return None
    where = (model.metadata.namespace, model.spec.autoscaling.policy_ref.name)
    known = {(one.metadata.namespace, one.metadata.name): one for one in found.policies}
    if where not in known:
        _note(f"AutoscalingPolicy {where[1]} is not among the files, so its bounds are not known")
    return known.get(where)


def _asked(model: Model) -> tuple[str, ...]:
    """Return the pools that a Model needs to know; where it names none, any would do."""
    return (model.spec.node_pools or ("any-pool",)) if model.spec.resources.gpus else ()


def _open_pool(name: str) -> GPUNodePool:
    return GPUNodePool.model_validate(
        {"metadata": {"name": name}, "spec": {"nodeSelector": {OPEN: name}}}
    )


def _tell_open_pools(found: Found) -> None:
    asked = sorted({name for _, model in found.models for name in _asked(model)})
    if asked and not found.pools:
        _note(
            f"no GPUNodePool is among the files, so the node labels of {', '.join(asked)} are not "
            f"known: {OPEN} stands for them"
        )


def _note(text: str) -> None:
    click.echo(one_line(f"note: {text}"), err=True)
