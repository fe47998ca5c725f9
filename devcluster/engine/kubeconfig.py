"""What a kubeconfig says about reaching an API server."""

import base64
import ssl
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml


class BadKubeconfig(Exception):
    """A kubeconfig that cannot be used. The message says why."""


@dataclass(frozen=True, slots=True)
class Access:
    """Where the API server is and how to be let in."""

    server: str
    headers: Mapping[str, str]
    tls: ssl.SSLContext | bool


def access_from(path: Path) -> Access:
    """Read the current context. Raises `BadKubeconfig` and `OSError`."""
    document = yaml.safe_load(path.read_text())
    try:
        context = _named(document, "contexts", document["current-context"])["context"]
        cluster = _named(document, "clusters", context["cluster"])["cluster"]
        user = _named(document, "users", context["user"])["user"]
        server = cluster["server"].rstrip("/")
    except (KeyError, TypeError) as error:
        raise BadKubeconfig(f"{path}: {error} is missing") from error
    return Access(server, _headers(user, path), _tls(cluster, user, path))


def _named(document: Mapping[str, Any], kind: str, name: str) -> Mapping[str, Any]:
    for entry in document[kind]:
        if entry["name"] == name:
            return dict(entry)
    raise BadKubeconfig(f"no entry {name!r} in {kind}")


def _headers(user: Mapping[str, Any], path: Path) -> dict[str, str]:
    token = user.get("token")
    if "tokenFile" in user:
        token = (path.parent / user["tokenFile"]).read_text().strip()
    return {"Authorization": f"Bearer {token}"} if token else {}


def _tls(cluster: Mapping[str, Any], user: Mapping[str, Any], path: Path) -> ssl.SSLContext | bool:
    if not cluster["server"].startswith("https:"):
        return False
    authority = _bytes(cluster, "certificate-authority", path)
    tls = ssl.create_default_context(cadata=authority.decode() if authority else None)
    if cluster.get("insecure-skip-tls-verify"):
        tls.check_hostname = False
        tls.verify_mode = ssl.CERT_NONE
    certificate, key = (_bytes(user, name, path) for name in ("client-certificate", "client-key"))
    if certificate and key:
        with tempfile.NamedTemporaryFile() as file:  # the ssl module reads them from files only
            file.write(certificate + b"\n" + key)
            file.flush()
            tls.load_cert_chain(file.name)
    return tls


def _bytes(section: Mapping[str, Any], name: str, path: Path) -> bytes | None:
    """Return what is given inline as `NAME-data`, or in the file `NAME`."""
    if f"{name}-data" in section:
        return base64.b64decode(section[f"{name}-data"])
    if name in section:
        return (path.parent / str(section[name])).read_bytes()
    return None
