"""The languages whose definitions are read, and the queries that find them."""

from collections.abc import Callable
from functools import cache
from typing import NamedTuple

import tree_sitter_go
import tree_sitter_java
import tree_sitter_javascript
import tree_sitter_python
import tree_sitter_rust
import tree_sitter_typescript
from tree_sitter import Language, Parser, Query

_PYTHON = """
(class_definition name: (identifier) @name)
(function_definition name: (identifier) @name)
(module (expression_statement (assignment left: (identifier) @name)))
"""
_JAVASCRIPT = """
(function_declaration name: (identifier) @name)
(generator_function_declaration name: (identifier) @name)
(class_declaration name: (_) @name)
(method_definition name: (property_identifier) @name)
(variable_declarator name: (identifier) @name value: [(arrow_function) (function_expression)])
(assignment_expression
  left: (member_expression property: (property_identifier) @name)
  right: [(arrow_function) (function_expression)])
(program (lexical_declaration (variable_declarator name: (identifier) @name)))
(program (export_statement (lexical_declaration (variable_declarator name: (identifier) @name))))
"""
_TYPESCRIPT = f"""{_JAVASCRIPT}
(abstract_class_declaration name: (type_identifier) @name)
(interface_declaration name: (type_identifier) @name)
(type_alias_declaration name: (type_identifier) @name)
(enum_declaration name: (identifier) @name)
(abstract_method_signature name: (property_identifier) @name)
"""
_GO = """
(function_declaration name: (identifier) @name)
(method_declaration name: (field_identifier) @name)
(type_spec name: (type_identifier) @name)
(source_file (const_declaration (const_spec name: (identifier) @name)))
"""
_RUST = """
(struct_item name: (type_identifier) @name)
(enum_item name: (type_identifier) @name)
(union_item name: (type_identifier) @name)
(trait_item name: (type_identifier) @name)
(type_item name: (type_identifier) @name)
(function_item name: (identifier) @name)
(function_signature_item name: (identifier) @name)
(const_item name: (identifier) @name)
(macro_definition name: (identifier) @name)
"""
_JAVA = """
(class_declaration name: (identifier) @name)
(interface_declaration name: (identifier) @name)
(enum_declaration name: (identifier) @name)
(record_declaration name: (identifier) @name)
(annotation_type_declaration name: (identifier) @name)
(method_declaration name: (identifier) @name)
"""


class Grammar(NamedTuple):
    """A parser and the query that captures the names of definitions as `name`."""

    parser: Parser
    query: Query


class _Source(NamedTuple):
    language: Callable[[], object]
    query: str


def _source(suffix: str) -> _Source:
    match suffix:
        case "py" | "pyi":
            return _Source(tree_sitter_python.language, _PYTHON)
        case "js" | "cjs" | "mjs" | "jsx":
            return _Source(tree_sitter_javascript.language, _JAVASCRIPT)
        case "ts" | "cts" | "mts":
            return _Source(tree_sitter_typescript.language_typescript, _TYPESCRIPT)
        case "tsx":
            return _Source(tree_sitter_typescript.language_tsx, _TYPESCRIPT)
        case "go":
            return _Source(tree_sitter_go.language, _GO)
        case "rs":
            return _Source(tree_sitter_rust.language, _RUST)
        case _:
            return _Source(tree_sitter_java.language, _JAVA)


@cache
def grammar(suffix: str) -> Grammar:
    """Return the grammar for one of the suffixes that `infra.symbols.index` names."""
    source = _source(suffix)
    language = Language(source.language())
    return Grammar(Parser(language), Query(language, source.query))
