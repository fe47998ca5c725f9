"""What passes between the operator and the API server, as values: requests, faults, answers."""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import orjson
from aiohttp import web

WRITING = frozenset({"POST", "PUT", "PATCH", "DELETE"})


class Fault(StrEnum):
    """What may happen to a request on its way there and back."""

    KILL_UNANSWERED = "the operator is killed when the server has it, before the answer"
    KILL_ANSWERED = "the operator is killed when it has the answer"
    CONFLICT = "the answer is 409, and nothing was written"
    SERVER_ERROR = "the answer is 500, and nothing was written"
    DROPPED = "the connection breaks, and nothing was written"
    ANSWER_LOST = "it was written, but the connection breaks"
    NO_ANSWER = "it was written, but no answer ever comes"
    HANGS = "nothing was written, and no answer ever comes"


REACHES_SERVER = frozenset(
    {Fault.KILL_UNANSWERED, Fault.KILL_ANSWERED, Fault.ANSWER_LOST, Fault.NO_ANSWER}
)
STATUSES = {Fault.CONFLICT: 409, Fault.SERVER_ERROR: 500}
REASONS = {409: "Conflict", 410: "Expired", 500: "InternalError", 503: "ServiceUnavailable"}


@dataclass(frozen=True, slots=True)
class Target:
    """What a path of the API server names."""

    plural: str
    namespace: str = ""
    name: str = ""
    subresource: str = ""

    def __str__(self) -> str:
        return "/".join(part for part in (self.plural, self.name, self.subresource) if part)


@dataclass(slots=True)
class Write:
    """A request that changes something."""

    number: int
    """From 1, among those that the proxy counts; 0 for another."""
    verb: str
    target: Target
    body: Any = field(repr=False, default=None)
    code: int | None = None
    """The server's answer; None where it never got the request."""
    answered: float = 0.0
    """When the server's answer came, by the clock that runs."""
    fault: Fault | None = None

    def __str__(self) -> str:
        return f"write {self.number}, {self.verb} {self.target}"


def target_of(path: str) -> Target:
    """Read a path such as `/apis/apps/v1/namespaces/a/deployments/b/status`."""
    parts = path.strip("/").split("/")
    rest = parts[2:] if parts[0] == "api" else parts[3:]
    namespace = ""
    if len(rest) > 2 and rest[0] == "namespaces":
        namespace, rest = rest[1], rest[2:]
    plural, name, subresource = [*rest, "", "", ""][:3]
    return Target(plural, namespace, name, subresource)


def body_of(data: bytes) -> Any:
    """Parse a body; None where there is none, or where it is no JSON."""
    try:
        return orjson.loads(data) if data else None
    except orjson.JSONDecodeError:
        return None


def status(code: int) -> dict[str, Any]:
    """Return the Status object that goes with an error."""
    return {
        "apiVersion": "v1",
        "kind": "Status",
        "status": "Failure",
        "code": code,
        "reason": REASONS[code],
        "message": f"{code} by the proxy",
    }


def refusal(code: int) -> web.Response:
    """Return an error as the API server words it."""
    body = orjson.dumps(status(code))
    return web.Response(status=code, body=body, content_type="application/json")
