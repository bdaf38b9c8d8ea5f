"""The capabilities of each model, for GET /v1/models and the rules.

The figures are as of 2026-11. A script can override any of them under its
``models`` key, for instance shrink a window so that a handoff comes early.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any, Final

from rehearsal.wire import ApiError, Json

EFFORTS: Final = ("low", "medium", "high", "xhigh", "max")
_ALWAYS: Final = ("adaptive",)
_ADAPTIVE: Final = ("adaptive", "disabled", "between_tools")
_EXTENDED: Final = ("enabled", "disabled")


@dataclasses.dataclass(frozen=True)
class Model:
    """One model's capabilities and limits, in tokens.

    Attributes:
        max_input_tokens: the context window.
        max_tokens: the largest allowed ``max_tokens``.
        min_cacheable_tokens: a shorter prefix is not cached.
        thinking: the accepted ``thinking.type`` values.
        thinking_default: the type when a request names none.
        display: "summarized" or "omitted" when a request names none.
        efforts: accepted effort levels, lowest first; empty when unsupported.
        effort_default: the level when a request names none.
        disabled_below: thinking may be disabled only at efforts below this one.
        forced_tools: whether ``tool_choice`` any and tool are accepted.
        bound_thinking: whether thinking blocks are valid only behind their own prefix.
        system_messages: whether role "system" is accepted inside ``messages``.
        prefill: whether the last message may be the assistant's.
        older_tokenizer: whether tokens are counted as by the models before 4.7.
        lifecycle: "active", "deprecated" or "retired".
    """

    id: str
    max_input_tokens: int = 1_000_000
    max_tokens: int = 128_000
    min_cacheable_tokens: int = 512
    thinking: tuple[str, ...] = _ADAPTIVE
    thinking_default: str = "adaptive"
    display: str = "summarized"
    efforts: tuple[str, ...] = EFFORTS
    effort_default: str = "high"
    disabled_below: str | None = None
    forced_tools: bool = True
    bound_thinking: bool = False
    system_messages: bool = True
    prefill: bool = False
    older_tokenizer: bool = False
    lifecycle: str = "active"


def _always_thinking(name: str, **rest: Any) -> Model:
    rest = {"display": "omitted", "bound_thinking": True, **rest}
    return Model(name, thinking=_ALWAYS, forced_tools=False, **rest)


def _four(name: str, minimum: int, **rest: Any) -> Model:
    rest = {"thinking_default": "disabled", "system_messages": False, **rest}
    return Model(name, min_cacheable_tokens=minimum, **rest)


def _extended(name: str, minimum: int, **rest: Any) -> Model:
    small = {"max_input_tokens": 200_000, "max_tokens": 64_000, "prefill": True}
    rest = {"efforts": (), "thinking": _EXTENDED, "older_tokenizer": True, **small, **rest}
    return _four(name, minimum, **rest)


_TABLE: Final = (
    _always_thinking("claude-opus-5-5", effort_default="medium"),
    Model("claude-sonnet-5-5", bound_thinking=True),
    Model("claude-haiku-5-5", bound_thinking=True),
    _always_thinking("claude-fable-5-2"),
    _always_thinking("claude-fable-5-1"),
    _always_thinking("claude-mythos-5-2"),
    _always_thinking("claude-mythos-5-1"),
    Model("claude-opus-5", disabled_below="xhigh"),
    Model("claude-fable-5", thinking=_ALWAYS, forced_tools=False),
    Model("claude-mythos-5", thinking=_ALWAYS, forced_tools=False),
    Model("claude-sonnet-5", min_cacheable_tokens=1_024, system_messages=False),
    _four("claude-opus-4-8", 1_024, system_messages=True),
    _four("claude-opus-4-7", 2_048),
    _four("claude-opus-4-6", 4_096, older_tokenizer=True, thinking=(*_ADAPTIVE, "enabled")),
    _four("claude-sonnet-4-6", 1_024, older_tokenizer=True, thinking=(*_ADAPTIVE, "enabled")),
    _extended("claude-opus-4-5", 4_096, efforts=("low", "medium", "high")),
    _extended("claude-haiku-4-5", 4_096),
    _extended("claude-sonnet-4-5", 1_024, lifecycle="deprecated"),
    _extended("claude-opus-4-1", 1_024, lifecycle="retired"),
)

MODELS: Final[Mapping[str, Model]] = {model.id: model for model in _TABLE}
"""Every known model by id, newest first."""


def table(overrides: Mapping[str, Mapping[str, Any]]) -> dict[str, Model]:
    """Return the table with a script's changes; an unknown id adds a model.

    Raises:
        ValueError: a change names an unknown field.
    """
    result = dict(MODELS)
    fields = {field.name for field in dataclasses.fields(Model)} - {"id"}
    for name, change in overrides.items():
        if unknown := sorted(set(change) - fields):
            raise ValueError(f"models.{name}: unknown fields {unknown}; known: {sorted(fields)}")
        plain: dict[str, Any] = {
            k: tuple(v) if isinstance(v, list) else v for k, v in change.items()
        }
        result[name] = dataclasses.replace(result.get(name, Model(name)), **plain)
    return result


def find(models: Mapping[str, Model], name: object) -> Model:
    """Return the model that a request names.

    Raises:
        ApiError: 404 when it is unknown or retired.
    """
    model = models.get(name) if isinstance(name, str) else None
    if model is None or model.lifecycle == "retired":
        raise ApiError(404, f"model: {name}")
    return model


def info(model: Model) -> Json:
    """Return the body of GET /v1/models/{id}."""
    deprecated = "2026-05-01T00:00:00Z" if model.lifecycle != "active" else None
    return {
        "type": "model",
        "id": model.id,
        "display_name": f"{model.id} (rehearsed)",
        "created_at": "2026-01-01T00:00:00Z",
        "lifecycle": model.lifecycle,
        "deprecated_at": deprecated,
        "retires_at": "2026-11-30T00:00:00Z" if deprecated else None,
        "line": model.id.split("-")[1],
        "max_input_tokens": model.max_input_tokens,
        "max_tokens": model.max_tokens,
        "capabilities": _capabilities(model),
    }


def listing(models: Mapping[str, Model]) -> Json:
    """Return the body of GET /v1/models, a single page."""
    data = [info(model) for model in models.values()]
    ends = {"first_id": data[0]["id"], "last_id": data[-1]["id"]}
    return {"data": data, "has_more": False, **ends}


def _support(value: object) -> Json:
    return {"supported": bool(value)}


def _capabilities(model: Model) -> Json:
    types = ("adaptive", "between_tools", "disabled", "enabled")
    edits = ("clear_thinking_20251015", "clear_tool_uses_20250919", "compact_20260112")
    return {
        "batch": _support(False),
        "citations": _support(False),
        "code_execution": _support(False),
        "context_management": {**_support(False), **{edit: _support(False) for edit in edits}},
        "effort": {**_support(model.efforts), **{e: _support(e in model.efforts) for e in EFFORTS}},
        "image_input": _support(True),
        "pdf_input": _support(False),
        "server_tools": {
            **_support(False),
            "code_execution": _support(False),
            "web_search": _support(False),
        },
        "structured_outputs": _support(True),
        "thinking": {
            **_support(True),
            "types": {kind: _support(kind in model.thinking) for kind in types},
        },
    }
