"""Where the API server is and how to be trusted by it: from the pod's files, or a kubeconfig."""

import base64
import os
import ssl
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from modelfleet.cluster.credentials import Credentials, ExecPlugin, StaticToken, TokenFile

SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
DEFAULT_KUBECONFIG = Path("~/.kube/config")


class ConfigError(Exception):
    """The configuration does not say how to reach an API server."""


@dataclass(frozen=True, slots=True)
class Connection:
    """All that is needed to talk to one API server as one user."""

    server: str
    """As in https://10.96.0.1:443, without a slash at the end."""
    tls: ssl.SSLContext | None = field(default=None, repr=False)
    """Built once: loading the trust store takes milliseconds. None for plain HTTP."""
    credentials: Credentials = field(default_factory=StaticToken)
    namespace: str = "default"


def find(
    kubeconfig: str = "", context: str = "", environment: Mapping[str, str] = os.environ
) -> Connection:
    """Return the connection that is meant. Raises ConfigError.

    A named kubeconfig wins, then the pod's service account, then $KUBECONFIG and ~/.kube/config.
    """
    if not kubeconfig and environment.get("KUBERNETES_SERVICE_HOST"):
        return in_cluster(environment)
    listed = kubeconfig or environment.get("KUBECONFIG") or str(DEFAULT_KUBECONFIG.expanduser())
    return from_files([Path(part) for part in listed.split(os.pathsep) if part], context)


def in_cluster(environment: Mapping[str, str], folder: Path = SERVICE_ACCOUNT) -> Connection:
    """Return the connection of a pod. Raises ConfigError outside one."""
    try:
        host = environment["KUBERNETES_SERVICE_HOST"]
        namespace = (folder / "namespace").read_text(encoding="utf-8").strip()
        tls = ssl.create_default_context(cafile=str(folder / "ca.crt"))
    except (KeyError, OSError) as error:
        raise ConfigError(f"not in a pod with a service account: {error}") from error
    port = environment.get("KUBERNETES_SERVICE_PORT", "443")
    host = f"[{host}]" if ":" in host else host
    return Connection(f"https://{host}:{port}", tls, TokenFile(folder / "token"), namespace)


def from_files(paths: Iterable[Path], context: str = "") -> Connection:
    """Return a context's connection, by default the current one. Raises ConfigError.

    Of several files the first to name a thing wins, as for kubectl.
    """
    named = list(paths)
    found = [path for path in named if path.exists()]
    if not found:
        raise ConfigError(
            f"no kubeconfig: {', '.join(map(str, named))} does not exist; "
            "give --kubeconfig or set KUBECONFIG"
        )
    return from_documents([_read(path) for path in found], context)


def from_documents(documents: Iterable[Mapping[str, Any]], context: str = "") -> Connection:
    """Return the connection that parsed kubeconfigs describe. Raises ConfigError."""
    merged = _Merged(tuple(documents))
    chosen = merged.named("contexts", context or merged.current_context(), "context")
    cluster = merged.named("clusters", chosen.get("cluster", ""), "cluster")
    user = merged.named("users", chosen["user"], "user") if chosen.get("user") else {}
    if not cluster.get("server"):
        raise ConfigError(f"cluster {chosen.get('cluster')!r} has no server")
    tls = _tls(cluster, user)
    return Connection(
        str(cluster["server"]).rstrip("/"),
        tls,
        _credentials(cluster, user, tls),
        chosen.get("namespace") or "default",
    )


def _read(path: Path) -> dict[str, Any]:
    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    except (OSError, yaml.YAMLError) as error:
        raise ConfigError(f"cannot read {path}: {error}") from error
    if not isinstance(document, dict):
        raise ConfigError(f"{path} is no kubeconfig")
    return _with_absolute_paths(document, path.parent)


_PATHS = ("certificate-authority", "client-certificate", "client-key", "tokenFile")


def _with_absolute_paths(document: dict[str, Any], folder: Path) -> dict[str, Any]:
    for entry in [*(document.get("clusters") or ()), *(document.get("users") or ())]:
        body = entry.get("cluster") or entry.get("user") or {}
        for key in _PATHS:
            if body.get(key):
                body[key] = str(folder / body[key])
        plugin = body.get("exec") or {}
        if os.sep in plugin.get("command", ""):
            plugin["command"] = str(folder / plugin["command"])
    return document


@dataclass(frozen=True, slots=True)
class _Merged:
    documents: tuple[Mapping[str, Any], ...]

    def current_context(self) -> str:
        named = (document.get("current-context") for document in self.documents)
        return next((name for name in named if name), "")

    def named(self, group: str, name: str, key: str) -> Mapping[str, Any]:
        for document in self.documents:
            for entry in document.get(group) or ():
                if entry.get("name") == name:
                    body: Mapping[str, Any] = entry.get(key) or {}
                    return body
        raise ConfigError(f"no {key} named {name!r} in the kubeconfig")


def _tls(cluster: Mapping[str, Any], user: Mapping[str, Any]) -> ssl.SSLContext | None:
    if not str(cluster.get("server")).startswith("https"):
        return None
    try:
        context = ssl.create_default_context(
            cafile=cluster.get("certificate-authority"),
            cadata=_text(cluster.get("certificate-authority-data")),
        )
        if cluster.get("insecure-skip-tls-verify"):
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        _load_client_certificate(context, user)
    except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
        raise ConfigError(f"bad certificate in the kubeconfig: {error}") from error
    return context


def _load_client_certificate(context: ssl.SSLContext, user: Mapping[str, Any]) -> None:
    with (
        _as_file(
            _text(user.get("client-certificate-data")), user.get("client-certificate")
        ) as cert,
        _as_file(_text(user.get("client-key-data")), user.get("client-key")) as key,
    ):
        if cert and key:
            context.load_cert_chain(cert, key)


def _text(encoded: str | None) -> str | None:
    return base64.b64decode(encoded).decode("ascii") if encoded else None


@contextmanager
def _as_file(text: str | None, path: str | None) -> Iterator[str | None]:
    # OpenSSL's binding reads certificates from files only; ours is private and lives an instant.
    if text is None:
        yield path
        return
    with tempfile.NamedTemporaryFile("w", suffix=".pem") as file:
        file.write(text)
        file.flush()
        yield file.name


def _credentials(
    cluster: Mapping[str, Any], user: Mapping[str, Any], tls: ssl.SSLContext | None
) -> Credentials:
    if user.get("exec"):
        return _plugin(cluster, user["exec"], tls)
    if user.get("tokenFile"):
        return TokenFile(Path(user["tokenFile"]))
    return StaticToken(user.get("token"))


def _plugin(
    cluster: Mapping[str, Any], spec: Mapping[str, Any], tls: ssl.SSLContext | None
) -> ExecPlugin:
    def use_certificate(cert: str, key: str) -> None:
        if tls is not None:
            _load_client_certificate(
                tls,
                {
                    "client-certificate-data": base64.b64encode(cert.encode()).decode(),
                    "client-key-data": base64.b64encode(key.encode()).decode(),
                },
            )

    return ExecPlugin(
        argv=(spec["command"], *(spec.get("args") or ())),
        environment={entry["name"]: entry["value"] for entry in spec.get("env") or ()},
        api_version=spec.get("apiVersion", "client.authentication.k8s.io/v1"),
        cluster=cluster if spec.get("provideClusterInfo") else None,
        use_certificate=use_certificate,
    )
