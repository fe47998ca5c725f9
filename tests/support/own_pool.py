"""Nodes and a pool that one test has for itself, made while the cluster runs."""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from threading import Lock

from devcluster import api, fleet
from devcluster.layout import Layout
from devcluster.nodes import POOL_LABEL
from devcluster.options import Pool
from modelfleet.cluster import rest
from modelfleet.cluster.errors import NotFound
from modelfleet.cluster.session import Session
from support.eventually import eventually
from support.manifests import pool as pool_object

ALLOWED = Lock()
"""One at a time: who adds nodes looks for addresses that nobody has."""

PATIENCE = 30.0
"""Seconds until a test stops to hope. Not an assertion about speed."""


@asynccontextmanager
async def own_pool(client: Session, name: str, nodes: int, gpus: int) -> AsyncIterator[list[str]]:
    """Make nodes and a pool of this name for the time of the block; return the nodes' names."""
    names = [f"{name}-{index}" for index in range(nodes)]
    machines = _machines()
    await asyncio.to_thread(_add, machines, Pool(name=name, nodes=nodes, gpus=gpus, product=name))
    try:
        await eventually(lambda: not set(names) & set(fleet.unready(machines)), PATIENCE)
        await client.create(rest.GPU_NODE_POOLS.all(), pool_object(name, **{POOL_LABEL: name}))
        yield names
    finally:
        with suppress(NotFound):
            await client.delete(rest.GPU_NODE_POOLS.at(None, name), {})
        await asyncio.to_thread(_remove, _machines(), name)


async def add(name: str, gpus: int) -> None:
    """Add a node to a pool that `own_pool` has made."""
    pool = Pool(name=name, nodes=1, gpus=gpus, product=name)
    await asyncio.to_thread(_add, _machines(), pool)


async def lose(name: str) -> None:
    """Let the kubelet of a node fall silent."""
    await asyncio.to_thread(fleet.lose, _machines(), name)


async def remove(name: str) -> None:
    """Take a machine away with all that runs on it."""
    await asyncio.to_thread(fleet.remove, _machines(), name)


def _machines() -> api.Client:
    """Return a client with a fresh connection: the server closes those that idle."""
    return api.Client(Layout.of(os.environ["DEVCLUSTER"]))


def _add(machines: api.Client, pool: Pool) -> None:
    with ALLOWED:
        fleet.add(machines, pool, fleet.next_indices(machines, pool))


def _remove(machines: api.Client, pool: str) -> None:
    label = f"{POOL_LABEL}%3D{pool}"
    for node in machines.call("GET", f"{fleet.NODES}?labelSelector={label}")["items"]:
        fleet.remove(machines, node["metadata"]["name"])
