"""The journal: one JSON line per request.

A line is written in one piece to a file opened for appending, so a killed server
loses at most unfinished requests, and a truncated last line is skipped.
"""

import contextlib
import dataclasses
import json
import os
import pathlib
from collections.abc import Iterable
from typing import Any


@dataclasses.dataclass
class Entry:
    """One request and its outcome. Times are in seconds since the epoch.

    Attributes:
        n: number of the request in this journal, counted from 1.
        kind: "messages", "prewarm" or "count_tokens".
        time_received: when the whole request had arrived.
        time_first_byte: when the first byte was written; None when none was.
        time_done: when the last byte was written or the connection was lost.
        conversation: the agent and a digest of the first message.
        turn: the finished replies before this request, without asides.
        aside: whether an aside answered, which is not counted as a turn.
        seen: the number of this attempt at this turn of this conversation, from 1.
        digest: SHA-256 of the request's bytes.
        sdk_retries: the client library's own count, None when it sent none.
        status: the HTTP status; 0 when no byte of a response was sent.
        fault: the kind of the fault, or None.
        finished: whether the whole response was written to the socket.
        billed: whether a model ran; its tokens are counted even if the reply was lost.
        cache_miss: what the reply says of why the cache was missed, or None.
        tools: names of the tools called, in order.
        unanswered: whether the script had no turn for this request.
        unexpected: whether the request did not meet its turn's expectation.
        failure: the error message, or None.
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
    cache_miss: str | None = None
    unanswered: bool = False
    unexpected: bool = False
    failure: str | None = None
    retry_after_seconds: float | None = None
    body: str | None = None


def line(entry: Entry) -> bytes:
    """Return an entry as a line, without a body that is None."""
    data = dataclasses.asdict(entry)
    if entry.body is None:
        del data["body"]
    return json.dumps(data, separators=(",", ":")).encode() + b"\n"


def read(path: pathlib.Path) -> list[Entry]:
    """Return the entries of a journal file, in the order they were finished.

    Incomplete lines and unknown fields are skipped.
    """
    fields = {field.name for field in dataclasses.fields(Entry)}
    entries = []
    for each in path.read_text(encoding="utf-8").splitlines():
        with contextlib.suppress(ValueError):
            data = json.loads(each)
            entries.append(Entry(**{key: value for key, value in data.items() if key in fields}))
    return entries


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


def failures(entries: Iterable[Entry]) -> list[Entry]:
    """Return the requests that the script did not foresee: unanswered or unexpected."""
    return [entry for entry in entries if entry.unanswered or entry.unexpected]
