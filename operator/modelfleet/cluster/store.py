"""What we know of one kind: parsed values by name and by index, never older than they were.

Two sources feed a store: a watch, and the answers to our own writes, so that we read what we have
written. The answers may come late: a watch may have told already that the object is gone. So

* an object replaces another of the same name only with a higher resourceVersion, whatever the uid;
* the store knows up to which version the watch has told it everything (`horizon`): an answer below
  it about an object that is not here is about one that is gone;
* it remembers the versions of the last deletions, for events that come twice or late.
"""

import logging
import sys
from collections import OrderedDict
from collections.abc import Callable, Container, Hashable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from modelfleet import telemetry
from modelfleet.cluster.rest import Resource

logger = logging.getLogger(__name__)

T = TypeVar("T")
Name = tuple[str, str]
"""Namespace (empty for a cluster-wide kind) and name."""

Raw = Mapping[str, Any]
"""A parsed object of the API server. Stores leave it as it is: kopf looks at the same one."""

Change = Callable[[T | None, T | None], None]
"""Told (old, new); None for what did not exist before or does not any more."""

TOMBSTONES = 2048
"""Deletions remembered: each is about 200 bytes, and a late event is late by seconds."""


@dataclass(frozen=True, slots=True)
class Entry(Generic[T]):
    """A value with what says how old it is."""

    version: int
    uid: str
    value: T


class Store(Generic[T]):
    """Objects of one kind. Everything is synchronous and belongs to one event loop."""

    def __init__(
        self,
        resource: Resource,
        parse: Callable[[dict[str, Any]], T],
        *,
        index: Mapping[str, Callable[[T], Hashable | None]] | None = None,
        on_unparsable: Callable[[Raw, Exception], None] | None = None,
        with_managed_fields: bool = False,
    ) -> None:
        self.resource = resource
        self._dropped = () if with_managed_fields else ("managedFields",)
        self._parse = parse
        self._key_of = dict(index or {})
        self._on_unparsable = on_unparsable
        self._entries: dict[Name, Entry[T]] = {}
        self._index: dict[str, dict[Hashable, dict[Name, None]]] = {n: {} for n in self._key_of}
        self._tombstones: OrderedDict[Name, int] = OrderedDict()
        self._changes: list[Change[T]] = []
        self._size = telemetry.STORED_OBJECTS.labels(resource.kind)
        self._horizons: dict[str, int] = {}
        """By the namespace of a watch; "" is a watch of all namespaces."""

    def subscribe(self, change: Change[T]) -> None:
        """Have `change` called for each difference in values. What it raises is logged."""
        self._changes.append(change)

    def __len__(self) -> int:
        return len(self._entries)

    def __iter__(self) -> Iterator[T]:
        """All values, in no order. Do not await while iterating."""
        return (entry.value for entry in self._entries.values())

    def get(self, namespace: str | None, name: str) -> T | None:
        """Return a value, or None."""
        entry = self._entries.get((namespace or "", name))
        return entry.value if entry else None

    def entry(self, namespace: str | None, name: str) -> Entry[T] | None:
        """Return a value with its uid and version, or None."""
        return self._entries.get((namespace or "", name))

    def names(self) -> list[Name]:
        """Return the names of all, as they are now."""
        return list(self._entries)

    def by(self, index: str, key: Hashable) -> list[T]:
        """Return the values that `index` puts under `key`, in order of name."""
        names = self._index[index].get(key, ())
        return [self._entries[name].value for name in sorted(names)]

    def keys(self, index: str) -> list[Hashable]:
        """Return the keys of `index` that have values."""
        return list(self._index[index])

    def horizon(self, within: str = "") -> int:
        """Return the resourceVersion up to which a namespace's watch has told everything."""
        return max(self._horizons.get("", 0), self._horizons.get(within, 0))

    def feed(self, kind: str | None, raw: Raw, within: str = "") -> None:
        """Take in a watch event: ADDED, MODIFIED, DELETED; anything else is one of a list.

        `within` is the namespace that is watched; empty: all of them.
        """
        version = version_of(raw)
        self.advance(version, within)
        if kind == "DELETED":
            self._remove(name_of(raw), version)
        else:
            self._take(raw, version)

    def put(self, raw: Raw) -> None:
        """Take in the answer to a write of ours, unless the watch has told more already."""
        version = version_of(raw)
        name = name_of(raw)
        if version <= self.horizon(name[0]) and name not in self._entries:
            return
        self._take(raw, version)

    def advance(self, version: int, within: str = "") -> None:
        """Note that nothing up to `version` is missing: a bookmark said so."""
        self._horizons[within] = max(self._horizons.get(within, 0), version)

    def retain(self, seen: Container[Name], version: int, within: str = "") -> list[Name]:
        """Drop what a complete list at `version` did not have; return the names.

        What is newer than the list stays: it is a write of ours that the list could not show.
        """
        vanished = [
            name
            for name, entry in self._entries.items()
            if name not in seen and entry.version <= version and within in ("", name[0])
        ]
        for name in vanished:
            self._remove(name, version)
        self.advance(version, within)
        return vanished

    def rewind(self) -> None:
        """Let every object be replaced by an older one: the cluster was restored from a backup."""
        self._horizons.clear()
        self._tombstones.clear()
        for name, entry in self._entries.items():
            self._entries[name] = Entry(0, entry.uid, entry.value)

    def drop(self, name: Name, uid: str) -> bool:
        """Forget an object of which somebody knows that it is gone; return whether it was here."""
        entry = self._entries.get(name)
        if entry is None or entry.uid != uid:
            return False
        self._remove(name, entry.version)
        return True

    def _take(self, raw: Raw, version: int) -> None:
        name = name_of(raw)
        old = self._entries.get(name)
        known = old.version if old else self._tombstones.get(name, -1)
        if version <= known:
            return
        raw = self._whole(raw)
        try:
            value = self._parse(raw)
            keys = self._keys(value)
        except Exception as error:
            self._report(raw, error)
            self._remove(name, version)  # what we knew of it is not so any more
            return
        self._entries[name] = Entry(version, str(raw["metadata"].get("uid", "")), value)
        self._tombstones.pop(name, None)
        self._reindex(name, old, keys)
        self._tell(old.value if old else None, value)

    def _whole(self, raw: Raw) -> dict[str, Any]:
        """Return `raw` with the kind, which items of lists lack, and without managedFields.

        These are large, and only one parser looks at them.
        """
        metadata = {k: v for k, v in raw["metadata"].items() if k not in self._dropped}
        kind = {"apiVersion": self.resource.api_version, "kind": self.resource.kind}
        return {**kind, **raw, "metadata": metadata}

    def _remove(self, name: Name, version: int) -> None:
        old = self._entries.get(name)
        if old is not None and old.version > version:
            return
        self._bury(name, version)
        if old is None:
            return
        self._reindex(name, old, {})
        del self._entries[name]
        self._tell(old.value, None)

    def _bury(self, name: Name, version: int) -> None:
        self._tombstones[name] = max(version, self._tombstones.pop(name, -1))
        if len(self._tombstones) > TOMBSTONES:
            self._tombstones.popitem(last=False)

    def _keys(self, value: T) -> dict[str, Hashable]:
        found = ((index, key_of(value)) for index, key_of in self._key_of.items())
        return {index: key for index, key in found if key is not None}

    def _reindex(self, name: Name, old: Entry[T] | None, keys: Mapping[str, Hashable]) -> None:
        before = self._keys(old.value) if old else {}
        for index, key in before.items():
            if keys.get(index) != key:
                self._unlist(index, key, name)
        for index, key in keys.items():
            self._index[index].setdefault(key, {})[name] = None

    def _unlist(self, index: str, key: Hashable, name: Name) -> None:
        names = self._index[index][key]
        del names[name]
        if not names:
            del self._index[index][key]

    def _tell(self, old: T | None, new: T | None) -> None:
        self._size.set(len(self._entries))
        if old == new:
            return
        for change in self._changes:
            try:
                change(old, new)
            except Exception:
                telemetry.CALLBACK_ERRORS.labels(self.resource.kind).inc()
                logger.exception("a change was not handled", extra={"kind": self.resource.kind})

    def _report(self, raw: Raw, error: Exception) -> None:
        telemetry.UNPARSABLE.labels(self.resource.kind).inc()
        extra = {"kind": self.resource.kind, "object": "/".join(name_of(raw)), "error": str(error)}
        logger.warning("an object makes no sense and is skipped", extra=extra)
        if self._on_unparsable is not None:
            self._on_unparsable(raw, error)


def name_of(raw: Mapping[str, Any]) -> Name:
    """Return namespace and name of an object."""
    metadata = raw["metadata"]
    # A parser makes a new string for each object; ten thousand pods share few namespaces.
    return sys.intern(metadata.get("namespace") or ""), metadata["name"]


def version_of(raw: Mapping[str, Any]) -> int:
    """Return the resourceVersion as a number, which orders the versions of one kind."""
    return int(raw["metadata"].get("resourceVersion") or 0)
