"""
The stage: one request in, one scene out. All state of a server, no socket.

Order of events: the rules of the API, then the script, then the fault that is due.
A request that breaks a rule, or that the script does not foresee, is refused
even where a fault was due, so that no fault hides a mistake of the client.
"""

import dataclasses
import datetime as dt
import hashlib
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from rehearsal import faults, models, prompt, reply, rules, script, thinking, wire
from rehearsal.body import Bodies
from rehearsal.cache import Cache, Reading
from rehearsal.delivery import Response
from rehearsal.faults import Fault
from rehearsal.journal import Entry
from rehearsal.prompt import Prompt
from rehearsal.reply import Part, Reply
from rehearsal.script import Agent, Script, Step
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
    """
    What answers a request.

    Attributes:
        response: what to send.
        fault: what goes wrong while it is sent, or None.
        delay_seconds: silence before it.
        entry: the journal's line, times and ``finished`` still open.
    """

    response: Response
    fault: Fault | None
    delay_seconds: float
    entry: Entry


class _Admitted(NamedTuple):
    """One messages request that passed the rules, with its place in the play."""

    request: Prompt
    headers: Mapping[str, str]
    step: Step
    fault: Fault | None
    digest: str
    attempt: int
    now: float


class Engine:
    """
    Script, cache, seals and the count of attempts.

    Args:
        play: the script.
        entries: what an earlier server with this journal had done, so that
            faults are not played again after a restart.
    """

    def __init__(self, play: Script, entries: list[Entry]) -> None:
        self.play = play
        self.models = models.table(play.models)
        self.cache = Cache()
        self._bodies = Bodies()
        self._key = hashlib.sha256(f"rehearsal {play.seed}".encode()).digest()
        self._attempts: dict[tuple[str, int], int] = {}
        for entry in entries:
            place = _place(entry.conversation, entry.turn, aside=entry.aside)
            self._attempts[place] = max(self._attempts.get(place, 0), entry.seen)
        self._requests = max((entry.n for entry in entries), default=0)

    def messages(self, headers: Mapping[str, str], raw: bytes, now: float) -> PlannedResponse:
        """Answer POST /v1/messages."""
        entry = self._entry("messages", headers, raw, now)
        try:
            rules.authenticate(headers)
            body = rules.parse(raw, self._bodies)
            entry = _about(entry, body)
            return self._admitted(body, headers, entry=entry, now=now)
        except _RefusedError as refused:
            return _refusal(refused.entry, refused.error)
        except ApiError as error:
            return _refusal(entry, error)

    def _admitted(
        self, body: Json, headers: Mapping[str, str], *, entry: Entry, now: float
    ) -> PlannedResponse:
        request = rules.admit(body, headers, self.models)
        agent = Agent.parse(headers.get(AGENT_HEADER, ""))
        place = conversation(agent, request)
        index = script.index_of(request, script.choose(self.play, agent, request))
        entry = dataclasses.replace(entry, conversation=place, turn=index)
        try:
            changes = thinking.check(self._key, request, rules.betas(headers))
            rules.sized(request)
            if body["max_tokens"] == 0:
                return self._prewarm(request, entry=entry, now=now)
            step = script.step(self.play, agent, request)
            script.check(step.turn.expect, request)
        except ApiError as error:
            raise _RefusedError(error, entry) from error
        attempt = self._count(place, step)
        entry = dataclasses.replace(entry, seen=attempt, aside=step.aside)
        fault = self._due(place, step, attempt)
        act = _Admitted(request, headers, step, fault, entry.digest, attempt, now)
        return self._play(act, entry, changes)

    def _count(self, place: str, step: Step) -> int:
        key = _place(place, step.index, aside=step.aside)
        self._attempts[key] = self._attempts.get(key, 0) + 1
        return self._attempts[key]

    def _due(self, place: str, step: Step, attempt: int) -> Fault | None:
        soak = self.play.soak
        if step.turn.fault or soak is None:
            return faults.due(step.turn.fault, attempt)
        spot = f"{self.play.seed} {place} {step.index}"
        return faults.sprinkled(soak.faults, soak.rate, place=spot, attempt=attempt)

    def _play(self, act: _Admitted, entry: Entry, changes: list[Json] | None) -> PlannedResponse:
        fault = act.fault
        entry = dataclasses.replace(entry, fault=fault.kind if fault else None)
        delay = act.step.turn.delay_ms / 1_000
        if fault is not None and fault.kind in faults.UNANSWERED:
            return _outage(entry, fault, delay)
        if fault is not None and fault.kind == "error_event" and not entry.stream:
            code = fault.text("error_code") or None
            error = ApiError(529, fault.text("message"), kind=fault.text("type"), code=code)
            return _refusal(entry, error)._replace(delay_seconds=delay)
        if fault is not None and fault.kind == "evict":
            self.cache.evict()
        said = self._reply(act, changes, entry.request_id)
        entry = dataclasses.replace(
            entry,
            status=200,
            billed=True,
            message_id=said.id,
            stop_reason=said.stop_reason,
            tools=[part.block["name"] for part in said.parts if part.block["type"] == "tool_use"],
            usage=reply.final_usage(said),
        )
        return PlannedResponse(_response(said, entry), fault, delay, entry)

    def _reply(self, act: _Admitted, changes: list[Json] | None, request_id: str) -> Reply:
        reading = self.cache.read(act.request, act.now)
        body = act.request.body
        key = wire.name("msg_", self.play.seed, act.digest, act.attempt, request_id)
        extras = self._extras(body, reading, changes)
        self.cache.commit(reading, act.now, message_id=key)
        turn = act.step.turn
        sequences = body.get("stop_sequences") or [None]
        said = Reply(
            id=key,
            model=f"{act.request.model.id} (rehearsed)",
            parts=self._parts(act),
            stop_reason=turn.stop_reason,
            stop_sequence=sequences[0] if turn.stop_reason == "stop_sequence" else None,
            input=reading.account,
            older=act.request.model.older_tokenizer,
            usage=turn.usage,
            extras=extras,
            iterations=bool(rules.betas(act.headers)),
        )
        return _limited(self._bent(said, act), act.request)

    def _bent(self, said: Reply, act: _Admitted) -> Reply:
        if act.fault is None:
            return said
        return reply.apply_fault(
            said, act.fault, key=wire.name("srvtoolu_", self.play.seed, act.digest)
        )

    def _extras(self, body: Json, reading: Reading, changes: list[Json] | None) -> Json:
        extras: Json = {}
        if changes is not None:
            extras["input_transformations"] = changes
        if body.get("diagnostics") is not None:
            previous = body["diagnostics"].get("previous_message_id")
            extras["diagnostics"] = self.cache.diagnose(reading, previous)
        return extras

    def _parts(self, act: _Admitted) -> list[Part]:
        turn = act.step.turn
        parts: list[Part] = []
        display = prompt.thinking_display(act.request.body, act.request.model)
        if turn.think is not None and display is not None:
            block = thinking.block(self._key, act.request, text=turn.think, display=display)
            parts.append(Part(block, hidden=turn.think))
        if turn.say:
            parts.append(Part({"type": "text", "text": turn.say}))
        for i, call in enumerate(turn.call):
            key = wire.name("toolu_", self.play.seed, act.digest, i)
            parts.append(reply.tool_part(call.tool, call.input, key))
        return parts

    def _prewarm(self, request: Prompt, *, entry: Entry, now: float) -> PlannedResponse:
        """Fill the cache and say nothing, as max_tokens 0 asks for."""
        reading = self.cache.read(request, now)
        key = wire.name("msg_", self.play.seed, entry.digest, entry.request_id)
        self.cache.commit(reading, now, message_id=key)
        shown = f"{request.model.id} (rehearsed)"
        said = Reply(key, shown, [], "max_tokens", reading.account)
        entry = dataclasses.replace(
            entry,
            kind="prewarm",
            status=200,
            billed=True,
            message_id=key,
            stop_reason="max_tokens",
            usage=reply.final_usage(said),
        )
        return PlannedResponse(_response(said, entry), None, 0.0, entry)

    def count_tokens(self, headers: Mapping[str, str], raw: bytes, now: float) -> PlannedResponse:
        """Answer POST /v1/messages/count_tokens."""
        entry = self._entry("count_tokens", headers, raw, now)
        try:
            rules.authenticate(headers)
            body = rules.parse(raw, self._bodies)
            entry = _about(entry, body)
            request = rules.admit(body, headers, self.models, counting=True)
        except ApiError as error:
            return _refusal(entry, error)
        entry = dataclasses.replace(entry, status=200)
        data = {"input_tokens": request.total_tokens}
        return PlannedResponse(_single(200, data, entry.request_id), None, 0.0, entry)

    def look_up(self, headers: Mapping[str, str], path: str) -> Response:
        """Answer GET /v1/models and GET /v1/models/{id}, retired ones included."""
        request_id = wire.name("req_", self.play.seed, path)
        try:
            rules.authenticate(headers)
        except ApiError as error:
            return failure(error, request_id)
        name = path.removeprefix("/v1/models").strip("/")
        if name and name not in self.models:
            return failure(ApiError(404, f"model: {name}"), request_id)
        data = models.info(self.models[name]) if name else models.listing(self.models)
        return _single(200, data, request_id)

    def _entry(self, kind: str, headers: Mapping[str, str], raw: bytes, now: float) -> Entry:
        self._requests += 1
        digest = hashlib.sha256(raw).hexdigest()
        agent = Agent.parse(headers.get(AGENT_HEADER, ""))
        retries = headers.get("x-stainless-retry-count", "")
        return Entry(
            n=self._requests,
            kind=kind,
            time_received=now,
            **dataclasses.asdict(agent),
            digest=digest,
            request_bytes=len(raw),
            request_id=wire.name("req_", self.play.seed, digest, self._requests),
            sdk_retries=int(retries) if retries.isdecimal() else None,
        )


class _RefusedError(Exception):
    """A refusal whose request had been understood: its entry knows the conversation."""

    def __init__(self, error: ApiError, entry: Entry) -> None:
        super().__init__(error.message)
        self.error = error
        self.entry = entry


def _place(key: str, turn: int, *, aside: bool) -> tuple[str, int]:
    return (f"{key} aside" if aside else key, turn)


def conversation(agent: Agent, request: Prompt) -> str:
    """
    Return the key of a conversation: who asks, and a digest of the first message.

    Two windows of one agent differ in their first message and so in their key.
    """
    names = [agent.role, agent.task, agent.attempt]
    who = agent.agent or "/".join(filter(None, names)) or "anonymous"
    first = request.messages[0].blocks[request.model.older_tokenizer]
    return f"{who}#{hashlib.sha256(prompt.digest(first).encode()).hexdigest()[:10]}"


def _about(entry: Entry, body: Json) -> Entry:
    model = body.get("model")
    return dataclasses.replace(
        entry,
        model=model if isinstance(model, str) else None,
        stream=body.get("stream") is True,
    )


def _limited(said: Reply, request: Prompt) -> Reply:
    """Cut a reply at max_tokens or at the end of the window, whichever comes first."""
    limit = int(request.body["max_tokens"])
    room = request.model.max_input_tokens - request.total_tokens
    if room < limit:
        return reply.fit(said, room, reason="model_context_window_exceeded")
    return reply.fit(said, limit, reason="max_tokens")


def _response(said: Reply, entry: Entry) -> Response:
    if not entry.stream:
        return _single(200, reply.message(said), entry.request_id)
    headers = {**_headers(entry.request_id), "content-type": "text/event-stream; charset=utf-8"}
    headers["cache-control"] = "no-cache"
    return Response(200, headers, [wire.event(one) for one in reply.events(said)], streamed=True)


def _single(status: int, data: Json, request_id: str) -> Response:
    """Return a JSON response in two pieces, so that a fault can cut between them."""
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


def failure(error: ApiError, request_id: str) -> Response:
    """Return an error as the API sends it."""
    response = _single(error.status, wire.error_body(error, request_id), request_id)
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
    return PlannedResponse(failure(error, entry.request_id), None, 0.0, entry)


def _seconds(value: str | None) -> float | None:
    return float(value) if value is not None and value.isdecimal() else None


def _outage(entry: Entry, fault: Fault, delay: float) -> PlannedResponse:
    """Answer with something that is not a reply."""
    values: Mapping[str, Any] = fault.values
    if fault.kind == "status":
        scene = _refusal(entry, _status_error(fault))
        response = scene.response
        if values["body"]:
            headers = {**response.headers, "content-type": "text/html"}
            response = dataclasses.replace(
                response, headers=headers, pieces=[fault.text("body").encode()]
            )
        return scene._replace(response=response, delay_seconds=delay)
    error = wire.error_body(ApiError(500, "Internal server error"), entry.request_id)
    response = _single(200, error, entry.request_id)
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
