"""Fixtures of the rehearsal tests: a client of the vendor's library, and conversations."""

import contextlib
import dataclasses
from collections.abc import AsyncIterator
from typing import Any

import anthropic
import httpx2

from rehearsal.server import Server

Json = dict[str, Any]

OPUS = "claude-opus-5-5"
READ: Json = {"name": "read", "description": "Read a file.", "input_schema": {"type": "object"}}
HEADER = "x-orchestcode-agent"


@contextlib.asynccontextmanager
async def client_of(
    server: Server, *, read_timeout: float = 5.0
) -> AsyncIterator[anthropic.AsyncAnthropic]:
    """A client of one server, without retries and without a proxy."""
    http = httpx2.AsyncClient(trust_env=False, timeout=httpx2.Timeout(5.0, read=read_timeout))
    client = anthropic.AsyncAnthropic(
        api_key="any", base_url=server.base_url, max_retries=0, http_client=http
    )
    async with client:
        yield client


@dataclasses.dataclass
class ClientConversation:
    """A growing conversation with the server."""

    client: anthropic.AsyncAnthropic
    agent: str = "role=coder; task=fix-parser; attempt=1; agent=a-1; request=r-1"
    messages: list[Json] = dataclasses.field(
        default_factory=lambda: [{"role": "user", "content": "fix the parser"}]
    )
    options: Json = dataclasses.field(default_factory=dict)

    def request(self) -> Json:
        """Return the request as keyword arguments."""
        return {
            "model": OPUS,
            "max_tokens": 4_000,
            "tools": [READ],
            "messages": self.messages,
            "extra_headers": {HEADER: self.agent},
            **self.options,
        }

    async def ask(self) -> anthropic.types.Message:
        """Stream a reply to its end."""
        async with self.client.messages.stream(**self.request()) as stream:
            return await stream.get_final_message()

    async def events(self) -> list[str]:
        """Stream a reply and return the types of its events."""
        stream = await self.client.messages.create(**self.request(), stream=True)
        async with stream:
            return [event.type async for event in stream]

    async def ask_without_stream(self) -> anthropic.types.Message:
        """Request a reply without streaming."""
        message: anthropic.types.Message = await self.client.messages.create(**self.request())
        return message

    def answer(self, message: anthropic.types.Message, *results: str, text: str = "") -> None:
        """Append a reply and the results of its tool calls."""
        content = [block.to_dict() for block in message.content]
        ids = [block.id for block in message.content if block.type == "tool_use"]
        answer: list[Json] = [
            {"type": "tool_result", "tool_use_id": key, "content": result}
            for key, result in zip(ids, results, strict=True)
        ]
        if text:
            answer.append({"type": "text", "text": text})
        self.messages += [
            {"role": "assistant", "content": content},
            {"role": "user", "content": answer},
        ]


def one_cast(*turns: Json, **match: Any) -> Json:
    """Return a script of one cast."""
    return {"seed": 7, "casts": [{"match": match, "turns": list(turns)}]}


def read_call(path: str = "p.py") -> Json:
    """Return a scripted call of the read tool."""
    return {"tool": "read", "input": {"path": path}}
