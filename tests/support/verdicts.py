"""What a real API server says to an object, without keeping it."""

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from kubernetes import config
from kubernetes.client import ApiClient

from modelfleet.api.labels import GROUP
from modelfleet.api.schema import Kind

DRY_RUN = "dryRun=All&fieldValidation=Strict"
CONFLICT, ATTEMPTS = 409, 5


@dataclass(frozen=True)
class Verdict:
    """`fields` are those that a refusal names."""

    accepted: bool
    message: str = ""
    fields: frozenset[str] = frozenset()
    stored: dict[str, Any] | None = None


class Judge:
    """Asks the API server of the current kubeconfig."""

    def __init__(self) -> None:
        self._client: ApiClient = config.new_client_from_config()  # type: ignore[no-untyped-call]

    def on_create(self, kind: type[Kind], body: str | dict[str, Any], namespace: str) -> Verdict:
        """Return the verdict on a new object. Text is sent as YAML, as it is."""
        return self._ask("POST", f"{_path(kind, namespace)}?{DRY_RUN}", body)

    def on_status(self, kind: type[Kind], name: str, status: Any, namespace: str) -> Verdict:
        """Return the verdict on a new status of an object that exists."""
        path = f"{_path(kind, namespace)}/{name}"
        for _ in range(ATTEMPTS):
            body = self._call("GET", path, None)[1] | {"status": status}
            code, said = self._call("PUT", f"{path}/status?{DRY_RUN}", body)
            if code != CONFLICT:
                break
        return _verdict(code, said)

    def _ask(self, method: str, path: str, body: str | dict[str, Any]) -> Verdict:
        return _verdict(*self._call(method, path, body))

    def _call(self, method: str, path: str, body: Any) -> tuple[int, dict[str, Any]]:
        kind = "yaml" if isinstance(body, str) else "json"
        call = self._client.param_serialize(
            method,
            path,
            header_params={"Content-Type": f"application/{kind}", "Accept": "application/json"},
            auth_settings=["BearerToken"],
        )
        answer = self._client.call_api(*call[:3], body=body)
        return answer.status, json.loads(answer.read())  # type: ignore[no-untyped-call]


def names(fields: Iterable[str], expected: str) -> bool:
    """Return whether one of `fields` is the expected one or lies in it."""
    return any(
        field == expected or field.startswith((f"{expected}.", f"{expected}[")) for field in fields
    )


def _path(kind: type[Kind], namespace: str) -> str:
    within = f"/namespaces/{namespace}" if kind.names.scope == "Namespaced" else ""
    return f"/apis/{GROUP}/v1alpha1{within}/{kind.names.plural}"


def _verdict(code: int, said: dict[str, Any]) -> Verdict:
    if code < 300:
        return Verdict(accepted=True, stored=said)
    causes = (said.get("details") or {}).get("causes") or []
    fields = {cause.get("field", "").removeprefix(".") for cause in causes} - {"", "<nil>"}
    unknown = re.findall(r'unknown field "([^"]+)"', said["message"])
    return Verdict(False, said["message"], frozenset({*fields, *unknown}))
