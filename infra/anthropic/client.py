"""The client of the Messages API: one streamed call, checked, or one classed failure.

It does not know conversations, tools or stores. Temporal does every retry: the client has none.
"""

import contextlib
import email.utils
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import anthropic
import httpx2

from contracts.failures import FailureKind
from contracts.model import Usage
from infra.anthropic import route

_TIMEOUT = httpx2.Timeout(connect=5, write=60, pool=30, read=180)
_NO_KEY = "no model key: set ANTHROPIC_API_KEY (or ANTHROPIC_AUTH_TOKEN)"
_SPEND_CODES = ("enforced_spend_limit_reached", "contract_spend_limit_reached")


@dataclass(frozen=True)
class ModelReply:
    """One complete reply.

    Attributes:
        content: the blocks exactly as they will be sent back.
        written_1h: tokens written to the hour-long cache.
        detail: why it was refused, when it was.
    """

    content: list[dict[str, Any]]
    stop_reason: str
    model: str
    usage: Usage
    written_1h: int
    request_id: str
    detail: str


class ModelServiceError(Exception):
    """A call that got no usable reply.

    Attributes:
        kind: RATE_LIMITED, OVERLOADED, UNREACHABLE and MALFORMED may be tried again; a call that
            failed so may have been paid for.
        retry_after_seconds: what the service asks for, None when it does not say.
    """

    def __init__(
        self, kind: FailureKind, message: str, *, retry_after_seconds: float | None = None
    ) -> None:
        super().__init__(message)
        self.kind = kind
        self.retry_after_seconds = retry_after_seconds


class MessagesClient:
    """A client of the Messages API that keeps its connection open."""

    def __init__(
        self,
        *,
        api_key: str | None,
        auth_token: str | None,
        base_url: str | None,
        timeout: httpx2.Timeout = _TIMEOUT,
    ) -> None:
        self._client: anthropic.AsyncAnthropic | None = None
        self._missing = _NO_KEY
        try:
            http_client = route.http_client(base_url, timeout)
        except route.RouteError as error:
            self._missing = str(error)
            return
        if api_key or auth_token:
            self._client = anthropic.AsyncAnthropic(
                api_key=api_key,
                auth_token=None if api_key else auth_token,
                base_url=base_url,
                max_retries=0,
                timeout=timeout,
                http_client=http_client,
            )

    async def close(self) -> None:
        """Close the connections."""
        if self._client is not None:
            await self._client.close()

    async def call(self, request: Mapping[str, Any], *, agent: str) -> ModelReply:
        """Return the reply to one request (`model`, `max_tokens`, `system`, `tools`, `messages`).

        Raises:
            ModelServiceError: there is no usable reply.
        """
        if self._client is None:
            raise ModelServiceError(
                FailureKind.CREDENTIALS, f"{self._missing}; then start the worker again"
            )
        try:
            return await self._stream(self._client, request, agent)
        except ModelServiceError:
            raise
        except Exception as error:
            raise translated(error) from error

    async def _stream(
        self, client: anthropic.AsyncAnthropic, request: Mapping[str, Any], agent: str
    ) -> ModelReply:
        stopped = False
        headers = {"x-orchestcode-agent": agent}
        # The client would walk through every message of its own argument, again in each turn;
        # what comes in the extra body is sent as it is.
        body = {"messages": request["messages"]}
        rest = {**request, "messages": ()}
        async with client.messages.stream(**rest, extra_headers=headers, extra_body=body) as stream:
            async for event in stream:
                stopped = stopped or event.type == "message_stop"
            message = await stream.get_final_message()
            request_id = stream.request_id or ""
        if not stopped or not message.stop_reason:
            raise ModelServiceError(FailureKind.UNREACHABLE, "the reply was cut off before its end")
        return _reply(message, request_id)


def _reply(message: Any, request_id: str) -> ModelReply:  # noqa: ANN401, RUF100
    content = [block.to_dict(mode="json", warnings=False) for block in message.content]
    for block in content:
        block.pop("parsed_output", None)
    split = message.usage.cache_creation
    detail = getattr(message, "stop_details", None)
    return ModelReply(
        content=content,
        stop_reason=str(message.stop_reason),
        model=message.model,
        usage=Usage(
            input_tokens=message.usage.input_tokens or 0,
            cache_read_tokens=message.usage.cache_read_input_tokens or 0,
            cache_write_tokens=message.usage.cache_creation_input_tokens or 0,
            output_tokens=message.usage.output_tokens or 0,
        ),
        written_1h=split.ephemeral_1h_input_tokens if split else 0,
        request_id=request_id,
        detail=str(getattr(detail, "category", "") or ""),
    )


def translated(error: Exception) -> ModelServiceError:
    """Return the failure that a client error means."""
    if problem := _route_problem(error):
        return ModelServiceError(*problem)
    if isinstance(error, anthropic.APIStatusError):
        return _status(error)
    if isinstance(error, anthropic.APIConnectionError | httpx2.HTTPError | OSError):
        return ModelServiceError(
            FailureKind.UNREACHABLE, f"no answer from the model's service: {error!r}"
        )
    if isinstance(error, anthropic.CredentialsError):
        return ModelServiceError(FailureKind.CREDENTIALS, f"the model key cannot be used: {error}")
    if isinstance(error, json.JSONDecodeError | ValueError | AssertionError | IndexError):
        return ModelServiceError(FailureKind.MALFORMED, f"the reply cannot be read: {error!r}")
    return ModelServiceError(FailureKind.BUG, f"unexpected client error: {error!r}")


def _route_problem(error: Exception) -> tuple[FailureKind, str] | None:
    """Return what an error means that comes from the way to the service."""
    if isinstance(error, anthropic.APIStatusError):
        return route.answer_problem(error.response, error.body)
    if isinstance(error, anthropic.APIConnectionError):
        return route.connection_problem(str(error.request.url), error.__cause__ or error)
    return None


def _status(error: anthropic.APIStatusError) -> ModelServiceError:
    code, kind, status = error.error_code or "", str(error.type or ""), error.status_code
    said = error.api_message or route.page(error.response)
    if code in _SPEND_CODES or status == 402 or kind == "billing_error":
        return ModelServiceError(
            FailureKind.SPEND_LIMIT, f"the account's spending limit is reached: {said}"
        )
    wait = _retry_after(error.response.headers)
    if status == 429 or kind == "rate_limit_error":
        if wait is None and "usage limits" in said:
            return ModelServiceError(FailureKind.SPEND_LIMIT, said)
        return ModelServiceError(
            FailureKind.RATE_LIMITED, f"the service asks to wait: {said}", retry_after_seconds=wait
        )
    if status in {401, 403} or kind in {"authentication_error", "permission_error"}:
        return ModelServiceError(FailureKind.CREDENTIALS, f"the model key is not accepted: {said}")
    if status == 413 or "prompt is too long" in said:
        return ModelServiceError(FailureKind.CONTEXT_FULL, said)
    if error.response.headers.get("x-should-retry") == "false":
        return ModelServiceError(
            FailureKind.MODEL_REQUEST, f"the service says not to retry: {said}"
        )
    if status in {408, 409} or status >= 500 or kind in {"overloaded_error", "api_error"}:
        return ModelServiceError(
            FailureKind.OVERLOADED, f"the model's service failed: {said}", retry_after_seconds=wait
        )
    if kind == "timeout_error":
        return ModelServiceError(FailureKind.UNREACHABLE, said)
    return ModelServiceError(FailureKind.MODEL_REQUEST, f"the service rejects the request: {said}")


def _retry_after(headers: Mapping[str, str]) -> float | None:
    with contextlib.suppress(ValueError):
        if "retry-after-ms" in headers:
            return float(headers["retry-after-ms"]) / 1_000
    value = headers.get("retry-after", "")
    with contextlib.suppress(ValueError):
        return float(value)
    with contextlib.suppress(ValueError):
        return max(email.utils.parsedate_to_datetime(value).timestamp() - time.time(), 0.0)
    return None
