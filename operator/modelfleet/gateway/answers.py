"""What the gateway says itself, as OpenAI's clients read it."""

import orjson
from aiohttp import web

from modelfleet.plan.hold import Refusal

EVENTS = {"Content-Type": "text/event-stream", "Cache-Control": "no-cache"}


def refused(refusal: Refusal) -> web.Response:
    """Return an answer of which the client can tell when to come again."""
    headers = {"Content-Type": "application/json"}
    if refusal.retry_after is not None:
        headers["Retry-After"] = str(refusal.retry_after)
    return web.Response(status=refusal.status, body=_body(refusal), headers=headers)


def refused_event(refusal: Refusal) -> bytes:
    """Return the same in a stream that has begun."""
    return b"data: " + _body(refusal) + b"\n\n"


def still_held(seconds: float) -> bytes:
    """Return a comment that keeps the connections on the way open; clients leave it out."""
    return f": held for {seconds:.0f} s while the model starts\n\n".encode()


def wants_events(body: bytes) -> bool:
    """Return whether a request asks for its answer as a stream of events."""
    try:
        asked = orjson.loads(body)
    except orjson.JSONDecodeError:
        return False
    return isinstance(asked, dict) and asked.get("stream") is True


def _body(refusal: Refusal) -> bytes:
    kind = "invalid_request_error" if refusal.status in (400, 404, 413) else "server_error"
    kind = "rate_limit_error" if refusal.status == 429 else kind
    error = {"message": refusal.message, "type": kind, "param": None, "code": refusal.code}
    return orjson.dumps({"error": error})
