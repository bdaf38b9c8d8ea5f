"""Reading request bodies: JSON, with a cache of the messages of growing conversations.

A conversation sends its whole history with every turn. Messages whose text is
unchanged are found by comparing text and are neither parsed nor checked again,
so that a long conversation costs hardly more than a short one.
"""

import json
import re
from typing import Any, Final

from rehearsal.wire import Json

_REMEMBERED: Final = 256
"""Conversations held in memory; the oldest is removed first."""

_SPACE: Final = re.compile(r"[ \t\n\r]*")
_decode: Final = json.JSONDecoder().raw_decode


class Message(dict[str, Any]):
    """One message, with the results of earlier checks.

    The same object is reused only behind the same earlier messages,
    so results may depend on those too.

    Attributes:
        text: the JSON it was read from.
        checked: its structure is valid.
        paired: all tool calls up to its end have their results.
        blocks: its blocks as a prompt holds them, by whether the tokenizer is an older one.
        digests: running digests at its end and at each of its blocks,
            by the digest of everything before the messages.
        verified: the models, with such a digest, for which its thinking was verified.
    """

    __slots__ = ("blocks", "checked", "digests", "paired", "text", "verified")

    def __init__(self, value: Json, text: str) -> None:
        super().__init__(value)
        self.text = text
        self.checked = False
        self.paired = False
        self.blocks: dict[bool, list[Any]] = {}
        self.digests: dict[bytes, tuple[Any, list[bytes]]] = {}
        self.verified: set[tuple[str, bytes]] = set()

    def in_other_conversation(self) -> "Message":
        """Return the message for another conversation, without results that depend on this one."""
        other = Message(self, self.text)
        other.checked = self.checked
        other.blocks = self.blocks
        return other


class BodyReader:
    """Reads bodies and caches the latest messages of each conversation."""

    def __init__(self) -> None:
        self._conversations: dict[str, list[Message]] = {}

    def read(self, raw: bytes) -> object:
        """Return the JSON value of a body, its messages as `Message`.

        Raises:
            ValueError: it is not JSON in UTF-8.
        """
        text = raw.decode()
        try:
            return self._object(text)
        except (IndexError, ValueError):
            # The standard parser reads everything unusual and raises the errors.
            return json.loads(text)

    def _object(self, text: str) -> Json:
        body: Json = {}
        at = _expect(text, 0, "{")
        while True:
            key, at = _value(text, at)
            if not isinstance(key, str):
                raise _UnusualError
            at = _expect(text, at, ":")
            if key == "messages" and text[_skip(text, at)] == "[":
                body[key], at = self._messages(text, at)
            else:
                body[key], at = _value(text, at)
            at = _skip(text, at)
            if text[at] == "}":
                break
            at = _expect(text, at, ",")
        if _skip(text, at + 1) != len(text):
            raise _UnusualError
        return body

    def _messages(self, text: str, at: int) -> tuple[list[Any], int]:
        at = _skip(text, _expect(text, at, "["))
        if text[at] == "]":
            return [], at + 1
        first, _ = _message(text, at)
        cached = self._conversations.get(_text_of(first), [])
        messages: list[Any] = []
        same_history = True
        while True:
            old = cached[len(messages)] if len(messages) < len(cached) else None
            if old is not None and text.startswith(old.text, at):
                messages.append(old if same_history else old.in_other_conversation())
                end = at + len(old.text)
            else:
                same_history = False
                message, end = _message(text, at)
                messages.append(message)
            at = end if text[end] == "," else _skip(text, end)
            if text[at] == "]":
                self._remember(messages)
                return messages, at + 1
            at = _skip(text, _expect(text, at, ","))

    def _remember(self, messages: list[Any]) -> None:
        if not all(isinstance(message, Message) for message in messages):
            return
        self._conversations.pop(messages[0].text, None)
        self._conversations[messages[0].text] = messages
        if len(self._conversations) > _REMEMBERED:
            del self._conversations[next(iter(self._conversations))]


class _UnusualError(ValueError):
    """Text that this reader does not parse itself."""


def _text_of(message: Any) -> str:
    return message.text if isinstance(message, Message) else ""


def _message(text: str, at: int) -> tuple[Any, int]:
    value, end = _value(text, at)
    return (Message(value, text[at:end]) if isinstance(value, dict) else value), end


def _value(text: str, at: int) -> tuple[Any, int]:
    return _decode(text, _skip(text, at))


def _skip(text: str, at: int) -> int:
    found = _SPACE.match(text, at)
    return found.end() if found else at


def _expect(text: str, at: int, sign: str) -> int:
    at = at if text[at] == sign else _skip(text, at)
    if text[at] != sign:
        raise _UnusualError
    return at + 1
