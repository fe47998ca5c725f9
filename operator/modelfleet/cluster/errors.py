"""What can go wrong between us and the API server.

ApiError
├── Unavailable        retry with backoff: timeouts, 401, 429, 5xx, a lost connection
│   ├── Deposed        we do not lead, or not for long enough to see the request through
│   └── Stale          the world has moved on: look again, sending the same once more is no use
│       ├── Conflict   409: another resourceVersion or uid, or the name exists already
│       ├── Gone       410: the resourceVersion is too old, list again
│       └── NotFound   404
└── Rejected           a person must act: 400, 403, 422 and the like
    ├── FieldConflict  409 of server-side apply: another manager owns the field
    │   └── NameTaken  the whole object is somebody else's
    ├── Forbidden      403
    │   └── QuotaExceeded
    └── Invalid        400, 422
"""

from collections.abc import Mapping
from typing import Any

import orjson

MESSAGE_BYTES = 1024
"""As much as an event's note holds; admission plugins can write pages."""


class ApiError(Exception):
    """The API server did not do what it was asked to."""

    def __init__(
        self, message: str, *, code: int = 0, reason: str = "", retry_after: float | None = None
    ) -> None:
        super().__init__(cut(message))
        self.code = code
        """HTTP status; 0 where no answer came."""
        self.reason = reason
        """`reason` of the Status object, as in AlreadyExists."""
        self.retry_after = retry_after
        """Seconds that the server asks us to wait."""


class Unavailable(ApiError):
    """Nothing is wrong with the request: try it again later."""


class Deposed(Unavailable):
    """We may not write: another replica leads, or may by the time that the request arrives."""


class Stale(Unavailable):
    """We acted on an old view: look at the world again."""


class Conflict(Stale):
    """The object is not the version that we meant, or exists already."""


class Gone(Stale):
    """The version to continue from is forgotten: list again."""


class NotFound(Stale):
    """No such object, kind or namespace."""


class Rejected(ApiError):
    """The same request will be refused until somebody changes something."""


class FieldConflict(Rejected):
    """A field that we want to set belongs to another manager."""


class NameTaken(FieldConflict):
    """The object that we want to create exists and is not ours."""


class Forbidden(Rejected):
    """RBAC or admission says no."""


class QuotaExceeded(Forbidden):
    """A ResourceQuota says no."""


class Invalid(Rejected):
    """Validation says no."""


_BY_CODE: Mapping[int, type[ApiError]] = {
    400: Invalid,
    401: Unavailable,  # a token that expired on the way: the next request carries a new one
    404: NotFound,
    408: Unavailable,
    409: Conflict,
    410: Gone,
    422: Invalid,
    429: Unavailable,
}


def cut(message: str, limit: int = MESSAGE_BYTES) -> str:
    """Shorten to at most `limit` bytes of UTF-8."""
    encoded = message.encode()
    if len(encoded) <= limit:
        return message
    return encoded[: limit - 3].decode(errors="ignore") + "…"


def from_status(status: Mapping[str, Any]) -> ApiError:
    """Classify a Status object once, so that nobody else has to."""
    code = int(status.get("code") or 0)
    details = status.get("details") or {}
    return _class_of(code, status)(
        str(status.get("message") or status.get("reason") or f"HTTP {code}"),
        code=code,
        reason=str(status.get("reason") or ""),
        retry_after=details.get("retryAfterSeconds"),
    )


def from_response(code: int, body: bytes, retry_after: str | None) -> ApiError:
    """Classify an answer; a proxy's may hold anything, not only a Status."""
    status = _status_in(body)
    status["code"] = code
    details = dict(status.get("details") or {})
    if retry_after and retry_after.isdigit():
        details["retryAfterSeconds"] = int(retry_after)
    return from_status(status | {"details": details})


def _status_in(body: bytes) -> dict[str, Any]:
    try:
        parsed = orjson.loads(body)
    except orjson.JSONDecodeError:
        parsed = None
    if isinstance(parsed, dict) and parsed.get("kind") == "Status":
        return parsed
    return {"message": body[:MESSAGE_BYTES].decode(errors="replace").strip()}


def _class_of(code: int, status: Mapping[str, Any]) -> type[ApiError]:
    if code == 403:
        return _forbidden(status)
    if code == 409 and "FieldManagerConflict" in _causes(status, "reason"):
        return FieldConflict
    if code == 422 and "metadata.uid" in _causes(status, "field"):
        return Conflict  # a patch that names the uid has met a namesake
    if code >= 500 or code == 0:
        return Unavailable
    return _BY_CODE.get(code, Rejected)


def _forbidden(status: Mapping[str, Any]) -> type[ApiError]:
    # The quota plugin marks its refusal by nothing but these words.
    if "exceeded quota" in str(status.get("message") or ""):
        return QuotaExceeded
    return Forbidden


def _causes(status: Mapping[str, Any], key: str) -> set[str]:
    causes = (status.get("details") or {}).get("causes") or ()
    return {str(cause.get(key)) for cause in causes}
