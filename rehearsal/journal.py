"""The journal: one JSON line per request, and checks of a journal.

A line is written in one piece to a file opened for appending, so a killed server
loses at most unfinished requests, and a truncated last line is skipped.
The checks are pure functions over entries; one proves, for instance,
that no finished model call was repeated.
"""

import dataclasses
import itertools
import json
import os
import pathlib
from collections.abc import Iterable, Sequence
from typing import Any, Final

from rehearsal.wire import Json

_LAYERS: Final = ("tools", "system")


@dataclasses.dataclass(frozen=True)
class Entry:
    """One request and its outcome. Times are in seconds since the epoch.

    Attributes:
        n: number of the request in this journal, counted from 1.
        kind: "messages", "prewarm" or "count_tokens".
        time_received: when the whole request had arrived.
        time_first_byte: when the first byte was written; None when none was.
        time_done: when the last byte was written or the connection was lost.
        role, task, attempt, agent, request: the fields of the agent header, or None.
        conversation: the agent and a digest of the first message.
        turn: the finished replies before this request, without asides.
        aside: whether an aside answered, which is not counted as a turn.
        seen: the number of this attempt at this turn of this conversation, from 1.
        digest: SHA-256 of the request's bytes.
        request_bytes: its length.
        request_id: the response's request-id.
        message_id: the reply's id, or None.
        model: the requested model, or None.
        stream: whether the request asks for a stream.
        sdk_retries: the client library's own count, None when it sent none.
        status: the HTTP status; 0 when no byte of a response was sent.
        fault: the kind of the fault, or None.
        finished: whether the whole response was written to the socket.
        billed: whether a model ran; its tokens are counted even if the reply was lost.
        stop_reason: as sent, or None.
        tools: names of the tools called, in order.
        usage: the final usage, or None.
        unanswered: whether the script had no turn for this request.
        unexpected: whether the request did not meet its turn's expectation.
        failure: the error message, or None.
        retry_after_seconds: the response's retry-after, or None.
        body: the raw request, when bodies are recorded.
    """

    n: int
    kind: str
    time_received: float
    time_first_byte: float | None = None
    time_done: float = 0.0
    role: str | None = None
    task: str | None = None
    attempt: str | None = None
    agent: str | None = None
    request: str | None = None
    conversation: str = ""
    turn: int = 0
    aside: bool = False
    seen: int = 0
    digest: str = ""
    request_bytes: int = 0
    request_id: str = ""
    message_id: str | None = None
    model: str | None = None
    stream: bool = False
    sdk_retries: int | None = None
    status: int = 0
    fault: str | None = None
    finished: bool = False
    billed: bool = False
    stop_reason: str | None = None
    tools: list[str] = dataclasses.field(default_factory=list)
    usage: dict[str, Any] | None = None
    unanswered: bool = False
    unexpected: bool = False
    failure: str | None = None
    retry_after_seconds: float | None = None
    body: str | None = None


_FIELDS: Final = frozenset(field.name for field in dataclasses.fields(Entry))


def line(entry: Entry) -> bytes:
    """Return an entry as a line, without a body that is None."""
    data = {field: getattr(entry, field) for field in Entry.__dataclass_fields__}
    if entry.body is None:
        del data["body"]
    return json.dumps(data, separators=(",", ":")).encode() + b"\n"


def parse(text: str) -> list[Entry]:
    """Return the entries of a journal's text; incomplete lines are skipped."""
    entries = []
    for each in text.splitlines():
        try:
            data = json.loads(each)
        except ValueError:
            continue
        entries.append(Entry(**{key: value for key, value in data.items() if key in _FIELDS}))
    return entries


def read(path: pathlib.Path) -> list[Entry]:
    """Return the entries of a journal file, in the order they were finished.

    Raises:
        OSError: the file cannot be read.
    """
    return parse(path.read_text(encoding="utf-8"))


class JournalWriter:
    """Collects entries and appends each to a file, if there is one.

    Attributes:
        entries: those found in the file, then those of this server.
    """

    def __init__(self, path: pathlib.Path | None) -> None:
        self.entries: list[Entry] = []
        self._file = -1
        if path is None:
            return
        if path.exists():
            self.entries = read(path)
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        if path.stat().st_size and not path.read_bytes().endswith(b"\n"):
            os.write(self._file, b"\n")

    def append(self, entry: Entry) -> None:
        """Write one entry in one piece."""
        self.entries.append(dataclasses.replace(entry, body=None))
        if self._file >= 0:
            os.write(self._file, line(entry))

    def close(self) -> None:
        """Close the file; entries stay readable."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1


# --- checks ---------------------------------------------------------------------------------


def repeated(entries: Iterable[Entry], *, same_bytes: bool = True) -> list[Entry]:
    """Return the model calls that were finished a second time, and so paid twice.

    Args:
        entries: in journal order.
        same_bytes: only calls with a request of the same bytes;
            otherwise every second finished call of a turn, which is stricter
            but includes deliberate repeats, such as one with larger max_tokens.
    """
    done: set[tuple[str, int, str]] = set()
    second = []
    for entry in entries:
        if not entry.finished or entry.kind != "messages" or entry.message_id is None:
            continue
        owner = (entry.agent or entry.conversation) if same_bytes else entry.conversation
        key = (owner, entry.turn, entry.digest if same_bytes else "")
        if key in done:
            second.append(entry)
        done.add(key)
    return second


def early_retries(entries: Iterable[Entry]) -> list[Entry]:
    """Return the retries sent before the retry-after of their turn was over."""
    early = []
    for calls in conversations(entries).values():
        earliest: dict[int, float] = {}
        for entry in calls:
            if entry.time_received < earliest.get(entry.turn, 0.0):
                early.append(entry)
            if entry.retry_after_seconds is not None:
                earliest[entry.turn] = entry.time_done + entry.retry_after_seconds
    return early


def failures(entries: Iterable[Entry]) -> list[Entry]:
    """Return the requests that the script did not foresee: unanswered or unexpected."""
    return [entry for entry in entries if entry.unanswered or entry.unexpected]


def conversations(entries: Iterable[Entry]) -> dict[str, list[Entry]]:
    """Return the model calls of each conversation, in the order they were received."""
    found: dict[str, list[Entry]] = {}
    for entry in sorted(entries, key=lambda each: each.time_received):
        if entry.kind == "messages" and entry.conversation:
            found.setdefault(entry.conversation, []).append(entry)
    return found


def cache_read_share(entries: Iterable[Entry]) -> float:
    """Return the share of input tokens that was read from the cache, 0 to 1."""
    used = [entry.usage for entry in entries if entry.usage and entry.billed]
    read_tokens = sum(int(usage["cache_read_input_tokens"]) for usage in used)
    rest = sum(
        int(usage["cache_creation_input_tokens"]) + int(usage["input_tokens"]) for usage in used
    )
    return read_tokens / (read_tokens + rest) if read_tokens + rest else 0.0


def prefix_breaks(entries: Iterable[Entry]) -> list[tuple[Entry, Entry, str]]:
    """Return the pairs of successive requests where the later one rewrote the history.

    Within a conversation the blocks of each request, without cache markers,
    must be a prefix, to the byte, of the blocks of the next request.

    Args:
        entries: with bodies (``--journal-bodies``).

    Returns:
        Earlier entry, later entry, and where they first differ.

    Raises:
        ValueError: an entry has no body.
    """
    breaks = []
    for calls in conversations(entries).values():
        for before, after in _successive(calls):
            where = first_difference(_blocks(before), _blocks(after))
            if where is not None:
                breaks.append((before, after, where))
    return breaks


def _successive(calls: Sequence[Entry]) -> list[tuple[Entry, Entry]]:
    billed = [entry for entry in calls if entry.billed]
    return [(a, b) for a, b in itertools.pairwise(billed) if b.turn >= a.turn]


def first_difference(before: Sequence[str], after: Sequence[str]) -> str | None:
    """Return the first block of ``before`` that ``after`` does not repeat, or None."""
    for i, block in enumerate(before):
        if i >= len(after):
            return f"block {i} is gone: {block[:200]}"
        if after[i] != block:
            return f"block {i} was {block[:200]}, became {after[i][:200]}"
    return None


def _blocks(entry: Entry) -> list[str]:
    if entry.body is None:
        raise ValueError(f"request {entry.n} was recorded without its body")
    body = json.loads(entry.body)
    blocks = [
        f"{layer} {_stripped(item)}" for layer in _LAYERS for item in _listed(body.get(layer))
    ]
    for message in body["messages"]:
        blocks += [f"{message['role']} {_stripped(item)}" for item in _listed(message["content"])]
    return blocks


def _listed(content: str | list[Json] | None) -> list[Json]:
    return [{"type": "text", "text": content}] if isinstance(content, str) else content or []


def _stripped(block: Json) -> str:
    rest = {key: value for key, value in block.items() if key != "cache_control"}
    return json.dumps(rest, ensure_ascii=False, separators=(",", ":"))
