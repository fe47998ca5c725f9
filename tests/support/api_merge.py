"""Server-side apply and merge patches as the API server does them, for the kinds that we write.

Ownership is kept per leaf. Lists that merge by a key become maps while they are merged.
"""

import copy
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

Path = tuple[Any, ...]

LIST_KEYS: Mapping[str, tuple[tuple[str, ...], ...]] = {
    "containers": (("name",),),
    "initContainers": (("name",),),
    "env": (("name",),),
    "volumes": (("name",),),
    "volumeMounts": (("mountPath",),),
    "ports": (("containerPort", "protocol"), ("port", "protocol")),
    "conditions": (("type",),),
    "ownerReferences": (("uid",),),
    "imagePullSecrets": (("name",),),
}

UNOWNED = ("name", "namespace", "uid", "resourceVersion", "generation", "creationTimestamp")
"""Fields of the metadata that no manager owns."""


class Items(dict[Any, Any]):
    """A list as a map from merge key to item."""


@dataclass
class Ownership:
    """Which manager owns which leaves. An apply and an update of one name are two managers."""

    applied: dict[str, set[Path]] = field(default_factory=dict)
    updated: dict[str, set[Path]] = field(default_factory=dict)

    def others(self, manager: str) -> Iterator[tuple[str, set[Path]]]:
        """All but what `manager` has applied."""
        yield from ((name, own) for name, own in self.applied.items() if name != manager)
        yield from self.updated.items()

    def update(self, manager: str, changed: set[Path]) -> None:
        """Note that `manager` has set leaves by something else than apply."""
        for _, own in [*self.applied.items(), *self.updated.items()]:
            own -= changed
        self.updated.setdefault(manager, set()).update(changed)


class FieldConflictError(Exception):
    """Others own these leaves, with another value: (manager, path)."""

    def __init__(self, conflicts: list[tuple[str, Path]]) -> None:
        super().__init__(str(conflicts))
        self.conflicts = conflicts


def apply(
    live: dict[str, Any], wanted: Mapping[str, Any], owners: Ownership, manager: str, force: bool
) -> dict[str, Any]:
    """Return `live` with all that `wanted` has and without what `manager` wants no more."""
    tree, target = to_tree(live), to_tree(_ownable(wanted))
    leaves = dict(_leaves(target))
    conflicts = [
        (name, path)
        for name, own in owners.others(manager)
        for path in own
        if _differs(tree, leaves, path)
    ]
    if conflicts and not force:
        raise FieldConflictError(conflicts)
    for name, path in conflicts:
        for kind in (owners.applied, owners.updated):
            if name in kind and not (kind is owners.applied and name == manager):
                kind[name].discard(path)
    kept = {path for _, own in owners.others(manager) for path in own}
    for path in owners.applied.get(manager, set()) - set(leaves) - kept:
        _remove(tree, path)
    for path, value in leaves.items():
        _set(tree, path, value)
    owners.applied[manager] = set(leaves)
    merged: dict[str, Any] = from_tree(tree)
    return merged


def changed_leaves(old: Mapping[str, Any], new: Mapping[str, Any]) -> set[Path]:
    """Return the leaves that `new` has differently."""
    before = dict(_leaves(to_tree(_ownable(old))))
    after = dict(_leaves(to_tree(_ownable(new))))
    return {path for path, value in after.items() if before.get(path) != value}


def merge_patch(target: Any, patch: Any) -> Any:
    """RFC 7386."""
    if not isinstance(patch, dict):
        return copy.deepcopy(patch)
    result = dict(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = merge_patch(result.get(key), value)
    return result


def to_tree(value: Any, name: str = "") -> Any:
    if isinstance(value, Mapping):
        return {key: to_tree(part, key) for key, part in value.items()}
    if isinstance(value, list):
        key = _key_of(name, value)
        if key:
            return Items({tuple(i.get(k, "TCP") for k in key): to_tree(i) for i in value})
        return copy.deepcopy(value)
    return value


def from_tree(tree: Any) -> Any:
    if isinstance(tree, Items):
        return [from_tree(item) for item in tree.values()]
    if isinstance(tree, dict):
        return {key: from_tree(part) for key, part in tree.items()}
    return tree


def _key_of(name: str, items: list[Any]) -> tuple[str, ...] | None:
    if not items or not all(isinstance(item, Mapping) for item in items):
        return None
    keys = LIST_KEYS.get(name, ())
    return next((key for key in keys if all(key[0] in item for item in items)), None)


def _ownable(obj: Mapping[str, Any]) -> dict[str, Any]:
    metadata = {k: v for k, v in obj.get("metadata", {}).items() if k not in UNOWNED}
    rest = {k: v for k, v in obj.items() if k not in ("apiVersion", "kind", "metadata")}
    return {**rest, **({"metadata": metadata} if metadata else {})}


def _leaves(tree: Any, path: Path = ()) -> Iterator[tuple[Path, Any]]:
    if isinstance(tree, dict) and tree:
        for key, part in tree.items():
            yield from _leaves(part, (*path, key))
    else:
        yield path, tree


_ABSENT = object()


def _get(tree: Any, path: Path) -> Any:
    for key in path:
        if not isinstance(tree, dict) or key not in tree:
            return _ABSENT
        tree = tree[key]
    return tree


def _differs(tree: Any, leaves: Mapping[Path, Any], path: Path) -> bool:
    if path not in leaves:
        return False
    now = _get(tree, path)
    return now is not _ABSENT and now != leaves[path]


def _set(tree: dict[Any, Any], path: Path, value: Any) -> None:
    for depth, key in enumerate(path[:-1]):
        part = tree.get(key)
        if not isinstance(part, dict):
            part = Items() if isinstance(path[depth + 1], tuple) else {}
            tree[key] = part
        tree = part
    if not path:
        return
    if not (value == {} and isinstance(tree.get(path[-1]), dict)):
        tree[path[-1]] = value


def _remove(tree: Any, path: Path) -> None:
    if len(path) == 1:
        tree.pop(path[0], None)
        return
    part = tree.get(path[0])
    if isinstance(part, dict):
        _remove(part, path[1:])
        if not part:
            del tree[path[0]]
