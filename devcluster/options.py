"""What a user asks of a cluster: its nodes, and how slow its pods are."""

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Self

DNS_LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?")
SIZE = re.compile(r"(\d+)x(\d+)")
MOST_NODES = 10_000
"""Of one pool: beyond it, the control plane on one machine is what a test measures."""


class BadOption(ValueError):
    """An option cannot be used. The message says what would be right."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pool:
    """Nodes that are alike. Without GPUs, `product` is empty."""

    name: str
    nodes: int
    gpus: int = 0
    product: str = ""
    extras: Mapping[str, str] = field(default_factory=dict)
    """Labels, but for the keys that `nodes.node_for` knows: taint, zone, cpu, memory, …"""


DEFAULT_POOLS = (Pool(name="h100", nodes=4, gpus=8, product="NVIDIA-H100-80GB-HBM3"),)


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterOptions:
    """All that a cluster is started with, kept in its folder for the next start."""

    pools: tuple[Pool, ...] = ()
    cpu_nodes: int = 1
    pull_seconds: float = 2.0
    load_seconds: float = 4.0

    def changed_by(self, given: Mapping[str, Any]) -> Self:
        """Return these options with those `given` that are not None.

        Pools are added by name; a cluster that has had none and is given none gets the default.
        """
        news = {key: value for key, value in given.items() if value is not None}
        pools = united(self.pools, news.pop("pools", ())) or DEFAULT_POOLS
        return replace(self, **news, pools=pools)

    def all_pools(self) -> tuple[Pool, ...]:
        """Return the pools with GPUs and, last, the one without."""
        cpu = Pool(name="cpu", nodes=self.cpu_nodes)
        return (*self.pools, cpu) if self.cpu_nodes else self.pools

    def to_json(self) -> str:
        """Write these options so that `from_json` can read them."""
        return json.dumps(asdict(self), indent=2)

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Read what `to_json` has written."""
        values = json.loads(text)
        return cls(**{**values, "pools": tuple(Pool(**pool) for pool in values["pools"])})


def united(old: Iterable[Pool], new: Iterable[Pool]) -> tuple[Pool, ...]:
    """Return all pools; of two with one name, the new one."""
    return tuple({pool.name: pool for pool in (*old, *new)}.values())


def pool_from(text: str) -> Pool:
    """Read `NAME=NODESxGPUS:PRODUCT[:KEY=VALUE,...]`. Raises `BadOption`."""
    name, equals, rest = text.partition("=")
    size, _, rest = rest.partition(":")
    product, _, extras = rest.partition(":")
    measures = SIZE.fullmatch(size)
    if not equals or not measures:
        raise BadOption(f"{text!r} is not NAME=NODESxGPUS:PRODUCT[:KEY=VALUE,...]")
    nodes, gpus = int(measures[1]), int(measures[2])
    if gpus and not product:
        raise BadOption(f"{text!r} names no GPU product, such as NVIDIA-L4")
    if nodes > MOST_NODES:
        raise BadOption(f"{text!r}: at most {MOST_NODES} nodes in a pool")
    return Pool(
        name=checked_name(name), nodes=nodes, gpus=gpus, product=product, extras=_extras(extras)
    )


def checked_name(name: str) -> str:
    """Return `name` if it can be part of a node's or folder's name. Raises `BadOption`."""
    if not DNS_LABEL.fullmatch(name):
        raise BadOption(f"{name!r} is no name: up to 32 of a-z, 0-9 and '-', no '-' at the ends")
    return name


def _extras(text: str) -> dict[str, str]:
    pairs = [pair.partition("=") for pair in text.split(",") if pair]
    wrong = ["".join(pair) for pair in pairs if not (pair[0] and pair[1])]
    if wrong:
        raise BadOption(f"{wrong[0]!r} is not KEY=VALUE")
    return {key: value for key, _, value in pairs}
