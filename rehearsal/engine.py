"""The engine: plans the response to a request. It holds all state of a server, but no socket.

Order: the rules of the API, then the script, then the fault of this attempt.
A request that breaks a rule, or that the script does not answer, is refused
even if a fault was scripted, so that no fault hides a mistake of the client.
"""

import dataclasses
import datetime as dt
import hashlib
from collections.abc import Mapping
from typing import Final, NamedTuple

from rehearsal import faults, models, prompt, reply, rules, script, thinking, wire
from rehearsal.cache import Cache, CacheLookup
from rehearsal.delivery import Response
from rehearsal.faults import Fault
from rehearsal.journal import Entry
from rehearsal.prompt import Prompt
from rehearsal.reply import GeneratedReply, ReplyPart
from rehearsal.script import AgentIdentity, Script, Turn
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
        entry: the journal entry; its times and ``finished`` are not set yet.
        fault: the fault to apply while it is sent, or None.
        delay_seconds: the pause before the first byte.
    """

    response: Response
    entry: Entry
    fault: Fault | None = None
    delay_seconds: float = 0.0


class Engine:
    """Answers requests from a script; holds the cache, the signing key and the count of attempts.

    Args:
        entries: the journal of an earlier server, so that faults are not repeated after a
            restart.

    Attributes:
        at_work: model calls that are being answered; the server counts them.
    """

    def __init__(self, script: Script, entries: list[Entry]) -> None:
        self.script = script
        self.models = models.table(script.models)
        self.cache = Cache()
        self._key = hashlib.sha256(f"rehearsal {script.seed}".encode()).digest()
        self._attempts: dict[tuple[str, int, bool], int] = {}
        for entry in entries:
            key = (entry.conversation, entry.turn, entry.aside)
            self._attempts[key] = max(self._attempts.get(key, 0), entry.seen)
        self._requests = max((entry.n for entry in entries), default=0)
        self.at_work = 0

    def messages(self, headers: Mapping[str, str], raw: bytes, now: float) -> PlannedResponse:
        """Plan the response to POST /v1/messages."""
        entry = self._entry("messages", headers, raw, now)
        try:
            return self._plan(_read(headers, raw, entry), headers, entry)
        except ApiError as error:
            return _refusal(entry, error)

    def _plan(self, body: Json, headers: Mapping[str, str], entry: Entry) -> PlannedResponse:
        request = rules.check_request(body, headers, self.models)
        agent = AgentIdentity.parse(headers.get(AGENT_HEADER, ""))
        entry.conversation = _conversation_key(agent, request)
        conversation = script.find_conversation(self.script, agent, request)
        entry.turn = script.turn_index(request, conversation)
        dropped = thinking.check_signatures(self._key, request)
        rules.check_window(request)
        self._check_limit()
        turn = self._turn(request, agent, entry)
        fault = self._find_fault(turn, entry)
        entry.fault = fault.kind if fault else None
        planned = _failure(entry, fault)
        if planned is None:
            generated = self._reply(request, turn, fault, entry, dropped)
            _record_reply(entry, generated)
            planned = PlannedResponse(_response(generated, entry), entry, fault)
        return planned._replace(delay_seconds=turn.delay_ms / 1_000)

    def _check_limit(self) -> None:
        """Refuse what comes beside as many requests as the script lets through at once."""
        limit = self.script.limit
        if limit is not None and self.at_work >= limit.at_once:
            headers = {"retry-after": f"{limit.retry_after:g}"}
            raise ApiError(429, "This request would exceed your rate limit", headers=headers)

    def _turn(self, request: Prompt, agent: AgentIdentity, entry: Entry) -> Turn:
        """Return the turn that answers a request, and count the attempt at it."""
        if request.body["max_tokens"] == 0:
            entry.kind = "prewarm"
            return Turn(stop="max_tokens")
        turn = script.resolve_turn(self.script, agent, request)
        script.check_expectation(turn.expect, request)
        entry.aside = bool(turn.when)
        key = (entry.conversation, entry.turn, entry.aside)
        entry.seen = self._attempts[key] = self._attempts.get(key, 0) + 1
        return turn

    def _find_fault(self, turn: Turn, entry: Entry) -> Fault | None:
        soak = self.script.soak
        if turn.fault or soak is None or entry.kind == "prewarm":
            return faults.fault_for_attempt(turn.fault, entry.seen)
        key = f"{self.script.seed} {entry.conversation} {entry.turn}"
        return faults.random_fault(soak.faults, soak.rate, key=key, attempt=entry.seen)

    def _reply(
        self, request: Prompt, turn: Turn, fault: Fault | None, entry: Entry, dropped: list[Json]
    ) -> GeneratedReply:
        """Return the reply with its fault; its prompt is looked up and stored in the cache."""
        if fault is not None and fault.kind == "evict":
            self.cache.evict()
        lookup = self.cache.look_up(request, entry.time_received)
        key = wire.name("msg_", self.script.seed, entry.digest, entry.seen, entry.request_id)
        extras = self._extras(request, lookup, dropped)
        self.cache.commit(lookup, entry.time_received, message_id=key)
        sequences = request.body.get("stop_sequences") or [None]
        generated = GeneratedReply(
            id=key,
            model=f"{request.model.id} (rehearsed)",
            parts=self._parts(request, turn, entry.digest),
            stop_reason=turn.stop_reason,
            stop_sequence=sequences[0] if turn.stop_reason == "stop_sequence" else None,
            input=lookup.tokens,
            older=request.model.older_tokenizer,
            usage=turn.usage,
            extras=extras,
            iterations=bool(request.betas),
        )
        if fault is not None:
            added = wire.name("srvtoolu_", self.script.seed, entry.digest)
            generated = reply.apply_fault(generated, fault, key=added)
        return _limit(generated, request)

    def _extras(self, request: Prompt, lookup: CacheLookup, dropped: list[Json]) -> Json:
        extras: Json = {}
        if thinking.BINDING_BETA in request.betas:
            extras["input_transformations"] = dropped
        if request.body.get("diagnostics") is not None:
            previous = request.body["diagnostics"].get("previous_message_id")
            extras["diagnostics"] = self.cache.diagnose(lookup, previous)
        return extras

    def _parts(self, request: Prompt, turn: Turn, digest: str) -> list[ReplyPart]:
        parts: list[ReplyPart] = []
        display = prompt.thinking_display(request.body, request.model)
        if turn.think is not None and display is not None:
            block = thinking.signed_block(self._key, request, text=turn.think, display=display)
            parts.append(ReplyPart(block, hidden=turn.think))
        if turn.say:
            parts.append(ReplyPart({"type": "text", "text": turn.say}))
        for i, call in enumerate(turn.call):
            key = wire.name("toolu_", self.script.seed, digest, i)
            parts.append(reply.tool_part(call.tool, call.input, call.id or key))
        return parts

    def count_tokens(self, headers: Mapping[str, str], raw: bytes, now: float) -> PlannedResponse:
        """Plan the response to POST /v1/messages/count_tokens."""
        entry = self._entry("count_tokens", headers, raw, now)
        try:
            body = _read(headers, raw, entry)
            request = rules.check_request(body, headers, self.models, counting=True)
        except ApiError as error:
            return _refusal(entry, error)
        entry.status = 200
        data = {"input_tokens": request.total_tokens}
        return PlannedResponse(_json_response(200, data, entry.request_id), entry)

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


def _read(headers: Mapping[str, str], raw: bytes, entry: Entry) -> Json:
    rules.authenticate(headers)
    body = rules.parse(raw)
    model = body.get("model")
    entry.model = model if isinstance(model, str) else None
    entry.stream = body.get("stream") is True
    return body


def _conversation_key(agent: AgentIdentity, request: Prompt) -> str:
    """Return the key of a conversation: the agent, and a digest of the first message.

    Two windows of one agent differ in their first message and so in their key.
    """
    names = [agent.role, agent.task, agent.attempt]
    owner = agent.agent or "/".join(filter(None, names)) or "anonymous"
    return f"{owner}#{prompt.digest(block for block in request.blocks if block.turn == 0)}"


def _limit(generated: GeneratedReply, request: Prompt) -> GeneratedReply:
    """Truncate a reply at max_tokens or at the end of the window, whichever comes first."""
    limit = int(request.body["max_tokens"])
    rest = request.model.max_input_tokens - request.total_tokens
    if rest < limit:
        return reply.truncate(generated, rest, reason="model_context_window_exceeded")
    return reply.truncate(generated, limit, reason="max_tokens")


def _record_reply(entry: Entry, generated: GeneratedReply) -> None:
    calls = [part.block for part in generated.parts if part.block["type"] == "tool_use"]
    entry.status = 200
    entry.billed = True
    entry.message_id = generated.id
    entry.stop_reason = generated.stop_reason
    entry.tools = [call["name"] for call in calls]
    entry.usage = reply.final_usage(generated)
    diagnosis = generated.extras.get("diagnostics") or {}
    entry.cache_miss = (diagnosis.get("cache_miss_reason") or {}).get("type")


def _response(generated: GeneratedReply, entry: Entry) -> Response:
    if not entry.stream:
        return _json_response(200, reply.message(generated), entry.request_id)
    headers = {**_headers(entry.request_id), "content-type": "text/event-stream; charset=utf-8"}
    headers["cache-control"] = "no-cache"
    events = [wire.event(event) for event in reply.events(generated)]
    return Response(200, headers, events, streamed=True)


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
    entry.status = error.status
    entry.failure = error.message
    retry_after = error.headers.get("retry-after", "")
    numeric = retry_after.replace(".", "", 1).isdecimal()
    entry.retry_after_seconds = float(retry_after) if numeric else None
    entry.unanswered = isinstance(error, script.UnansweredError)
    entry.unexpected = isinstance(error, script.UnexpectedError)
    return PlannedResponse(error_response(error, entry.request_id), entry)


def _failure(entry: Entry, fault: Fault | None) -> PlannedResponse | None:
    """Plan a response that holds no reply; None when there is one."""
    if fault is None:
        return None
    if fault.kind == "error_event" and not entry.stream:
        return _refusal(entry, fault.error(529))
    if fault.kind == "status":
        planned = _refusal(entry, fault.error(int(fault.number("code"))))
        page = fault.text("body").encode()
        return planned._replace(response=_html(planned.response, page)) if page else planned
    if fault.kind not in faults.NO_MODEL_RUNS:
        return None
    entry.status = 0 if fault.kind == "no_response" else 200
    error = wire.error_body(ApiError(500, "Internal server error"), entry.request_id)
    response = _json_response(200, error, entry.request_id)
    if fault.kind == "html_200":
        response = _html(response, _HTML)
    return PlannedResponse(response, entry, fault)


def _html(response: Response, page: bytes) -> Response:
    headers = {**response.headers, "content-type": "text/html"}
    return dataclasses.replace(response, headers=headers, pieces=[page])
