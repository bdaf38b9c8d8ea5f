"""The client of the Messages API: one streamed call, checked, or one classed failure.

It does not know conversations, tools or stores. Temporal does every retry: the client has none.
"""

import asyncio
import contextlib
import email.utils
import hashlib
import json
import math
import time
from collections.abc import Callable, Mapping
from typing import Any

import anthropic
import httpx2

from contracts.failures import FailureKind
from domain.agent.conditions import NO_SUCH_MODEL, Break, Came, Repair, of_failure
from domain.text import one_line
from infra.anthropic import route
from infra.anthropic.errors import CallCancelled, ModelServiceError
from infra.anthropic.pacer import CallPacer
from infra.anthropic.reply import Hear, MalformedReplyError, ModelReply, ReplyBuilder
from infra.anthropic.warming import Began, PrefixWarmer

__all__ = ["CallCancelled", "MessagesClient", "ModelServiceError", "translated"]

_TIMEOUT = httpx2.Timeout(connect=5, write=60, pool=30, read=180)
_LIST_TIMEOUT = httpx2.Timeout(10)
_NO_KEY_NEEDED = "none"
"""What a service of the person's own is given that asks for no key; the client needs one."""
_NO_KEY = "no model key: set ANTHROPIC_API_KEY (or ANTHROPIC_AUTH_TOKEN)"
_LONGEST_WAIT_SECONDS = 86_400.0
_DROP_THINKING = {
    "type": "adaptive",
    "block_binding": {"prefix_mismatch_behavior": "drop_block"},
}
_BINDING_BETA = "thinking-binding-controls-2026-08-01"


class MessagesClient:
    """A client of the Messages API that keeps its connection open.

    It has one key; all calls of that key go through it, at its pace.

    Args:
        clock: seconds, never going back, by which calls are paced.
    """

    def __init__(
        self,
        *,
        api_key: str | None,
        auth_token: str | None,
        base_url: str | None,
        timeout: httpx2.Timeout = _TIMEOUT,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._client: anthropic.AsyncAnthropic | None = None
        self._missing, self._no_way = _NO_KEY, Break.NO_KEY
        self._pacer, self._warmer = CallPacer(clock), PrefixWarmer(clock)
        self._plain = False
        try:
            http_client = route.http_client(base_url, timeout)
        except route.RouteError as error:
            self._missing, self._no_way = str(error), Break.NO_WAY
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
        client = self._ready()
        model = str(request["model"])
        async with self._warmer.call(_prefix(request)) as began, self._pacer.call(model):
            if self._plain:
                request = _without_extras(request)
            try:
                return await self._attempt(client, request, agent=agent, hear=hear, began=began)
            except ModelServiceError as error:
                again = self._repaired(request, error.repair)
                if again is None:
                    raise
            return await self._attempt(client, again, agent=agent, hear=hear, began=began)

    def fails_long(self, model: str) -> bool:
        """Return whether a model has given no reply for so long that another may be asked."""
        return self._pacer.fails_long(model)

    def _ready(self) -> anthropic.AsyncAnthropic:
        if self._client is None:
            raise _failed(Came(broke=self._no_way, says=self._missing))
        return self._client

    def _repaired(
        self, request: Mapping[str, Any], repair: Repair | None
    ) -> Mapping[str, Any] | None:
        """Return what is sent once more, None when that is not for the client to change."""
        if repair is Repair.PLAIN and "diagnostics" in request:
            self._plain = True
            return _without_extras(request)
        if repair is Repair.DROP_THINKING and "thinking" not in request:
            return {**request, "thinking": _DROP_THINKING}
        return None

    async def _attempt(
        self,
        client: anthropic.AsyncAnthropic,
        request: Mapping[str, Any],
        *,
        agent: str,
        hear: Hear | None,
        began: Began,
    ) -> ModelReply:
        builder = ReplyBuilder(request, hear, began)
        try:
            reply = await self._stream(client, request, agent=agent, builder=builder)
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
            failure = _failed(Came(broke=Break.CUT))
            failure.usage = builder.usage()
            raise failure
        return reply

    async def has_model(self, name: str) -> bool:
        """Return whether the service has a model; that costs nothing.

        Raises:
            ModelServiceError: it does not say; MODEL_REQUEST where it has no list of models.
        """
        client = self._ready()
        try:
            await client.models.retrieve(name, timeout=_LIST_TIMEOUT)
        except (anthropic.AnthropicError, httpx2.HTTPError, ValueError) as error:
            failure = translated(error)
            if failure.condition == NO_SUCH_MODEL:
                return False
            raise failure from error
        return True

    async def models_beside(self, name: str) -> list[str] | None:
        """Return the models that the service has when it has none of this name.

        None when it has that model, or cannot tell, as a service without a list of models.
        """
        if self._client is None:
            return None
        try:
            await self._client.models.retrieve(name, timeout=_LIST_TIMEOUT)
        except (anthropic.AnthropicError, httpx2.HTTPError, ValueError) as error:
            if translated(error).condition != NO_SUCH_MODEL:
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
        if request.get("thinking") is _DROP_THINKING:
            headers["anthropic-beta"] = _BINDING_BETA
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
    wait = None
    if isinstance(error, anthropic.APIStatusError):
        wait = _retry_after(error.response.headers)
    return _failed(_came(error, names_wait=wait is not None), wait)


def _failed(came: Came, wait: float | None = None) -> ModelServiceError:
    """Return the failure that the table of conditions says."""
    row = of_failure(came)
    return ModelServiceError(
        row.answer if isinstance(row.answer, FailureKind) else FailureKind.BUG,
        row.sentence(came),
        condition=row.name,
        retry_after_seconds=wait,
        repair=row.repair,
        switch=row.switch,
    )


def _came(error: Exception, *, names_wait: bool) -> Came:
    """Return what an error tells, for the table."""
    if isinstance(error, anthropic.APIStatusError):
        if foreign := route.foreign_answer(error.response, error.body):
            return foreign
        return Came(
            status=error.status_code,
            type=str(error.type or ""),
            code=error.error_code or "",
            says=error.api_message or _unworded(error),
            names_wait=names_wait,
            should_retry=error.response.headers.get("x-should-retry", ""),
        )
    if isinstance(error, anthropic.APIConnectionError):
        behind = route.proxy_failure(str(error.request.url), error.__cause__ or error)
        return behind or Came(broke=Break.CONNECTION, says=_no_answer(error))
    if isinstance(error, httpx2.HTTPError | OSError):
        return Came(broke=Break.CONNECTION, says=_no_answer(error))
    if isinstance(error, anthropic.IdentityTokenFileError):
        return Came(broke=Break.KEY_FILE, says=str(error))
    if isinstance(error, anthropic.CredentialsError):
        return Came(broke=Break.KEY_UNUSABLE, says=str(error))
    if isinstance(error, MalformedReplyError | ValueError):
        return Came(broke=Break.UNREADABLE, says=str(error))
    return Came(broke=Break.UNEXPECTED, says=repr(error))


def _unworded(error: anthropic.APIStatusError) -> str:
    """Return what is said of an error without words of the service's own."""
    if error.response.is_error:
        return route.page(error.response)
    return one_line(str(error), 200)  # the data of an event in the middle of a reply


def _no_answer(error: Exception) -> str:
    return f"no answer from the model's service: {error!r}"


def _prefix(request: Mapping[str, Any]) -> str:
    """Return what makes the shared prefix of two requests the same: model, tools, system."""
    parts = [request.get(name) for name in ("model", "tools", "system")]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def _without_extras(request: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a request without what only the vendor's own service knows."""
    return {name: value for name, value in request.items() if name != "diagnostics"}


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
