"""The rules: each mistake of a client is refused with the API's status and message."""

import copy
import json
from collections.abc import Callable, Mapping
from typing import Any, Final, get_args

import anthropic
import pytest

from rehearsal import rules, script_loader, thinking
from rehearsal.engine import Engine
from rehearsal.journal import Entry
from tests.rehearsal.client_fixtures import READ, Json

HEADERS: Final[Mapping[str, str]] = {
    "authorization": "Bearer any",
    "anthropic-version": "2026-10-21",
}
SCRIPT: Final = script_loader.read({"casts": [{"generate": {"turns": 50, "say": "yes"}}]})

Change = Callable[[Json], Any]


def valid_request() -> Json:
    """Return a valid request: two turns, two calls, a system message."""
    calls = [{"type": "tool_use", "id": f"t{i}", "name": "read", "input": {}} for i in range(2)]
    results = [{"type": "tool_result", "tool_use_id": f"t{i}", "content": "x"} for i in range(2)]
    marked = {"type": "text", "text": "go", "cache_control": {"type": "ephemeral", "ttl": "1h"}}
    return {
        "model": "claude-opus-5-5",
        "max_tokens": 1_000,
        "system": [{"type": "text", "text": "You code."}],
        "tools": [copy.deepcopy(READ)],
        "messages": [
            {"role": "user", "content": [marked]},
            {"role": "assistant", "content": calls},
            {"role": "user", "content": results},
            {"role": "system", "content": "The budget is nearly spent."},
        ],
    }


def ask(body: Any, **headers: str) -> Entry:
    """Send one request to a new engine and return its entry."""
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    joined = {**HEADERS, **{key.replace("_", "-"): value for key, value in headers.items()}}
    return Engine(SCRIPT, []).messages({k: v for k, v in joined.items() if v}, raw, 0.0).entry


def test_a_valid_request_is_answered() -> None:
    """The request that the other tests change passes all rules."""
    entry = ask(valid_request())

    assert (entry.status, entry.failure) == (200, None)


def put(**fields: Any) -> Change:
    """Set top-level fields; None removes one."""

    def change(body: Json) -> None:
        body.update(fields)
        for key in [key for key, value in fields.items() if value is None]:
            del body[key]

    return change


def content(position: int, value: Any) -> Change:
    """Replace the content of one message."""
    return lambda body: body["messages"][position].update(content=value)


def result(key: str, text: str = "x") -> Json:
    """Return a tool result."""
    return {"type": "tool_result", "tool_use_id": key, "content": text}


def mark(*ttls: str) -> Change:
    """Add marked blocks to the system prompt, one for each time to live."""
    blocks = [
        {"type": "text", "text": f"s{i}", "cache_control": {"type": "ephemeral", "ttl": ttl}}
        for i, ttl in enumerate(ttls)
    ]
    return put(system=blocks)


def model(name: str, **fields: Any) -> Change:
    """Use another model, without the system message that not all models accept."""

    def change(body: Json) -> None:
        del body["messages"][3:]
        body.update(model=name, **fields)

    return change


def tool(**fields: Any) -> Change:
    """Change the one tool."""
    return lambda body: body["tools"][0].update(fields)


def schema(value: Json) -> Change:
    """Ask for an output format."""
    return put(output_config={"format": {"type": "json_schema", "schema": value}})


def cut(position: int) -> Change:
    """Remove the messages from a position on."""
    return lambda body: body["messages"].__delitem__(slice(position, None))


def wide(value: Json, count: int) -> Json:
    """Return the schema of an object with many properties, optional unless they may be null."""
    names = [f"p{i}" for i in range(count)]
    required = names if isinstance(value["type"], list) else []
    properties = dict.fromkeys(names, value)
    base: Json = {"type": "object", "additionalProperties": False}
    return {**base, "properties": properties, "required": required}


OPEN = {"type": "object", "properties": {"a": {"type": "integer", "minimum": 1}}}
CLOSED = {**OPEN, "additionalProperties": False}

CASES: Final[Mapping[str, tuple[Change, int, str]]] = {
    # 1. fields and model
    "model-missing": (put(model=None), 404, "model: None"),
    "model-unknown": (put(model="claude-none"), 404, "model: claude-none"),
    "model-retired": (put(model="claude-opus-4-1"), 404, "model: claude-opus-4-1"),
    "field-unknown": (put(colour="red"), 400, "colour: Extra inputs are not permitted"),
    "temperature": (put(temperature=1), 400, "temperature: "),
    # 2. max_tokens
    "max-missing": (put(max_tokens=None), 400, "max_tokens: Field required"),
    "max-negative": (put(max_tokens=-1), 400, "max_tokens: Input should be"),
    "max-bool": (put(max_tokens=True), 400, "max_tokens: Input should be"),
    "max-above": (put(max_tokens=128_001), 400, "128001 > 128000"),
    "prewarm-stream": (put(max_tokens=0, stream=True), 400, "cannot be combined with stream"),
    "prewarm-forced": (put(max_tokens=0, tool_choice={"type": "any"}), 400, "with tool_choice"),
    # 3. messages
    "no-messages": (put(messages=[]), 400, "at least one message is required"),
    "not-objects": (put(messages=["x"]), 400, "messages.0: Input should be an object"),
    "role": (put(messages=[{"role": "robot", "content": "x"}]), 400, "messages.0.role"),
    "starts-assistant": (
        lambda body: body["messages"].pop(0),
        400,
        'first message must use the "user" role',
    ),
    "prefill": (cut(2), 400, "does not support assistant message prefill"),
    "empty-content": (content(0, []), 400, "messages.0: all messages must have non-empty content"),
    "empty-text": (content(0, [{"type": "text", "text": ""}]), 400, "must be non-empty"),
    "blank-text": (content(0, " \n"), 400, "must contain non-whitespace text"),
    # 4. system messages
    "system-model": (
        put(model="claude-sonnet-5"),
        400,
        "messages.3: role 'system' is not supported on this model",
    ),
    "system-block": (content(3, [result("t0")]), 400, "system messages may hold text only"),
    "system-place": (
        lambda body: body["messages"].append({"role": "user", "content": "x"}),
        400,
        "messages.3: a system message must be the last",
    ),
    # 5. pairs
    "unanswered": (
        content(2, [result("t0")]),
        400,
        "messages.1.content.1: `tool_use` ids were found without `tool_result` blocks immediately",
    ),
    "unknown-id": (content(2, [result("t0"), result("t1"), result("t9")]), 400, "t9"),
    "twice": (content(2, [result("t0"), result("t0"), result("t1")]), 400, "unexpected"),
    "text-first": (
        content(2, [{"type": "text", "text": "x"}, result("t0"), result("t1")]),
        400,
        "`tool_result` blocks must come before other content",
    ),
    "stray": (content(0, [result("t7")]), 400, "messages.0.content.0: unexpected `tool_use_id`"),
    "same-ids": (
        lambda body: body["messages"][1]["content"][1].update(id="t0"),
        400,
        "ids must be unique",
    ),
    # 6. tools
    "tool-twice": (lambda body: body["tools"].append(body["tools"][0]), 400, "must be unique"),
    "tool-name": (tool(name="a b"), 400, "tools.0.name"),
    "tool-schema": (tool(input_schema={"type": "array"}), 400, "tools.0.custom.input_schema.type"),
    "tool-server": (tool(type="web_search_20260101"), 400, "is not rehearsed"),
    "forced": (put(tool_choice={"type": "any"}), 400, "tool_choice: 'any' is not supported"),
    "forced-unknown": (
        model("claude-opus-5", tool_choice={"type": "tool", "name": "x"}),
        400,
        "Tool 'x' not found",
    ),
    "format-open": (schema(OPEN), 400, "'additionalProperties' must be explicitly set to false"),
    "format-bounds": (schema(CLOSED), 400, "properties.a: property 'minimum' is not supported"),
    "format-optional": (schema(wide({"type": "string"}, 25)), 400, "25 optional parameters"),
    "strict-unions": (
        tool(strict=True, input_schema=wide({"type": ["string", "null"]}, 17)),
        400,
        "17 parameters with union types",
    ),
    # 7. thinking
    "enabled": (
        put(thinking={"type": "enabled", "budget_tokens": 1024}),
        400,
        '"thinking.type.enabled" is not supported for this model.',
    ),
    "disabled": (
        put(thinking={"type": "disabled"}),
        400,
        '"thinking.type.disabled" is not supported',
    ),
    "adaptive": (
        model("claude-haiku-4-5", thinking={"type": "adaptive"}),
        400,
        "adaptive thinking is not supported on this model",
    ),
    "disabled-xhigh": (
        model("claude-opus-5", thinking={"type": "disabled"}, output_config={"effort": "xhigh"}),
        400,
        "'xhigh'",
    ),
    "effort": (put(output_config={"effort": "huge"}), 400, "unknown effort 'huge'"),
    "budget": (
        model("claude-haiku-4-5", thinking={"type": "enabled", "budget_tokens": 1}),
        400,
        "greater than or equal to 1024",
    ),
    "budget-max": (
        model("claude-haiku-4-5", thinking={"type": "enabled", "budget_tokens": 1024}),
        400,
        "`max_tokens` must be greater than `thinking.budget_tokens`",
    ),
    # 8. markers
    "five-markers": (
        mark("1h", "1h", "1h", "1h"),
        400,
        "A maximum of 4 blocks with cache_control may be provided. Found 5.",
    ),
    "four-and-automatic": (
        lambda body: (mark("1h", "1h", "1h")(body), put(cache_control={"type": "ephemeral"})(body)),
        400,
        "Found 5.",
    ),
    "ttl-order": (mark("5m"), 400, "must not come after a ttl='5m'"),
    "ttl-unknown": (mark("2h"), 400, "cache_control.ttl: Input should be '5m' or '1h'"),
    # 9. betas
    "fallbacks": (put(fallbacks="default"), 400, "fallbacks: Extra inputs are not permitted"),
    "binding": (
        put(thinking={"type": "adaptive", "block_binding": {}}),
        400,
        "thinking.block_binding: Extra inputs are not permitted",
    ),
    "task-budget": (put(output_config={"task_budget": {}}), 400, "output_config.task_budget"),
    "clear-at": (
        lambda body: body["messages"][3].update(clear_at=1),
        400,
        "messages.3.clear_at: Extra inputs",
    ),
}


@pytest.mark.parametrize(("change", "status", "message"), CASES.values(), ids=CASES.keys())
def test_a_mistake_is_refused_with_its_own_message(
    change: Change, status: int, message: str
) -> None:
    """Each change to a valid request has its status and message."""
    body = valid_request()
    change(body)
    entry = ask(body)

    assert entry.status == status
    assert message in str(entry.failure)
    assert not entry.billed


@pytest.mark.parametrize(
    ("headers", "raw", "status"),
    [
        pytest.param({"authorization": ""}, b"{}", 401, id="no-key"),
        pytest.param({"anthropic_version": ""}, b"{}", 400, id="no-version"),
        pytest.param({}, b"{", 400, id="broken-json"),
        pytest.param({}, b"[1]", 400, id="no-object"),
        pytest.param({}, b'{"model": "\xff"}', 400, id="no-utf8"),
        pytest.param({}, b"", 400, id="empty"),
        pytest.param({}, b'{"model":"claude-opus-5-5"} x', 400, id="trailing"),
    ],
)
def test_a_request_needs_a_key_a_version_and_an_object(
    headers: dict[str, str], raw: bytes, status: int
) -> None:
    """These are checked before the rules."""
    assert ask(raw, **headers).status == status


def test_a_beta_feature_is_refused_as_not_rehearsed() -> None:
    """A feature that this server does not support is never ignored."""
    body = valid_request() | {"fallbacks": "default"}
    entry = ask(body, anthropic_beta="other-beta,server-side-fallback-2026-07-01")

    assert entry.failure == "fallbacks: not rehearsed"


def test_every_beta_name_is_known_to_the_vendors_library() -> None:
    """A misspelt name would never match."""
    known = get_args(get_args(anthropic.types.AnthropicBetaParam)[1])
    betas = [name for names in rules.BETA_FIELDS.values() for name in names]
    betas += [*rules.MESSAGE_BETAS.values(), rules.TASK_BUDGET_BETA, thinking.BINDING_BETA]

    assert set(betas) - set(known) == set()


def test_a_lone_surrogate_is_refused() -> None:
    """Text that is not valid Unicode cannot be a prompt."""
    body = valid_request()
    body["messages"][0]["content"] = "broken \ud800"

    assert ask(body).status == 400


def test_adjacent_messages_of_one_role_are_read_as_one() -> None:
    """Results may be in one user message and a person's words in the next."""
    body = valid_request()
    body["messages"][3:] = [{"role": "user", "content": "and hurry"}]

    assert ask(body).status == 200
