"""A small client of the API server, for use inside a cluster's namespace."""

import http.client
import json
import ssl
import threading
from typing import Any
from urllib.parse import urlsplit

from devcluster import network
from devcluster.layout import Layout


class Refused(Exception):
    """The API server has answered with an error."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class Client:
    """Speaks JSON as the administrator. Threads may share it: each has its own connection."""

    def __init__(self, at: Layout) -> None:
        self._tls = ssl.create_default_context(cafile=str(at.pki / "ca.crt"))
        self._tls.load_cert_chain(at.pki / "admin.crt", at.pki / "admin.key")
        self._local = threading.local()

    def call(self, method: str, path: str, body: object = None, *, patch: str = "merge") -> Any:
        """Send one request and return the answer's body.

        `patch` is the kind of a PATCH: merge, strategic-merge or json. Raises `Refused`, and
        `OSError` or `http.client.HTTPException` where nobody answers.
        """
        kind = f"application/{patch}-patch+json" if method == "PATCH" else "application/json"
        text = None if body is None else json.dumps(body)
        connection = self._connection()
        try:
            connection.request(method, path, text, {"Content-Type": kind})
            answer = connection.getresponse()
            content = answer.read()
        except (OSError, http.client.HTTPException):
            connection.close()
            raise
        document = json.loads(content) if content[:1] == b"{" else content.decode()
        if answer.status >= 400:
            message = document["message"] if isinstance(document, dict) else document
            raise Refused(answer.status, message)
        return document

    def _connection(self) -> http.client.HTTPSConnection:
        if not hasattr(self._local, "connection"):
            self._local.connection = http.client.HTTPSConnection(
                network.API_ADDRESS, network.API_PORT, timeout=30, context=self._tls
            )
        connection: http.client.HTTPSConnection = self._local.connection
        return connection


def is_well(url: str) -> bool:
    """Say whether a health endpoint answers 200 within a second. Certificates are not checked."""
    parts = urlsplit(url)
    assert parts.hostname
    connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=1)
    if parts.scheme == "https":
        connection = http.client.HTTPSConnection(
            parts.hostname, parts.port, timeout=1, context=_unchecked()
        )
    try:
        connection.request("GET", parts.path)
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def _unchecked() -> ssl.SSLContext:
    """Trust anybody: controllers sign their own certificates, and this is a private network."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context
