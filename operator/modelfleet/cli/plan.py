"""`modelfleet plan`: what the operator would apply, offline, from the same pure core."""

import sys
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

import click
import yaml

from modelfleet import engines
from modelfleet.api.v1alpha1 import Engine, GPUNodePool, Model
from modelfleet.cli.documents import Document, Mistake, parse, read
from modelfleet.plan.model import plan_for
from modelfleet.plan.world import Observed, Pool

Parsed = tuple[Document, Any]

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
"""No cluster, no time: nothing that is printed depends on it."""

OPEN = "labels-of-pool"
"""Stands for the labels of a pool that is not among the files."""


@click.command()
@click.option(
    "-f",
    "--filename",
    "paths",
    multiple=True,
    required=True,
    help="A file, a folder, or - for standard input; may be given more than once.",
)
def plan(paths: Sequence[str]) -> None:
    """Print what would be applied for every Model in FILES, without a cluster.

    GPU pools and engines in the same files are used; nodes are not known here, so free GPUs are
    not looked at. A mistake is one line that names file, object and field; the exit code is 1.
    """
    mistakes: list[str] = []
    objects = list(_parsed(paths, mistakes))
    documents = [
        one
        for document, model in _only(objects, Model)
        for one in _planned(document, model, objects, mistakes)
    ]
    if not mistakes and not any(_only(objects, Model)):
        mistakes.append(f"{', '.join(paths)}: no Model found")
    if documents:
        click.echo(yaml.safe_dump_all(documents, sort_keys=False, explicit_start=True), nl=False)
    if mistakes:
        click.echo("\n".join(mistakes), err=True)
        sys.exit(1)


def _parsed(paths: Sequence[str], mistakes: list[str]) -> Iterable[Parsed]:
    seen: dict[tuple[str, str], Document] = {}
    for document in _documents(paths, mistakes):
        try:
            kind = parse(document)
        except Mistake as mistake:
            mistakes.append(str(mistake))
            continue
        if kind is None:
            continue
        key = (kind.names.kind, document.title)
        if key in seen:
            mistakes.append(f"{document.file}: {document.title}: also in {seen[key].file}")
        seen[key] = document
        yield document, kind


def _documents(paths: Sequence[str], mistakes: list[str]) -> Iterable[Document]:
    for path in paths:
        try:
            yield from read([path])
        except Mistake as mistake:
            mistakes.append(str(mistake))


def _only(objects: Iterable[Parsed], kind: type) -> list[Parsed]:
    return [one for one in objects if isinstance(one[1], kind)]


def _planned(
    document: Document, model: Model, objects: Sequence[Parsed], mistakes: list[str]
) -> list[dict[str, Any]]:
    plan = plan_for(model, _world(model, objects))
    problem = next((one for one in plan.status.conditions if one.type == "Stalled"), None)
    if problem:
        mistakes.append(f"{document.file}: {document.title}: {problem.reason}: {problem.message}")
        return []
    return [dict(manifest) for manifest in plan.apply]


def _world(model: Model, objects: Sequence[Parsed]) -> Observed:
    """Return a world with the pools and engines of the files, and nothing running."""
    known = dict(engines.built_in()) | {
        engine.metadata.name: engine for _, engine in _only(objects, Engine)
    }
    given = [pool for _, pool in _only(objects, GPUNodePool)]
    pools = {pool.metadata.name: Pool(pool=pool) for pool in given} or _unknown(model)
    return Observed(
        now=EPOCH,
        engine=known.get(model.spec.engine.name),
        known_engines=tuple(sorted(known)),
        pools=pools,
    )


def _unknown(model: Model) -> dict[str, Pool]:
    """Where the files hold no pool at all, leave its labels open, and say so."""
    if not model.spec.resources.gpus:
        return {}
    names = model.spec.node_pools or ("any-pool",)
    click.echo(
        f"note: no GPUNodePool is among the files, so the node labels of {', '.join(names)} "
        f"are not known: {OPEN} stands for them",
        err=True,
    )
    return {name: Pool(pool=_open_pool(name)) for name in names}


def _open_pool(name: str) -> GPUNodePool:
    return GPUNodePool.model_validate(
        {"metadata": {"name": name}, "spec": {"nodeSelector": {OPEN: name}}}
    )
