"""Examples of a tool's arguments, made of its schema, for a tool that gives none itself."""

from collections.abc import Mapping
from typing import Any

_TEXT = "…"


def example(schema: Mapping[str, Any]) -> Any:
    """Return a value with what a JSON Schema requires and nothing else."""
    return _example(schema, schema.get("$defs", {}))


def _example(schema: Mapping[str, Any], known: Mapping[str, Any]) -> Any:
    if "$ref" in schema:
        return _example(known[str(schema["$ref"]).rsplit("/", 1)[-1]], known)
    if "anyOf" in schema:
        return _example(schema["anyOf"][0], known)
    if "enum" in schema:
        return schema["enum"][0]
    match schema.get("type"):
        case "object":
            fields = schema.get("properties", {})
            return {name: _example(fields[name], known) for name in schema.get("required", ())}
        case "array":
            return [_example(schema.get("items", {}), known)] * schema.get("minItems", 0)
        case "integer" | "number":
            return schema.get("minimum", 1)
        case "boolean":
            return False
        case _:
            return schema.get("const", _TEXT)
