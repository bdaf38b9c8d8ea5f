"""The client of the Messages API: one streamed call, checked, or one classed failure.

It does not know conversations, tools or stores. Temporal does every retry: the client has none.
"""

import asyncio
import contextlib
import email.utils
import math
import time
from collections.abc import Callable, Mapping
from typing import Any

import anthropic
import httpx2

from contracts.failures import FailureKind
from contracts.model import Usage
from infra.anthropic import route
from infra.anthropic.reply import Hear, MalformedReplyError, ModelReply, ReplyBuilder

_TIMEOUT = httpx2.Timeout(connect=5, write=60, pool=30, read=180)
_LIST_TIMEOUT = httpx2.Timeout(10)
_REFUSED = (
    "the model key is not accepted (set ANTHROPIC_API_KEY or ANTHROPIC_AUTH_TOKEN to one that is, "
    "and start the worker again)"
)
_NO_KEY_NEEDED = "none"
"""What a service of the person's own is given that asks for no key; the client needs one."""
_NO_KEY = "no model key: set ANTHROPIC_API_KEY (or ANTHROPIC_AUTH_TOKEN)"
_LONGEST_WAIT_SECONDS = 86_400.0
_SPEND_CODES = ("enforced_spend_limit_reached", "contract_spend_limit_reached")


class ModelServiceError(Exception):
    """A call that got no usable reply.

    Attributes:
        kind: what is done about it is `domain.failures`' table.
        retry_after_seconds: what the service asks for, at most a day; None when it does not say.
        usage: what it may have to be paid for: a model had begun, or what came cannot be read.
            None when nothing came; a service answers before its model begins.
    """

    def __init__(
        self,
        kind: FailureKind,
        message: str,
        *,
        retry_after_seconds: float | None = None,
        usage: Usage | None = None,
    ) -> None:
        super().__init__(message)
        self.kind = kind
        self.retry_after_seconds = retry_after_seconds
        self.usage = usage


class CallCancelled(asyncio.CancelledError):
    """A call was cancelled after a model had begun to reply; `usage` may have to be paid for."""

    def __init__(self, usage: Usage) -> None:
        super().__init__()
        self.usage = usage


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
        if base_url and not auth_token:
            api_key = api_key or _NO_KEY_NEEDED
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

    async def call(
        self, request: Mapping[str, Any], *, agent: str, hear: Hear | None = None
    ) -> ModelReply:
        """Return the reply to one request (`model`, `max_tokens`, `system`, `tools`, `messages`).

        `hear` gets its pieces as they come.

        Raises:
            ModelServiceError: there is no usable reply.
            CallCancelled: cancelled while the reply was coming.
        """
        if self._client is None:
            raise ModelServiceError(
                FailureKind.CREDENTIALS, f"{self._missing}; then start the worker again"
            )
        builder = ReplyBuilder(request, hear)
        try:
            reply = await self._stream(self._client, request, agent=agent, builder=builder)
        except asyncio.CancelledError as cancelled:
            if not builder.began:
                raise
            raise CallCancelled(builder.usage()) from cancelled
        except Exception as error:
            failure = translated(error)
            if builder.began or failure.kind is FailureKind.MALFORMED:
                failure.usage = builder.usage()
            raise failure from error
        if reply is None:
            raise ModelServiceError(
                FailureKind.UNREACHABLE,
                "the reply was cut off before its end",
                usage=builder.usage(),
            )
        return reply

    async def has_model(self, name: str) -> bool:
        """Return whether the service has a model; that costs nothing.

        Raises:
            ModelServiceError: it does not say; MODEL_REQUEST where it has no list of models.
        """
        if self._client is None:
            raise ModelServiceError(FailureKind.CREDENTIALS, self._missing)
        try:
            await self._client.models.retrieve(name, timeout=_LIST_TIMEOUT)
        except anthropic.NotFoundError as error:
            if error.type == "not_found_error":
                return False
            raise translated(error) from error
        except (anthropic.AnthropicError, httpx2.HTTPError, ValueError) as error:
            raise translated(error) from error
        return True

    async def models_beside(self, name: str) -> list[str] | None:
        """Return the models that the service has when it has none of this name.

        None when it has that model, or cannot tell, as a service without a list of models.
        """
        if self._client is None:
            return None
        try:
            await self._client.models.retrieve(name, timeout=_LIST_TIMEOUT)
        except anthropic.NotFoundError as error:
            if error.type != "not_found_error":
                return None
        except (anthropic.AnthropicError, httpx2.HTTPError, ValueError):
            return None
        else:
            return None
        with contextlib.suppress(anthropic.AnthropicError, httpx2.HTTPError, ValueError):
            page = await self._client.models.list(limit=1_000, timeout=_LIST_TIMEOUT)
            listed = [model.id for model in page.data if model.id]
            return listed if name not in listed else None
        return None

    async def _stream(
        self,
        client: anthropic.AsyncAnthropic,
        request: Mapping[str, Any],
        *,
        agent: str,
        builder: ReplyBuilder,
    ) -> ModelReply | None:
        """Return the reply, None when its stream ended too early."""
        headers = {"x-orchestcode-agent": _header_value(agent)}
        # The client would walk through every message of its own argument, again in each turn;
        # what comes in the extra body is sent as it is.
        body = {"messages": request["messages"]}
        rest: dict[str, Any] = {**request, "messages": ()}
        # The events alone: what the client puts together of them itself fails on a missing count.
        stream = await client.messages.create(
            **rest, stream=True, extra_headers=headers, extra_body=body
        )
        async with stream:
            async for event in stream:
                builder.add(_fields(event))
            return builder.reply(stream.response.headers.get("request-id", ""))


def _header_value(text: str) -> str:
    """Return a text as a header can hold it; workflow ids in it are whatever somebody typed."""
    shown = (char if char.isascii() and char.isprintable() else ascii(char)[1:-1] for char in text)
    return "".join(shown).strip()


def _fields(event: Any) -> Any:  # noqa: ANN401, RUF100 - data that is no object stays as it came
    return event.to_dict(mode="json", warnings=False) if hasattr(event, "to_dict") else event


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
    if isinstance(error, MalformedReplyError | ValueError):
        return ModelServiceError(FailureKind.MALFORMED, f"the reply cannot be read: {error}")
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
        return ModelServiceError(FailureKind.CREDENTIALS, f"{_REFUSED}: {said}")
    if status == 413 or "prompt is too long" in said:
        return ModelServiceError(
            FailureKind.CONTEXT_FULL, f"the request is larger than the service takes: {said}"
        )
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
    """Return the seconds that the service asks to wait, None when it says none that can be read."""
    asked, milliseconds = headers.get("retry-after", ""), headers.get("retry-after-ms", "")
    readings: tuple[tuple[Callable[[str], float], str], ...] = (
        (_milliseconds, milliseconds),
        (float, asked),
        (_until, asked),
    )
    for reading, text in readings:
        with contextlib.suppress(ValueError, TypeError, OverflowError, IndexError):
            if math.isfinite(seconds := reading(text)):
                return min(max(seconds, 0.0), _LONGEST_WAIT_SECONDS)
    return None


def _milliseconds(text: str) -> float:
    return float(text) / 1_000


def _until(date: str) -> float:
    return email.utils.parsedate_to_datetime(date).timestamp() - time.time()
