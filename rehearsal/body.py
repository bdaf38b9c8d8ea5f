"""
Reading request bodies: JSON, with a memory for conversations that only grow.

A conversation sends its whole past with every turn. Messages whose text has not
changed are recognised by comparing text and are neither parsed nor checked again,
so that a long conversation costs hardly more than a short one.
"""

import json
import re
from typing import Any, Final

from rehearsal.wire import Json

_REMEMBERED: Final = 256
"""Conversations kept in memory; the oldest goes first."""

_SPACE: Final = re.compile(r"[ \t\n\r]*")
_decode: Final = json.JSONDecoder().raw_decode


class Message(dict[str, Any]):
    """
    One message, with what has been found out about it.

    The same object comes again only behind the same earlier messages,
    so what was found out may depend on them too.

    Attributes:
        text: the JSON it was read from.
        checked: its shape is known to be right.
        settled: all calls up to its end were rightly answered.
        blocks: its blocks as a prompt holds them, by whether the tokenizer is an older one.
        trails: running digests at its end and at each of its blocks,
            by the digest of all that stands before the messages.
        sealed: the models, with such a digest, for which its thinking was found in order.
    """

    __slots__ = ("blocks", "checked", "sealed", "settled", "text", "trails")

    def __init__(self, value: Json, text: str) -> None:
        super().__init__(value)
        self.text = text
        self.checked = False
        self.settled = False
        self.blocks: dict[bool, list[Any]] = {}
        self.trails: dict[bytes, tuple[Any, list[bytes]]] = {}
        self.sealed: set[tuple[str, bytes]] = set()

    def elsewhere(self) -> "Message":
        """Return the same message behind others: what depended on them is forgotten."""
        other = Message(self, self.text)
        other.checked = self.checked
        other.blocks = self.blocks
        return other


class Bodies:
    """Reads bodies and remembers the latest messages of each conversation."""

    def __init__(self) -> None:
        self._known: dict[str, list[Message]] = {}

    def read(self, raw: bytes) -> object:
        """
        Return the JSON value of a body, its messages as `Message`.

        Raises:
            ValueError: it is not JSON in UTF-8.
        """
        text = raw.decode()
        try:
            return self._object(text)
        except (IndexError, ValueError):
            # Anything but an ordinary object is left to the ordinary reader and its errors.
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
        known = self._known.get(_text_of(first), [])
        messages: list[Any] = []
        same_past = True
        while True:
            old = known[len(messages)] if len(messages) < len(known) else None
            if old is not None and text.startswith(old.text, at):
                messages.append(old if same_past else old.elsewhere())
                end = at + len(old.text)
            else:
                same_past = False
                one, end = _message(text, at)
                messages.append(one)
            at = end if text[end] == "," else _skip(text, end)
            if text[at] == "]":
                self._remember(messages)
                return messages, at + 1
            at = _skip(text, _expect(text, at, ","))

    def _remember(self, messages: list[Any]) -> None:
        if not all(isinstance(one, Message) for one in messages):
            return
        self._known.pop(messages[0].text, None)
        self._known[messages[0].text] = messages
        if len(self._known) > _REMEMBERED:
            del self._known[next(iter(self._known))]


class _UnusualError(ValueError):
    """Text that is not written the way an ordinary object is."""


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
