"""The ledger's ConfigMaps: one that is open, and those of days that are over, by month.

Each write names the version that it replaces, so that a second writer is found out and neither
overwrites the other.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from modelfleet.api import labels
from modelfleet.cluster import errors
from modelfleet.cluster.rest import CONFIG_MAPS
from modelfleet.cluster.session import Session

LEDGER = f"{labels.GROUP}/ledger"
"""Label: `open`, or the month, as in 2026-11."""
KEY = "ledger"
OPEN = "open"


@dataclass(frozen=True, slots=True)
class Document:
    """One ConfigMap. Without a version it is not written yet."""

    name: str
    label: str
    text: str
    version: str = ""


class Checkpoints:
    """Reads and writes the documents of one ledger. Raises ApiError."""

    def __init__(self, session: Session, namespace: str, name: str) -> None:
        """`name` begins the names of all its ConfigMaps."""
        self._session, self._namespace, self._name = session, namespace, name

    async def all(self) -> list[Document]:
        """Return every document, the open one first, then by name."""
        found, token = [], ""
        while True:
            query = {"labelSelector": LEDGER, "limit": "20"}
            page = await self._session.page(
                CONFIG_MAPS.all(self._namespace), query | ({"continue": token} if token else {})
            )
            found += [_document(raw) for raw in page.items]
            token = page.next
            if not token:
                return sorted(self._own(found), key=lambda one: (one.label != OPEN, one.name))

    def _own(self, found: Iterable[Document]) -> list[Document]:
        return [one for one in found if one.name.startswith(f"{self._name}-")]

    def named(self, suffix: str, label: str, text: str) -> Document:
        """Return a document that is not written yet."""
        return Document(f"{self._name}-{suffix}", label, text)

    async def write(self, document: Document, told: Mapping[str, str]) -> Document:
        """Create or replace it; `told` is for people. Raises Conflict where another wrote it."""
        body = self._body(document, told)
        if document.version:
            where = CONFIG_MAPS.at(self._namespace, document.name)
            return _document(await self._session.replace(where, body))
        return _document(await self._session.create(CONFIG_MAPS.all(self._namespace), body))

    async def delete(self, document: Document) -> None:
        """Delete one that is too old; gone is as good."""
        where = CONFIG_MAPS.at(self._namespace, document.name)
        try:
            await self._session.delete(
                where, {"preconditions": {"resourceVersion": document.version}}
            )
        except errors.NotFound:
            return

    def _body(self, document: Document, told: Mapping[str, str]) -> dict[str, Any]:
        metadata: dict[str, Any] = {
            "name": document.name,
            "namespace": self._namespace,
            "labels": {labels.MANAGED_BY: labels.FIELD_MANAGER, LEDGER: document.label},
        }
        if document.version:
            metadata["resourceVersion"] = document.version
        return {
            "apiVersion": CONFIG_MAPS.api_version,
            "kind": CONFIG_MAPS.kind,
            "metadata": metadata,
            "data": dict(told),
            "binaryData": {KEY: document.text},
        }


def _document(raw: Mapping[str, Any]) -> Document:
    meta = raw["metadata"]
    label = (meta.get("labels") or {}).get(LEDGER, "")
    text = (raw.get("binaryData") or {}).get(KEY, "")
    return Document(meta["name"], label, text, meta["resourceVersion"])
