"""The process that parses: files on standard input, a line of JSON on standard output for each.

A parser is native code and reads what strangers wrote: it runs here with little memory, without
an environment, and can be ended at any file. Input, for each file: a line with its size in bytes
and its suffix, then the bytes and a newline, as `git cat-file --batch` prints them.
"""

import json
import re
import resource
import sys
import time
from collections import Counter
from collections.abc import Sequence
from typing import Any, BinaryIO, Final

from tree_sitter import QueryCursor

from infra.symbols.grammars import grammar

_MEMORY: Final = 1 << 30
_CPU_SECONDS: Final = 20
_DEFINITIONS: Final = 2_000
_NAMES: Final = 1_000
_TEXT_CHARS: Final = 120
_LINES: Final = 12
"""Looked at for the end of a definition's parameters."""
_UNSENT_SECONDS: Final = 0.02
"""Answers that are younger may wait for further ones: each sending wakes the reader."""
_NAME: Final = re.compile(rb"[A-Za-z_$][A-Za-z0-9_$]{2,}")


def symbols(suffix: str, data: bytes) -> dict[str, Any]:
    """Return the definitions of a file as (name, line, text), and how often it names what."""
    parser, query = grammar(suffix)
    found = QueryCursor(query).captures(parser.parse(data).root_node).get("name", [])
    lines = data.split(b"\n")
    rows: dict[int, tuple[str, int, str]] = {}
    for node in found:
        row = node.start_point[0]
        name = data[node.start_byte : node.end_byte].decode("utf-8", "replace")
        rows.setdefault(row, (name, row + 1, _text(lines, row)))
    names = Counter(_NAME.findall(data))
    return {
        "definitions": [rows[row] for row in sorted(rows)][:_DEFINITIONS],
        "names": {name.decode(): count for name, count in names.most_common(_NAMES)},
    }


def _text(lines: Sequence[bytes], row: int) -> str:
    """Return the text of a definition's line, on to the end of its parameters."""
    text = ""
    for line in lines[row : row + _LINES]:
        text += line.decode("utf-8", "replace").strip()
        if text.count("(") <= text.count(")") or len(text) > _TEXT_CHARS:
            break
        text += "" if text.endswith("(") else " "
    return text.rstrip("{ ")[:_TEXT_CHARS]


def serve(source: BinaryIO, answers: BinaryIO) -> None:
    """Answer file by file until the input ends."""
    sent = 0.0
    while header := source.readline():
        size, _, suffix = header.decode().rstrip("\n").partition(" ")
        data = source.read(int(size) + 1)[:-1]
        answers.write(json.dumps(symbols(suffix, data)).encode() + b"\n")
        if (now := time.monotonic()) - sent > _UNSENT_SECONDS:
            answers.flush()
            sent = now
    answers.flush()


if __name__ == "__main__":
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))
    resource.setrlimit(resource.RLIMIT_CPU, (_CPU_SECONDS, _CPU_SECONDS))
    resource.setrlimit(resource.RLIMIT_NOFILE, (16, 16))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    serve(sys.stdin.buffer, sys.stdout.buffer)
