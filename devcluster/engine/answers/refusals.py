"""Errors in the form that each engine gives them."""

from dataclasses import dataclass
from typing import Any, Self

from devcluster.engine.dialects import Dialect


@dataclass(frozen=True, slots=True)
class _Kind:
    """A class of errors under the names that vLLM, llama.cpp and TEI have for it."""

    openai: str
    llama: str
    tei: str


_KINDS = {
    400: _Kind("BadRequestError", "invalid_request_error", "Validation"),
    404: _Kind("NotFoundError", "not_found_error", "Empty"),
    405: _Kind("MethodNotAllowed", "invalid_request_error", "Validation"),
    429: _Kind("TooManyRequests", "unavailable_error", "Overloaded"),
    500: _Kind("InternalServerError", "server_error", "Backend"),
    501: _Kind("NotImplementedError", "not_supported_error", "Backend"),
    503: _Kind("ServiceUnavailableError", "unavailable_error", "Unhealthy"),
}


class Refused(Exception):
    """A request that is answered with an error."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message

    @classmethod
    def invalid(cls, message: str) -> Self:
        """Return the error for a request that makes no sense."""
        return cls(400, message)

    @classmethod
    def no_such_model(cls, model: str) -> Self:
        """Return the error for a model that is not served here."""
        return cls(404, f"The model `{model}` does not exist.")

    @classmethod
    def no_such_path(cls) -> Self:
        """Return the error for an unknown address."""
        return cls(404, "Not Found")


def error_document(dialect: Dialect, refused: Refused) -> dict[str, Any]:
    """Return the body of an error."""
    status, message = refused.status, refused.message
    kind = _KINDS.get(status, _KINDS[500])
    match dialect:
        case Dialect.VLLM:
            inner = {"message": message, "type": kind.openai, "param": None, "code": status}
            return {"error": inner}
        case Dialect.VLLM_0_9 | Dialect.SGLANG:
            flat = {"object": "error", "message": message, "type": kind.openai, "param": None}
            return {**flat, "code": status}
        case Dialect.LLAMA_CPP:
            return {"error": {"message": message, "type": kind.llama, "code": status}}
        case Dialect.TEI:
            return {"error": message, "error_type": kind.tei}
        case _:
            return {"error": message}
