"""The validation rules of the Messages API, in the API's order, with its statuses and messages.

Documented error messages are used verbatim; the others are our own.
A check raises `ApiError`; a request that passes all becomes a `Prompt`.
"""

import itertools
import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from rehearsal import models, prompt, thinking
from rehearsal.models import Model
from rehearsal.prompt import Prompt
from rehearsal.wire import ApiError, Json, bad_request

MAX_MESSAGES: Final = 100_000
MAX_MARKERS: Final = 4
MIN_THINKING_TOKENS: Final = 1_024
_TOOL_NAME: Final = re.compile(r"[a-zA-Z0-9_-]{1,64}")
_CALL_FIELDS: Final[Mapping[str, re.Pattern[str]]] = {
    "id": re.compile(r"[a-zA-Z0-9_-]+"),
    "name": re.compile(r"[a-zA-Z0-9_-]{1,128}"),
}
_MAX_STRICT_TOOLS: Final = 20
_MAX_OPTIONAL: Final = 24
_MAX_UNIONS: Final = 16

_FIELDS: Final = frozenset(
    [
        "model",
        "messages",
        "max_tokens",
        "system",
        "tools",
        "tool_choice",
        "thinking",
        "output_config",
        "cache_control",
        "stream",
        "stop_sequences",
        "metadata",
        "service_tier",
        "speed",
        "diagnostics",
        "container",
        "inference_geo",
        "user_profile_id",
        "workspace_id",
    ]
)
_SAMPLING: Final = ("temperature", "top_p", "top_k")

BETA_FIELDS: Final[Mapping[str, tuple[str, ...]]] = {
    "compaction": ("compact-2026-09-04",),
    "context_management": ("context-management-2025-06-27", "compact-2026-01-12"),
    "thread": ("message-threads-2026-08-12",),
    "fallbacks": ("server-side-fallback-2026-07-01",),
    "fallback_credit_token": ("fallback-credit-2026-07-01",),
    "mcp_servers": ("mcp-client-2026-09-15", "mcp-client-2025-11-20"),
    "billing_policy": ("user-profiles-billing-2026-10-01",),
}
"""Top-level fields that need a beta header; none of them is supported here."""

TASK_BUDGET_BETA: Final = "task-budgets-2026-03-13"
MESSAGE_BETAS: Final[Mapping[str, str]] = {
    "clear_at": "mid-conversation-system-clear-at-2026-08-21",
    "output_config": "mid-conversation-output-config-2026-07-01",
    "tool_addition": "mid-conversation-tool-changes-2026-07-01",
    "tool_removal": "mid-conversation-tool-changes-2026-07-01",
}
"""Fields of a message that need a beta header; none of them is supported here."""


def authenticate(headers: Mapping[str, str]) -> None:
    """Require an API key (any value) and an API version."""
    bearer = headers.get("authorization", "").removeprefix("Bearer ").strip()
    if not bearer and not headers.get("x-api-key"):
        raise ApiError(401, "x-api-key header is required")
    if not headers.get("anthropic-version"):
        raise bad_request("anthropic-version: header is required")


def parse(raw: bytes) -> Json:
    """Return the body as an object.

    Raises:
        ApiError: 400 for anything but a JSON object in UTF-8.
    """
    try:
        body = json.loads(raw.decode())
    except ValueError as error:
        raise bad_request(f"The request body is not valid JSON: {error}") from error
    if not isinstance(body, dict):
        raise bad_request("The request body must be a JSON object")
    return body


def check_request(
    body: Json, headers: Mapping[str, str], table: Mapping[str, Model], *, counting: bool = False
) -> Prompt:
    """Check a request, except its size, and return it as a prompt.

    A count_tokens request (`counting`) has no ``max_tokens``.

    Raises:
        ApiError: the first rule that the request breaks.
    """
    named = map(str.strip, headers.get("anthropic-beta", "").split(","))
    enabled = frozenset(filter(None, named))
    model = models.find(table, body.get("model"))
    _check_fields(body, enabled)
    if not counting:
        _check_max_tokens(body, model)
    _check_messages(body)
    _check_last_message(body, model)
    _check_system_messages(body, model)
    _check_tool_pairs(body)
    _check_tools(body, model)
    _check_format(body)
    _check_grammar_limits(body)
    _check_thinking(body, model)
    _check_nested_betas(body, enabled)
    try:
        request = prompt.build(body, model, enabled)
    except UnicodeEncodeError as error:
        raise bad_request(f"The request body is not valid JSON: {error.reason}") from error
    _check_markers(request)
    return request


def check_window(request: Prompt) -> None:
    """Refuse a request whose input tokens exceed the model's window."""
    total = request.total_tokens
    window = request.model.max_input_tokens
    if total > window:
        raise bad_request(f"prompt is too long: {total} tokens > {window} maximum")


def _check_fields(body: Json, enabled: frozenset[str]) -> None:
    for field in body:
        if field in _SAMPLING:
            raise bad_request(f"{field}: This parameter is not supported by this API version")
        if not enabled.isdisjoint(BETA_FIELDS.get(field, ())):
            raise bad_request(f"{field}: not rehearsed")
        if field not in _FIELDS:
            raise bad_request(f"{field}: Extra inputs are not permitted")


def _check_max_tokens(body: Json, model: Model) -> None:
    limit = body.get("max_tokens")
    if limit is None:
        raise bad_request("max_tokens: Field required")
    if not isinstance(limit, int) or isinstance(limit, bool) or limit < 0:
        raise bad_request("max_tokens: Input should be a valid integer, 0 or more")
    if limit > model.max_tokens:
        raise bad_request(
            f"max_tokens: {limit} > {model.max_tokens}, which is the maximum allowed number of "
            f"output tokens for {model.id}"
        )
    if limit == 0:
        _check_prewarm(body)


def _check_prewarm(body: Json) -> None:
    clashes = {
        "stream": body.get("stream"),
        "output_config.format": (body.get("output_config") or {}).get("format"),
        "tool_choice": (body.get("tool_choice") or {}).get("type") in {"any", "tool"},
        "thinking": (body.get("thinking") or {}).get("type") == "enabled",
    }
    for field, clash in clashes.items():
        if clash:
            raise bad_request(f"max_tokens: 0 cannot be combined with {field}")


def _check_messages(body: Json) -> None:
    messages = body.get("messages")
    if not isinstance(messages, list):
        raise bad_request("messages: Field required")
    if not messages:
        raise bad_request("messages: at least one message is required")
    if len(messages) > MAX_MESSAGES:
        raise bad_request(f"messages: at most {MAX_MESSAGES} messages are allowed")
    for i, message in enumerate(messages):
        if not isinstance(message, dict):
            raise bad_request(f"messages.{i}: Input should be an object")
        _check_message(message, f"messages.{i}")
    if messages[0]["role"] != "user":
        raise bad_request('messages: first message must use the "user" role')
    _check_content(body.get("system") or [], "system")


def _check_message(message: Json, path: str) -> None:
    if message.get("role") not in {"user", "assistant", "system"}:
        raise bad_request(f"{path}.role: Input should be 'user', 'assistant' or 'system'")
    content = message.get("content")
    if not isinstance(content, str | list) or not content:
        raise bad_request(f"{path}: all messages must have non-empty content")
    _check_content(content, f"{path}.content")


def _check_content(content: Any, path: str) -> None:
    if isinstance(content, str):
        if content and not content.strip():
            raise bad_request(f"{path}: text content blocks must contain non-whitespace text")
        return
    for j, block in enumerate(content):
        if not isinstance(block, dict) or not isinstance(block.get("type"), str):
            raise bad_request(f"{path}.{j}.type: Field required")
        if block["type"] == "text":
            _check_text(block.get("text"), f"{path}.{j}")


def _check_text(text: Any, path: str) -> None:
    if not isinstance(text, str):
        raise bad_request(f"{path}.text: Field required")
    if not text:
        raise bad_request(f"{path}: text content blocks must be non-empty")
    if not text.strip():
        raise bad_request(f"{path}: text content blocks must contain non-whitespace text")


def _check_last_message(body: Json, model: Model) -> None:
    last = body["messages"][-1]
    if last["role"] == "assistant" and not model.prefill and not _is_paused(last["content"]):
        raise bad_request(
            "This model does not support assistant message prefill. "
            "The conversation must end with a user message."
        )


def _is_paused(content: str | list[Json]) -> bool:
    """Return whether a reply stopped in the middle of a server tool, so that it can be resumed."""
    blocks = prompt.content_blocks(content)
    answered = {block.get("tool_use_id") for block in blocks}
    return any(b["type"] == "server_tool_use" and b.get("id") not in answered for b in blocks)


def _check_system_messages(body: Json, model: Model) -> None:
    messages = body["messages"]
    for i, message in enumerate(messages):
        if message["role"] != "system":
            continue
        path = f"messages.{i}"
        if not model.system_messages:
            raise bad_request(f"{path}: role 'system' is not supported on this model")
        if any(b["type"] != "text" for b in prompt.content_blocks(message["content"])):
            raise bad_request(f"{path}: system messages may hold text only")
        before = messages[i - 1]
        last = prompt.content_blocks(before["content"])[-1]["type"]
        if before["role"] == "assistant" and not last.endswith("_tool_result"):
            raise bad_request(f"{path}: a system message must follow a user message")
        if i + 1 < len(messages) and messages[i + 1]["role"] == "user":
            raise bad_request(
                f"{path}: a system message must be the last one or precede the assistant's"
            )


_LocatedBlock = tuple[str, Json]
"""The path of a block, and the block."""


def _check_tool_pairs(body: Json) -> None:
    seen: set[str] = set()
    open_calls: dict[str, str] = {}
    # Adjacent messages of one role are read as one.
    by_role = itertools.groupby(enumerate(body["messages"]), lambda numbered: numbered[1]["role"])
    for role, group in by_role:
        located = [
            (f"messages.{i}.content.{j}", block)
            for i, message in group
            for j, block in enumerate(prompt.content_blocks(message["content"]))
        ]
        results = [(path, b) for path, b in located if b["type"] == "tool_result"]
        if role == "user":
            _check_results(located, results, open_calls)
            open_calls = {}
            continue
        if open_calls or results:
            raise _unanswered(open_calls) if open_calls else _unexpected_result(*results[0])
        if role == "assistant":
            open_calls = _read_calls(located, seen)
    if open_calls:
        raise _unanswered(open_calls)


def _read_calls(located: list[_LocatedBlock], seen: set[str]) -> dict[str, str]:
    calls: dict[str, str] = {}
    for path, block in located:
        if block["type"] != "tool_use":
            continue
        key = block.get("id")
        if not isinstance(key, str) or not isinstance(block.get("input"), dict):
            raise bad_request(f"{path}.tool_use: id must be a string and input an object")
        for field, pattern in _CALL_FIELDS.items():
            if not pattern.fullmatch(str(block.get(field, ""))):
                said = f"String should match pattern '^{pattern.pattern}$'"
                raise bad_request(f"{path}.tool_use.{field}: {said}")
        if key in seen:
            raise bad_request(f"{path}: `tool_use` ids must be unique")
        seen.add(key)
        calls[key] = path
    return calls


def _check_results(
    located: list[_LocatedBlock], results: list[_LocatedBlock], open_calls: dict[str, str]
) -> None:
    unanswered = dict(open_calls)
    for path, block in results:
        if unanswered.pop(str(block.get("tool_use_id")), None) is None:
            raise _unexpected_result(path, block)
    if unanswered:
        raise _unanswered(unanswered)
    if [block for _, block in located[: len(results)]] != [block for _, block in results]:
        raise bad_request(f"{located[0][0]}: `tool_result` blocks must come before other content")


def _unexpected_result(path: str, block: Json) -> ApiError:
    key = block.get("tool_use_id")
    return bad_request(
        f"{path}: unexpected `tool_use_id` found in `tool_result` blocks: {key}. "
        "Each `tool_result` block must have a corresponding `tool_use` block in the previous "
        "message."
    )


def _unanswered(open_calls: Mapping[str, str]) -> ApiError:
    path = next(iter(open_calls.values()))
    return bad_request(
        f"{path}: `tool_use` ids were found without `tool_result` blocks immediately after: "
        f"{', '.join(open_calls)}. Each `tool_use` block must have a corresponding `tool_result` "
        "block in the next message."
    )


def _check_tools(body: Json, model: Model) -> None:
    names: set[str] = set()
    for i, tool in enumerate(body.get("tools") or ()):
        _check_tool(tool, f"tools.{i}", names)
    if sum(bool(tool.get("strict")) for tool in body.get("tools") or ()) > _MAX_STRICT_TOOLS:
        raise bad_request(f"tools: at most {_MAX_STRICT_TOOLS} strict tools are allowed")
    choice = body.get("tool_choice") or {"type": "auto"}
    if choice.get("type") not in {"auto", "any", "tool", "none"}:
        raise bad_request("tool_choice.type: Input should be 'auto', 'any', 'tool' or 'none'")
    if choice["type"] in {"any", "tool"} and not model.forced_tools:
        raise bad_request(f"tool_choice: '{choice['type']}' is not supported on this model")
    if choice["type"] == "tool" and choice.get("name") not in names:
        raise bad_request(f"tool_choice.name: Tool '{choice.get('name')}' not found in tools")


def _check_tool(tool: Any, path: str, names: set[str]) -> None:
    if not isinstance(tool, dict) or not _TOOL_NAME.fullmatch(str(tool.get("name", ""))):
        raise bad_request(f"{path}.name: String should match pattern '^[a-zA-Z0-9_-]{{1,64}}$'")
    if tool["name"] in names:
        raise bad_request(f"{path}: Tool names must be unique.")
    names.add(tool["name"])
    if tool.get("type", "custom") != "custom":
        raise bad_request(f"{path}.type: {tool['type']} is not rehearsed")
    schema = tool.get("input_schema")
    if not isinstance(schema, dict) or schema.get("type") != "object":
        raise bad_request(f"{path}.custom.input_schema.type: Input should be 'object'")


def _check_format(body: Json) -> None:
    wanted = (body.get("output_config") or {}).get("format")
    if wanted is None:
        return
    if wanted.get("type") != "json_schema" or not isinstance(wanted.get("schema"), dict):
        raise bad_request("output_config.format: a json_schema with a schema is required")
    for path, schema in _schemas(wanted["schema"], "output_config.format.schema"):
        _check_schema(path, schema)


_UNSUPPORTED: Final = frozenset(
    [
        "minimum",
        "maximum",
        "exclusiveMinimum",
        "exclusiveMaximum",
        "multipleOf",
        "minLength",
        "maxLength",
        "maxItems",
        "uniqueItems",
    ]
)


def _check_schema(path: str, schema: Json) -> None:
    if schema.get("type") == "object" and schema.get("additionalProperties") is not False:
        raise bad_request(
            f"{path}: For 'object' type, 'additionalProperties' must be explicitly set to false"
        )
    for key in sorted(_UNSUPPORTED & set(schema)):
        raise bad_request(f"{path}: property '{key}' is not supported")
    if schema.get("minItems", 0) not in {0, 1}:
        raise bad_request(f"{path}: 'minItems' may be 0 or 1")


def _check_grammar_limits(body: Json) -> None:
    """Check the limits for all schemas of a request together."""
    wanted = (body.get("output_config") or {}).get("format") or {}
    strict = [tool["input_schema"] for tool in body.get("tools") or () if tool.get("strict")]
    optional = unions = 0
    for bound in [wanted.get("schema"), *strict]:
        for _, schema in _schemas(bound, ""):
            named = set(schema.get("properties") or ())
            optional += len(named - set(schema.get("required") or ()))
            unions += "anyOf" in schema or isinstance(schema.get("type"), list)
    if optional > _MAX_OPTIONAL:
        raise bad_request(f"Schemas hold {optional} optional parameters; limit: {_MAX_OPTIONAL}")
    if unions > _MAX_UNIONS:
        raise bad_request(
            f"Schemas hold {unions} parameters with union types; limit: {_MAX_UNIONS}"
        )


def _schemas(schema: Any, path: str) -> Iterator[tuple[str, Json]]:
    """Yield a schema and all schemas nested in it, with their paths."""
    if not isinstance(schema, dict):
        return
    yield path, schema
    for key in ("properties", "$defs", "definitions"):
        for name, inner in (schema.get(key) or {}).items():
            yield from _schemas(inner, f"{path}.{key}.{name}")
    yield from _schemas(schema.get("items"), f"{path}.items")
    for key in ("anyOf", "allOf", "oneOf"):
        for i, inner in enumerate(schema.get(key) or ()):
            yield from _schemas(inner, f"{path}.{key}.{i}")


def _check_thinking(body: Json, model: Model) -> None:
    wanted = body.get("thinking") or {"type": model.thinking_default}
    kind = wanted.get("type")
    effort = (body.get("output_config") or {}).get("effort")
    if kind not in {"adaptive", "enabled", "disabled", "between_tools"}:
        raise bad_request("thinking.type: unknown thinking type")
    if kind not in model.thinking and kind != model.thinking_default:
        raise bad_request(_refused_thinking(str(kind)))
    if effort is not None and effort not in models.EFFORTS:
        raise bad_request(f"output_config.effort: unknown effort '{effort}'")
    if effort is not None and effort not in model.efforts:
        raise bad_request(f"output_config.effort: '{effort}' is not supported on this model")
    if kind == "disabled" and effort in _efforts_from(model.disabled_below):
        raise bad_request(f"\"thinking.type.disabled\" is not supported with effort '{effort}'.")
    if kind == "enabled":
        _check_budget(wanted.get("budget_tokens"), body.get("max_tokens"))
    if wanted.get("display") not in {None, "summarized", "omitted"}:
        raise bad_request("thinking.display: Input should be 'summarized' or 'omitted'")


def _refused_thinking(kind: str) -> str:
    if kind == "adaptive":
        return "adaptive thinking is not supported on this model"
    return f'"thinking.type.{kind}" is not supported for this model.'


def _efforts_from(lowest: str | None) -> tuple[str, ...]:
    return models.EFFORTS[models.EFFORTS.index(lowest) :] if lowest is not None else ()


def _check_budget(budget: Any, limit: Any) -> None:
    if not isinstance(budget, int) or budget < MIN_THINKING_TOKENS:
        raise bad_request(
            f"thinking.enabled.budget_tokens: Input should be greater than or equal to "
            f"{MIN_THINKING_TOKENS}"
        )
    if limit is not None and budget >= limit:
        raise bad_request("`max_tokens` must be greater than `thinking.budget_tokens`")


def _check_nested_betas(body: Json, enabled: frozenset[str]) -> None:
    binding = (body.get("thinking") or {}).get("block_binding")
    if binding is not None and thinking.BINDING_BETA not in enabled:
        raise bad_request("thinking.block_binding: Extra inputs are not permitted")
    budget = (body.get("output_config") or {}).get("task_budget")
    if budget is not None and TASK_BUDGET_BETA not in enabled:
        raise bad_request("output_config.task_budget: Extra inputs are not permitted")
    for i, message in enumerate(body["messages"]):
        _check_message_betas(message, f"messages.{i}", enabled)


def _check_message_betas(message: Json, path: str, enabled: frozenset[str]) -> None:
    for field in set(message) - {"role", "content"}:
        beta = MESSAGE_BETAS.get(field)
        reason = "not rehearsed" if beta in enabled else "Extra inputs are not permitted"
        raise bad_request(f"{path}.{field}: {reason}")


def _check_markers(request: Prompt) -> None:
    explicit = [b for b in request.blocks if b.raw.get("cache_control") is not None]
    automatic = prompt.ttl(request.body)
    count = len(explicit) + (automatic is not None)
    if count > MAX_MARKERS:
        raise bad_request(
            f"A maximum of {MAX_MARKERS} blocks with cache_control may be provided. Found {count}."
        )
    marked = [block for block in request.blocks if block.ttl]
    for block in explicit:
        _check_marker(block)
    for before, after in itertools.pairwise(marked):
        if before.ttl == "5m" and after.ttl == "1h":
            raise bad_request(
                f"{after.path}.cache_control.ttl: a ttl='1h' cache_control block must not come "
                "after a ttl='5m' cache_control block"
            )
    last = next((b for b in reversed(request.blocks) if prompt.cacheable(b)), None)
    own = prompt.ttl(last.raw) if last is not None else None
    if automatic is not None and own not in {None, automatic}:
        raise bad_request("cache_control: conflicts with the ttl of the last block's marker")


def _check_marker(block: prompt.Block) -> None:
    marker = block.raw["cache_control"]
    if not isinstance(marker, dict) or marker.get("type") != "ephemeral":
        raise bad_request(f"{block.path}.cache_control.type: Input should be 'ephemeral'")
    if marker.get("ttl", "5m") not in {"5m", "1h"}:
        raise bad_request(f"{block.path}.cache_control.ttl: Input should be '5m' or '1h'")
    if not prompt.cacheable(block):
        raise bad_request(f"{block.path}.cache_control: Extra inputs are not permitted")
