"""The wire format: canonical JSON, server-sent events, errors, ids. Pure functions."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any, Final

Json = dict[str, Any]
"""A parsed JSON object, in its key order."""

ERROR_TYPES: Final[Mapping[int, str]] = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    408: "timeout_error",
    409: "conflict_error",
    413: "request_too_large",
    429: "rate_limit_error",
    500: "api_error",
    502: "api_error",
    503: "overloaded_error",
    504: "timeout_error",
    529: "overloaded_error",
}
"""The error type that the API sends with each status; others are api_error."""

_encode = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode


class ApiError(Exception):
    """An error response of the API.

    Attributes:
        status: the HTTP status.
        kind: the error's ``type``.
        message: one sentence for a person.
        code: ``details.error_code``, or None.
        headers: extra response headers such as retry-after.
    """

    def __init__(
        self,
        status: int,
        message: str,
        *,
        kind: str | None = None,
        code: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.kind = kind or ERROR_TYPES.get(status, "api_error")
        self.message = message
        self.code = code
        self.headers = dict(headers or {})


def bad_request(message: str) -> ApiError:
    """Return a 400 invalid_request_error."""
    return ApiError(400, message)


def canonical(value: object) -> bytes:
    """Return compact UTF-8 JSON in the same key order.

    Raises:
        UnicodeEncodeError: a string contains a lone surrogate.
    """
    return _encode(value).encode()


def loose(value: object) -> bytes:
    """Return compact JSON in ASCII; lone surrogates are escaped."""
    return json.dumps(value, separators=(",", ":")).encode()


def error_body(error: ApiError, request_id: str) -> Json:
    """Return the body of an error response or of an ``error`` event."""
    inner: Json = {"type": error.kind, "message": error.message}
    if error.code is not None:
        inner["details"] = {"error_code": error.code}
    return {"type": "error", "error": inner, "request_id": request_id}


def event(data: Json) -> bytes:
    """Return one server-sent event named by its own ``type``."""
    return b"event: %b\ndata: %b\n\n" % (str(data["type"]).encode(), loose(data))


def name(prefix: str, *parts: object) -> str:
    """Return an id that depends only on its parts."""
    text = "\0".join(str(part) for part in parts)
    return f"{prefix}01{hashlib.sha256(text.encode()).hexdigest()[:22]}"
