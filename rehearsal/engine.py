"""The engine: plans the response to a request. It holds all state of a server, but no socket.

Order: the rules of the API, then the script, then the fault of this attempt.
A request that breaks a rule, or that the script does not answer, is refused
even if a fault was scripted, so that no fault hides a mistake of the client.
"""

import dataclasses
import datetime as dt
import hashlib
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from rehearsal import faults, models, prompt, reply, rules, script, thinking, wire
from rehearsal.body import BodyReader
from rehearsal.cache import Cache, CacheLookup
from rehearsal.delivery import Response
from rehearsal.faults import Fault
from rehearsal.journal import Entry
from rehearsal.prompt import Prompt
from rehearsal.reply import GeneratedReply, ReplyPart
from rehearsal.script import AgentIdentity, ResolvedTurn, Script
from rehearsal.wire import ApiError, Json

AGENT_HEADER: Final = "x-orchestcode-agent"
_HTML: Final = b"<html><body><h1>502 Bad Gateway</h1></body></html>"
_LIMITS: Final[Mapping[str, int]] = {
    "requests": 4_000,
    "tokens": 2_400_000,
    "input-tokens": 2_000_000,
    "output-tokens": 400_000,
}


class PlannedResponse(NamedTuple):
    """The response to a request, and how it is sent.

    Attributes:
        response: the whole response.
        fault: the fault to apply while it is sent, or None.
        delay_seconds: the pause before the first byte.
        entry: the journal entry; its times and ``finished`` are not set yet.
    """

    response: Response
    fault: Fault | None
    delay_seconds: float
    entry: Entry


class _Admitted(NamedTuple):
    """A messages request that passed the rules, with the turn that answers it."""

    request: Prompt
    headers: Mapping[str, str]
    resolved: ResolvedTurn
    fault: Fault | None
    digest: str
    attempt: int
    now: float


class Engine:
    """Answers requests from a script; holds the cache, the signing key and the count of attempts.

    Args:
        script: the answers.
        entries: the journal of an earlier server, so that faults are not repeated after a
            restart.
    """

    def __init__(self, script: Script, entries: list[Entry]) -> None:
        self.script = script
        self.models = models.table(script.models)
        self.cache = Cache()
        self._body_reader = BodyReader()
        self._key = hashlib.sha256(f"rehearsal {script.seed}".encode()).digest()
        self._attempts: dict[tuple[str, int], int] = {}
        for entry in entries:
            key = _attempt_key(entry.conversation, entry.turn, aside=entry.aside)
            self._attempts[key] = max(self._attempts.get(key, 0), entry.seen)
        self._requests = max((entry.n for entry in entries), default=0)

    def messages(self, headers: Mapping[str, str], raw: bytes, now: float) -> PlannedResponse:
        """Plan the response to POST /v1/messages."""
        entry = self._entry("messages", headers, raw, now)
        try:
            body, entry = self._read(headers, raw, entry)
            return self._plan(body, headers, entry=entry, now=now)
        except _RefusedError as refused:
            return _refusal(refused.entry, refused.error)
        except ApiError as error:
            return _refusal(entry, error)

    def _plan(
        self, body: Json, headers: Mapping[str, str], *, entry: Entry, now: float
    ) -> PlannedResponse:
        request = rules.check_request(body, headers, self.models)
        agent = AgentIdentity.parse(headers.get(AGENT_HEADER, ""))
        conversation = conversation_key(agent, request)
        index = script.turn_index(request, script.find_conversation(self.script, agent, request))
        entry = dataclasses.replace(entry, conversation=conversation, turn=index)
        try:
            transformations = thinking.check_signatures(self._key, request, rules.betas(headers))
            rules.count_input_tokens(request)
            if body["max_tokens"] == 0:
                return self._prewarm(request, entry=entry, now=now)
            resolved = script.resolve_turn(self.script, agent, request)
            script.check_expectation(resolved.turn.expect, request)
        except ApiError as error:
            raise _RefusedError(error, entry) from error
        attempt = self._count_attempt(conversation, resolved)
        entry = dataclasses.replace(entry, seen=attempt, aside=resolved.aside)
        fault = self._find_fault(conversation, resolved, attempt)
        admitted = _Admitted(request, headers, resolved, fault, entry.digest, attempt, now)
        return self._respond(admitted, entry, transformations)

    def _count_attempt(self, conversation: str, resolved: ResolvedTurn) -> int:
        key = _attempt_key(conversation, resolved.index, aside=resolved.aside)
        self._attempts[key] = self._attempts.get(key, 0) + 1
        return self._attempts[key]

    def _find_fault(self, conversation: str, resolved: ResolvedTurn, attempt: int) -> Fault | None:
        soak = self.script.soak
        if resolved.turn.fault or soak is None:
            return faults.fault_for_attempt(resolved.turn.fault, attempt)
        key = f"{self.script.seed} {conversation} {resolved.index}"
        return faults.random_fault(soak.faults, soak.rate, key=key, attempt=attempt)

    def _respond(
        self, admitted: _Admitted, entry: Entry, transformations: list[Json] | None
    ) -> PlannedResponse:
        fault = admitted.fault
        entry = dataclasses.replace(entry, fault=fault.kind if fault else None)
        delay = admitted.resolved.turn.delay_ms / 1_000
        if fault is not None and fault.kind in faults.NO_MODEL_RUNS:
            return _failed_response(entry, fault, delay)
        if fault is not None and fault.kind == "error_event" and not entry.stream:
            code = fault.text("error_code") or None
            error = ApiError(529, fault.text("message"), kind=fault.text("type"), code=code)
            return _refusal(entry, error)._replace(delay_seconds=delay)
        if fault is not None and fault.kind == "evict":
            self.cache.evict()
        generated = self._reply(admitted, transformations, entry.request_id)
        entry = dataclasses.replace(
            entry,
            status=200,
            billed=True,
            message_id=generated.id,
            stop_reason=generated.stop_reason,
            tools=[
                part.block["name"] for part in generated.parts if part.block["type"] == "tool_use"
            ],
            usage=reply.final_usage(generated),
        )
        return PlannedResponse(_response(generated, entry), fault, delay, entry)

    def _reply(
        self, admitted: _Admitted, transformations: list[Json] | None, request_id: str
    ) -> GeneratedReply:
        lookup = self.cache.look_up(admitted.request, admitted.now)
        body = admitted.request.body
        key = wire.name("msg_", self.script.seed, admitted.digest, admitted.attempt, request_id)
        extras = self._extras(body, lookup, transformations)
        self.cache.commit(lookup, admitted.now, message_id=key)
        turn = admitted.resolved.turn
        sequences = body.get("stop_sequences") or [None]
        generated = GeneratedReply(
            id=key,
            model=f"{admitted.request.model.id} (rehearsed)",
            parts=self._parts(admitted),
            stop_reason=turn.stop_reason,
            stop_sequence=sequences[0] if turn.stop_reason == "stop_sequence" else None,
            input=lookup.tokens,
            older=admitted.request.model.older_tokenizer,
            usage=turn.usage,
            extras=extras,
            iterations=bool(rules.betas(admitted.headers)),
        )
        return _limit(self._with_fault(generated, admitted), admitted.request)

    def _with_fault(self, generated: GeneratedReply, admitted: _Admitted) -> GeneratedReply:
        if admitted.fault is None:
            return generated
        return reply.apply_fault(
            generated, admitted.fault, key=wire.name("srvtoolu_", self.script.seed, admitted.digest)
        )

    def _extras(self, body: Json, lookup: CacheLookup, transformations: list[Json] | None) -> Json:
        extras: Json = {}
        if transformations is not None:
            extras["input_transformations"] = transformations
        if body.get("diagnostics") is not None:
            previous = body["diagnostics"].get("previous_message_id")
            extras["diagnostics"] = self.cache.diagnose(lookup, previous)
        return extras

    def _parts(self, admitted: _Admitted) -> list[ReplyPart]:
        turn = admitted.resolved.turn
        parts: list[ReplyPart] = []
        display = prompt.thinking_display(admitted.request.body, admitted.request.model)
        if turn.think is not None and display is not None:
            block = thinking.signed_block(
                self._key, admitted.request, text=turn.think, display=display
            )
            parts.append(ReplyPart(block, hidden=turn.think))
        if turn.say:
            parts.append(ReplyPart({"type": "text", "text": turn.say}))
        for i, call in enumerate(turn.call):
            key = wire.name("toolu_", self.script.seed, admitted.digest, i)
            parts.append(reply.tool_part(call.tool, call.input, key))
        return parts

    def _prewarm(self, request: Prompt, *, entry: Entry, now: float) -> PlannedResponse:
        """Fill the cache without a reply, as a request with max_tokens 0 does."""
        lookup = self.cache.look_up(request, now)
        key = wire.name("msg_", self.script.seed, entry.digest, entry.request_id)
        self.cache.commit(lookup, now, message_id=key)
        shown = f"{request.model.id} (rehearsed)"
        generated = GeneratedReply(key, shown, [], "max_tokens", lookup.tokens)
        entry = dataclasses.replace(
            entry,
            kind="prewarm",
            status=200,
            billed=True,
            message_id=key,
            stop_reason="max_tokens",
            usage=reply.final_usage(generated),
        )
        return PlannedResponse(_response(generated, entry), None, 0.0, entry)

    def count_tokens(self, headers: Mapping[str, str], raw: bytes, now: float) -> PlannedResponse:
        """Plan the response to POST /v1/messages/count_tokens."""
        entry = self._entry("count_tokens", headers, raw, now)
        try:
            body, entry = self._read(headers, raw, entry)
            request = rules.check_request(body, headers, self.models, counting=True)
        except ApiError as error:
            return _refusal(entry, error)
        entry = dataclasses.replace(entry, status=200)
        data = {"input_tokens": request.total_tokens}
        return PlannedResponse(_json_response(200, data, entry.request_id), None, 0.0, entry)

    def models_response(self, headers: Mapping[str, str], path: str) -> Response:
        """Return the response to GET /v1/models or /v1/models/{id}, retired models included."""
        request_id = wire.name("req_", self.script.seed, path)
        try:
            rules.authenticate(headers)
        except ApiError as error:
            return error_response(error, request_id)
        name = path.removeprefix("/v1/models").strip("/")
        if name and name not in self.models:
            return error_response(ApiError(404, f"model: {name}"), request_id)
        data = models.info(self.models[name]) if name else models.listing(self.models)
        return _json_response(200, data, request_id)

    def _read(self, headers: Mapping[str, str], raw: bytes, entry: Entry) -> tuple[Json, Entry]:
        rules.authenticate(headers)
        body = rules.parse(raw, self._body_reader)
        model = body.get("model")
        return body, dataclasses.replace(
            entry,
            model=model if isinstance(model, str) else None,
            stream=body.get("stream") is True,
        )

    def _entry(self, kind: str, headers: Mapping[str, str], raw: bytes, now: float) -> Entry:
        self._requests += 1
        digest = hashlib.sha256(raw).hexdigest()
        agent = AgentIdentity.parse(headers.get(AGENT_HEADER, ""))
        retries = headers.get("x-stainless-retry-count", "")
        return Entry(
            n=self._requests,
            kind=kind,
            time_received=now,
            **dataclasses.asdict(agent),
            digest=digest,
            request_bytes=len(raw),
            request_id=wire.name("req_", self.script.seed, digest, self._requests),
            sdk_retries=int(retries) if retries.isdecimal() else None,
        )


class _RefusedError(Exception):
    """A refusal with a journal entry that names the conversation."""

    def __init__(self, error: ApiError, entry: Entry) -> None:
        super().__init__(error.message)
        self.error = error
        self.entry = entry


def _attempt_key(conversation: str, turn: int, *, aside: bool) -> tuple[str, int]:
    return (f"{conversation} aside" if aside else conversation, turn)


def conversation_key(agent: AgentIdentity, request: Prompt) -> str:
    """Return the key of a conversation: the agent, and a digest of the first message.

    Two windows of one agent differ in their first message and so in their key.
    """
    names = [agent.role, agent.task, agent.attempt]
    owner = agent.agent or "/".join(filter(None, names)) or "anonymous"
    first = request.messages[0].blocks[request.model.older_tokenizer]
    return f"{owner}#{hashlib.sha256(prompt.digest(first).encode()).hexdigest()[:10]}"


def _limit(generated: GeneratedReply, request: Prompt) -> GeneratedReply:
    """Truncate a reply at max_tokens or at the end of the window, whichever comes first."""
    limit = int(request.body["max_tokens"])
    rest = request.model.max_input_tokens - request.total_tokens
    if rest < limit:
        return reply.truncate(generated, rest, reason="model_context_window_exceeded")
    return reply.truncate(generated, limit, reason="max_tokens")


def _response(generated: GeneratedReply, entry: Entry) -> Response:
    if not entry.stream:
        return _json_response(200, reply.message(generated), entry.request_id)
    headers = {**_headers(entry.request_id), "content-type": "text/event-stream; charset=utf-8"}
    headers["cache-control"] = "no-cache"
    return Response(
        200, headers, [wire.event(event) for event in reply.events(generated)], streamed=True
    )


def _json_response(status: int, data: Json, request_id: str) -> Response:
    """Return a JSON response in two pieces, so that a fault can disconnect between them."""
    body = wire.loose(data)
    half = len(body) // 2
    headers = {**_headers(request_id), "content-type": "application/json"}
    return Response(status, headers, [body[:half], body[half:]], streamed=False)


def _headers(request_id: str) -> dict[str, str]:
    reset = dt.datetime.now(dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    headers = {
        "x-rehearsed": "true",
        "request-id": request_id,
        "anthropic-organization-id": "rehearsal-organization",
        "anthropic-workspace-id": "rehearsal-workspace",
    }
    for name, limit in _LIMITS.items():
        headers[f"anthropic-ratelimit-{name}-limit"] = str(limit)
        headers[f"anthropic-ratelimit-{name}-remaining"] = str(limit - limit // 100)
        headers[f"anthropic-ratelimit-{name}-reset"] = reset
    return headers


def error_response(error: ApiError, request_id: str) -> Response:
    """Return an error response as the API sends it."""
    response = _json_response(error.status, wire.error_body(error, request_id), request_id)
    return dataclasses.replace(response, headers={**response.headers, **error.headers})


def _refusal(entry: Entry, error: ApiError) -> PlannedResponse:
    entry = dataclasses.replace(
        entry,
        status=error.status,
        failure=error.message,
        retry_after_seconds=_seconds(error.headers.get("retry-after")),
        unanswered=isinstance(error, script.UnansweredError),
        unexpected=isinstance(error, script.UnexpectedError),
    )
    return PlannedResponse(error_response(error, entry.request_id), None, 0.0, entry)


def _seconds(value: str | None) -> float | None:
    return float(value) if value is not None and value.isdecimal() else None


def _failed_response(entry: Entry, fault: Fault, delay: float) -> PlannedResponse:
    """Plan a response that holds no reply."""
    values: Mapping[str, Any] = fault.values
    if fault.kind == "status":
        planned = _refusal(entry, _status_error(fault))
        response = planned.response
        if values["body"]:
            headers = {**response.headers, "content-type": "text/html"}
            response = dataclasses.replace(
                response, headers=headers, pieces=[fault.text("body").encode()]
            )
        return planned._replace(response=response, delay_seconds=delay)
    error = wire.error_body(ApiError(500, "Internal server error"), entry.request_id)
    response = _json_response(200, error, entry.request_id)
    if fault.kind == "html_200":
        headers = {**response.headers, "content-type": "text/html"}
        response = dataclasses.replace(response, headers=headers, pieces=[_HTML])
    status = 0 if fault.kind == "no_response" else 200
    return PlannedResponse(response, fault, delay, dataclasses.replace(entry, status=status))


def _status_error(fault: Fault) -> ApiError:
    return ApiError(
        int(fault.number("code")),
        fault.text("message"),
        kind=fault.text("type") or None,
        code=fault.text("error_code") or None,
        headers={str(k): str(v) for k, v in fault.values["headers"].items()},
    )
