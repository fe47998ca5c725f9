"""Reading requests and writing responses."""

from typing import Any

import orjson
from aiohttp import web

from devcluster.engine.answers.refusals import Refused, error_document
from devcluster.engine.engine import Engine

SIMULATED = "x-modelfleet-simulated"
ADDRESS = "x-modelfleet-address"
"""Of the pod that answers: a client of a Service would not know."""
UNAVAILABLE = "x-modelfleet-real-unavailable"


async def body_of(request: web.BaseRequest) -> dict[str, Any]:
    """Return the JSON object that was sent. Raises `Refused`."""
    try:
        document = orjson.loads(await request.read())
    except orjson.JSONDecodeError as error:
        raise Refused.invalid(f"The body is not JSON: {error}") from error
    if not isinstance(document, dict):
        raise Refused.invalid("The body is not a JSON object")
    return document


def headers_for(engine: Engine) -> dict[str, str]:
    """Return the headers that tell a simulation from the real thing."""
    headers = {SIMULATED: "true", ADDRESS: engine.address}
    if engine.remark:
        headers[UNAVAILABLE] = engine.remark
    return headers


def json_reply(engine: Engine, document: Any, status: int = 200) -> web.Response:
    """Return a JSON response."""
    return web.Response(
        body=orjson.dumps(document),
        status=status,
        content_type="application/json",
        headers=headers_for(engine),
    )


def text_reply(engine: Engine, text: str = "", status: int = 200) -> web.Response:
    """Return a plain response."""
    return web.Response(text=text, status=status, headers=headers_for(engine))


def error_reply(engine: Engine, refused: Refused) -> web.Response:
    """Return an error in the engine's own form."""
    return json_reply(engine, error_document(engine.dialect, refused), refused.status)


async def started_stream(
    engine: Engine, request: web.BaseRequest, content_type: str
) -> web.StreamResponse:
    """Send the head of a streamed response."""
    response = web.StreamResponse(headers=headers_for(engine))
    response.content_type = content_type
    response.headers["Cache-Control"] = "no-cache"
    await response.prepare(request)
    return response
