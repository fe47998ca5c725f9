"""What each engine answers where."""

from collections.abc import Awaitable, Callable, Mapping

from aiohttp import web

from devcluster.engine.answers import native, openai
from devcluster.engine.answers.refusals import Refused
from devcluster.engine.answers.replies import error_reply
from devcluster.engine.dialects import Dialect
from devcluster.engine.engine import Engine, Phase

Answer = Callable[[Engine, web.BaseRequest], Awaitable[web.StreamResponse]]
Routes = Mapping[tuple[str, str], Answer]

_TEXT: Routes = {
    ("POST", "/v1/chat/completions"): openai.chat,
    ("POST", "/v1/completions"): openai.completions,
    ("GET", "/v1/models"): openai.models,
}
_EMBEDDINGS: Routes = {("POST", "/v1/embeddings"): openai.embeddings}
_WATCHED: Routes = {("GET", "/health"): native.health, ("GET", "/metrics"): native.metrics_page}

_VLLM: Routes = {
    **_TEXT,
    **_EMBEDDINGS,
    **_WATCHED,
    ("GET", "/ping"): native.health,
    ("GET", "/version"): native.version,
    ("GET", "/load"): native.load,
    ("POST", "/v1/load_lora_adapter"): native.load_adapter,
    ("POST", "/v1/unload_lora_adapter"): native.unload_adapter,
}

ROUTES: Mapping[Dialect, Routes] = {
    Dialect.VLLM: _VLLM,
    Dialect.VLLM_0_9: _VLLM,
    Dialect.SGLANG: {
        **_TEXT,
        **_EMBEDDINGS,
        **_WATCHED,
        ("GET", "/health_generate"): native.health,
        ("GET", "/ready"): native.health,
        ("GET", "/model_info"): native.server_info,
        ("GET", "/get_model_info"): native.server_info,
        ("GET", "/server_info"): native.server_info,
        ("GET", "/get_server_info"): native.server_info,
        ("POST", "/load_lora_adapter"): native.load_adapter,
        ("POST", "/unload_lora_adapter"): native.unload_adapter,
    },
    Dialect.LLAMA_CPP: {
        **_TEXT,
        **_EMBEDDINGS,
        **_WATCHED,
        ("GET", "/props"): native.props,
        ("GET", "/slots"): native.slots,
        ("GET", "/lora-adapters"): native.no_adapters,
    },
    Dialect.TEI: {
        **_EMBEDDINGS,
        **_WATCHED,
        ("POST", "/embed"): native.tei_embed,
        ("GET", "/info"): native.server_info,
        ("GET", "/ping"): native.health,
    },
    Dialect.OLLAMA: {
        **_TEXT,
        **_EMBEDDINGS,
        ("GET", "/"): native.ollama_root,
        ("GET", "/api/version"): native.version,
        ("GET", "/api/tags"): native.ollama_tags,
        ("GET", "/api/ps"): native.ollama_tags,
        ("POST", "/api/chat"): native.ollama_chat,
        ("POST", "/api/generate"): native.ollama_chat,
    },
    Dialect.TRITON: {
        **_TEXT,
        ("GET", "/metrics"): native.metrics_page,
        ("GET", "/v2/health/live"): native.health,
        ("GET", "/v2/health/ready"): native.health,
    },
}

_WHILE_LOADING: Mapping[Dialect, frozenset[str]] = {
    Dialect.OLLAMA: frozenset({"/", "/api/version", "/api/tags", "/api/ps"}),
}


def handler_for(engine: Engine) -> Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]:
    """Return what answers the requests to `engine`."""

    async def handle(request: web.BaseRequest) -> web.StreamResponse:
        try:
            response = await _answer_for(engine, request)(engine, request)
        except Refused as refused:
            response = error_reply(engine, refused)
        _count(engine, request, response.status)
        return response

    return handle


def _count(engine: Engine, request: web.BaseRequest, status: int) -> None:
    known = (request.method, request.path) in ROUTES[engine.dialect]
    path = request.path if known else "none"  # anything can be asked for; labels are bounded
    engine.batcher.tally.http[path, request.method, f"{status // 100}xx"] += 1


def _answer_for(engine: Engine, request: web.BaseRequest) -> Answer:
    path = request.path
    if engine.phase is Phase.LOADING and path not in _WHILE_LOADING.get(engine.dialect, ()):
        raise Refused(503, "Loading model")
    routes = ROUTES[engine.dialect]
    answer = routes.get((request.method, path))
    if answer is not None:
        return answer
    if engine.dialect is Dialect.TRITON and path.startswith("/v2/models/"):
        return native.triton_model
    if any(path == known for _, known in routes):
        raise Refused(405, "Method Not Allowed")
    raise Refused.no_such_path()
