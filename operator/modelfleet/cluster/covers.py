"""Whether an object has all that we want of it, however the API server has written it down.

| we want | the server may have | because |
|---|---|---|
| a map | more keys | defaults, and fields of other managers |
| containers, env, … | more items, another order | lists that merge by a key: sidecars |
| finalizers | more of them | a set |
| any other list | the same items in the same order | it is one value with one owner |
| "1Gi" of a resource | "1024Mi", 1073741824 | both parse to one quantity |
| "", 0, false, [], {}, null | nothing | an empty value may be dropped when it is stored |
"""

import re
from collections.abc import Mapping, Sequence
from decimal import Decimal
from functools import lru_cache
from typing import Any

_MERGED: Mapping[str, tuple[tuple[str, ...], ...]] = {
    "ownerReferences": (("uid",),),
    "containers": (("name",),),
    "initContainers": (("name",),),
    "env": (("name",),),
    "ports": (("containerPort", "protocol"), ("port", "protocol")),
    "volumes": (("name",),),
    "volumeMounts": (("mountPath",),),
    "volumeDevices": (("devicePath",),),
    "imagePullSecrets": (("name",),),
    "secrets": (("name",),),
    "hostAliases": (("ip",),),
    "topologySpreadConstraints": (("topologyKey", "whenUnsatisfiable"),),
    "conditions": (("type",),),
}
"""Fields that hold a list which merges, with its key: the `list-map-keys` of the built-in API."""

_DEFAULTS: Mapping[str, str] = {"protocol": "TCP"}
"""Keys of merged lists that the server fills in."""

_SETS = frozenset({"finalizers"})

_QUANTITIES = frozenset({"requests", "limits", "capacity", "hard", "sizeLimit", "divisor"})
"""Fields that are a quantity or hold nothing else."""


def covers(live: Any, desired: Any) -> bool:
    """Whether `live` has every field of `desired` with an equal value."""
    return _covers(live, desired, "", False)


def _covers(live: Any, desired: Any, field: str, atomic: bool) -> bool:
    if live is None or desired is None:
        return _is_empty(live) and _is_empty(desired)
    if isinstance(desired, Mapping):
        return isinstance(live, Mapping) and _covers_map(live, desired, field, atomic)
    if isinstance(desired, list | tuple):
        return isinstance(live, list | tuple) and _covers_list(live, desired, field, atomic)
    return _equal(live, desired, field)


def _covers_map(
    live: Mapping[str, Any], desired: Mapping[str, Any], field: str, atomic: bool
) -> bool:
    if field in _ATOMIC_MAPS and not set(live) <= set(desired):
        return False
    holds_quantities = field in _QUANTITIES
    return all(
        _covers(live.get(key), wanted, field if holds_quantities else key, atomic)
        for key, wanted in desired.items()
    )


def _covers_list(live: Sequence[Any], desired: Sequence[Any], field: str, atomic: bool) -> bool:
    if not desired:
        return not live
    if field in _SETS:
        return all(item in live for item in desired)
    if not atomic and field in _MERGED and all(isinstance(item, Mapping) for item in desired):
        return all(_has_item(live, item, field) for item in desired)
    # One value with one owner: so are the lists inside it.
    pairs = zip(live, desired, strict=False)
    return len(live) == len(desired) and all(_covers(a, b, field, True) for a, b in pairs)


def _has_item(live: Sequence[Any], wanted: Mapping[str, Any], field: str) -> bool:
    key = next((key for key in _MERGED[field] if key[0] in wanted), _MERGED[field][0])
    named = (item for item in live if isinstance(item, Mapping) and _same(key, item, wanted))
    return any(_covers(item, wanted, "", False) for item in named)


def _same(key: tuple[str, ...], item: Mapping[str, Any], wanted: Mapping[str, Any]) -> bool:
    return all(
        item.get(part, _DEFAULTS.get(part)) == wanted.get(part, _DEFAULTS.get(part)) for part in key
    )


_ATOMIC_MAPS = frozenset({"selector", "nodeSelector", "matchLabels"})
"""Maps that are one value: a key more leads somewhere else."""


def _is_empty(value: Any) -> bool:
    if isinstance(value, Mapping):
        return all(_is_empty(part) for part in value.values())
    return not value


def _equal(live: Any, desired: Any, field: str) -> bool:
    if isinstance(live, bool) or isinstance(desired, bool):
        return live is desired
    if live == desired:
        return True
    if field not in _QUANTITIES or isinstance(live, Mapping | list | tuple):
        return False
    wanted = quantity(str(desired))
    return wanted is not None and wanted == quantity(str(live))


_QUANTITY = re.compile(
    r"([+-]?(?:\d+\.?\d*|\.\d+))(?:([KMGTPE]i|[numkMGTPE])|[eE]([+-]?\d{1,2}))?", re.ASCII
)
_SUFFIXES: Mapping[str, Decimal] = {
    **{f"{letter}i": Decimal(1024) ** power for power, letter in enumerate("KMGTPE", start=1)},
    **{letter: Decimal(1000) ** power for power, letter in enumerate("kMGTPE", start=1)},
    "n": Decimal("1e-9"),
    "u": Decimal("1e-6"),
    "m": Decimal("1e-3"),
}


@lru_cache(maxsize=4096)
def quantity(text: str) -> Decimal | None:
    """Return the number that a Kubernetes quantity stands for, or None if it is none.

    The grammar is that of k8s.io/apimachinery/pkg/api/resource: a decimal with a binary suffix, a
    decimal suffix or an exponent.
    """
    match = _QUANTITY.fullmatch(text)
    if match is None:
        return None
    number, suffix, exponent = match.groups()
    if suffix:
        return Decimal(number) * _SUFFIXES[suffix]
    return Decimal(number).scaleb(int(exponent or 0))
