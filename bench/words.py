"""How soon a word of a running reply is seen by somebody who watches: server to reader."""

import asyncio
import json
import re
import tempfile
import threading
import time
from pathlib import Path

from typing_extensions import override

from bench.figures import Figure, Name, quantile
from cli.watcher import WORDS_SECONDS
from infra.anthropic.client import MessagesClient
from infra.live.entries import CallAbout
from infra.live.reader import LiveReader
from infra.live.writer import LiveReplies
from runtime.redaction import redactor

_WORDS = 400
_PAUSE_SECONDS = 0.023
"""Between two words; no multiple of the reader's, so that they meet at every distance."""
_NUMBER = re.compile(r"w(\d+) ")
_MODEL = "claude-sonnet-5-5"


async def measure() -> list[Figure]:
    """Return how long after the service sent a word a reader had it, 50th and 99th percentile."""
    sent: dict[int, float] = {}

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await _reply(reader, writer, sent)

    with tempfile.TemporaryDirectory(prefix="bench-words-") as name:
        folder = Path(name) / "live"
        server = await asyncio.start_server(answer, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        seen: dict[int, float] = {}
        watching = _Watching(folder, seen)
        watching.start()
        try:
            await _call(f"http://127.0.0.1:{port}", folder)
        finally:
            watching.over.set()
            watching.join()
            server.close()
    delays = [1_000 * (seen[number] - at) for number, at in sent.items() if number in seen]
    return [
        Figure(Name.WORDS_P50, quantile(delays, 0.5), "ms"),
        Figure(Name.WORDS_P99, quantile(delays, 0.99), "ms"),
    ]


async def _call(base_url: str, folder: Path) -> None:
    client = MessagesClient(api_key="bench", auth_token=None, base_url=base_url)
    live = LiveReplies(folder, redactor(("a-secret-of-the-bench",)))
    messages = [{"role": "user", "content": "Speak."}]
    request = {"model": _MODEL, "max_tokens": 9_000, "messages": messages}
    try:
        with live.reply("bench", CallAbout("agent", "coder", "task", 1)) as reply:
            await client.call(request, agent="role=coder", hear=reply.hear)
    finally:
        live.close()
        await client.close()


class _Watching(threading.Thread):
    """Looks as often as `watch` does, and notes when each word was there first."""

    def __init__(self, folder: Path, seen: dict[int, float]) -> None:
        super().__init__(daemon=True)
        self.over = threading.Event()
        self._reader = LiveReader(folder, "bench")
        self._seen = seen

    @override
    def run(self) -> None:
        while not self.over.wait(WORDS_SECONDS):
            for reply in self._reader.replies().values():
                text = "".join(text for _, text in reply.parts)
                now = time.monotonic()
                for number in _NUMBER.findall(text):
                    self._seen.setdefault(int(number), now)
        self._reader.close()


async def _reply(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, sent: dict[int, float]
) -> None:
    """Answer one request with a stream of words, and note when each was sent."""
    head = await reader.readuntil(b"\r\n\r\n")
    length = re.search(rb"content-length: (\d+)", head.lower())
    await reader.readexactly(int(length[1]) if length else 0)
    writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n")
    usage = {"input_tokens": 1, "output_tokens": 1}
    message = {"id": "m", "type": "message", "role": "assistant", "model": _MODEL, "content": []}
    _send(writer, {"type": "message_start", "message": {**message, "usage": usage}})
    block = {"type": "text", "text": ""}
    _send(writer, {"type": "content_block_start", "index": 0, "content_block": block})
    for number in range(_WORDS):
        sent[number] = time.monotonic()
        delta = {"type": "text_delta", "text": f"w{number} "}
        _send(writer, {"type": "content_block_delta", "index": 0, "delta": delta})
        await writer.drain()
        await asyncio.sleep(_PAUSE_SECONDS)
    _send(writer, {"type": "content_block_stop", "index": 0})
    _send(writer, {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": usage})
    _send(writer, {"type": "message_stop"})
    await writer.drain()
    writer.close()


def _send(writer: asyncio.StreamWriter, event: dict[str, object]) -> None:
    writer.write(f"event: {event['type']}\ndata: {json.dumps(event)}\n\n".encode())
