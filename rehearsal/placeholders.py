"""Placeholders: references of a script to the content of the request.

``{{result.0}}`` is the first tool result just received, ``{{result.2.0}}`` the first
that answered turn 2; ``{{user}}``, ``{{last_user}}`` and ``{{system}}`` are texts;
``{{turn}}``, ``{{n}}`` and ``{{filler}}`` serve generated turns.
``{{turn+1}}`` adds; ``{{result.0 ~ pattern}}`` takes the pattern's first group.
``{{{{`` is the text ``{{``.
"""

import dataclasses
import re
from collections.abc import Collection, Iterator, Mapping
from typing import Any, Final

from rehearsal import prompt
from rehearsal.prompt import Prompt
from rehearsal.wire import bad_request

_BODY: Final = r"\s*([a-z_]+[\w.]*)\s*(?:\+\s*(\d+)|~\s*(.+?))?\s*"
_PLACEHOLDER: Final = re.compile(rf"\{{{{4}}|\{{\{{{_BODY}\}}\}}")
_UNREAD: Final = re.compile(r"\{\{.*?\}\}")
_TEXTS: Final = ("user", "last_user", "system")
_NUMBERS: Final = ("turn", "n")
_RESULT: Final = re.compile(r"result(\.\d+){1,2}")
_FILLER: Final = "the quick brown fox jumps over the lazy dog; "


@dataclasses.dataclass(frozen=True)
class PlaceholderValues:
    """The values of placeholders in one request.

    Attributes:
        names: the fields of the agent header; absent ones are None.
        index: {{turn}}.
        number: {{n}}, the number among the generated turns, counted from 0.
        filler_bytes: the length of {{filler}}.
    """

    names: Mapping[str, str | None]
    request: Prompt
    index: int
    number: int = 0
    filler_bytes: int = 0

    def _value(self, name: str) -> str | int:
        if name in _NUMBERS:
            return self.index if name == "turn" else self.number
        if name == "filler":
            return self._filler()
        if name in self.names:
            return self.names[name] or "-"
        if name in _TEXTS:
            return self._text(name)
        if name.startswith("result."):
            return self._result(name)
        raise bad_request(f"rehearsal: unknown placeholder {{{{{name}}}}}")

    def _filler(self) -> str:
        start = f"{self.number} "
        text = start + _FILLER * (self.filler_bytes // len(_FILLER) + 1)
        return text[: self.filler_bytes]

    def _text(self, name: str) -> str:
        if name == "user":
            return prompt.first_text(self.request)
        if name == "system":
            return prompt.system_text(self.request)
        return prompt.plain_text(self.request.incoming())

    def _result(self, name: str) -> str:
        try:
            *turn, position = [int(part) for part in name.split(".")[1:]]
            results = self.request.results()[turn[0] if turn else -1]
            return prompt.text_of(results[position].get("content"))
        except (ValueError, IndexError) as error:
            raise bad_request(f"rehearsal: there is no {{{{{name}}}}} in this request") from error

    def _replace(self, found: re.Match[str]) -> str:
        name, plus, pattern = found.groups()
        if name is None:
            return "{{"
        value = self._value(name)
        if plus is not None:
            return str(int(value) + int(plus))
        if pattern is None:
            return str(value)
        hit = re.search(pattern, str(value), re.MULTILINE)
        if hit is None:
            raise bad_request(
                f"rehearsal: {pattern!r} matches nothing in {shortened(str(value))!r}"
            )
        return hit.group(1) if hit.re.groups else hit.group()

    def fill(self, value: Any) -> Any:
        """Return a JSON value with the placeholders in all its strings filled in.

        Raises:
            ApiError: 400 when a placeholder is unknown or refers to nothing.
        """
        if isinstance(value, str):
            return _PLACEHOLDER.sub(self._replace, value)
        if isinstance(value, list):
            return [self.fill(item) for item in value]
        if isinstance(value, dict):
            return {key: self.fill(item) for key, item in value.items()}
        return value


def mistakes(value: Any, names: Collection[str]) -> Iterator[str]:
    """Yield what is wrong with the placeholders in the strings of a JSON value, before any request.

    `names` are the fields of the agent header.
    """
    if isinstance(value, str):
        yield from filter(None, (_mistake(each, names) for each in _PLACEHOLDER.finditer(value)))
        yield from map(_unknown, _UNREAD.findall(_PLACEHOLDER.sub("\0", value)))
    elif isinstance(value, list | dict):
        for item in value.values() if isinstance(value, dict) else value:
            yield from mistakes(item, names)


def _mistake(found: re.Match[str], names: Collection[str]) -> str:
    name, _, pattern = found.groups()
    known = name is None or name in {*_NUMBERS, *_TEXTS, "filler", *names}
    if not (known or _RESULT.fullmatch(name)):
        return _unknown(found.group())
    try:
        re.compile(pattern or "")
    except re.error as error:
        return f"the pattern of {shortened(found.group(), 60)} is no regular expression: {error}"
    return ""


def _unknown(opened: str) -> str:
    return f"unknown placeholder {shortened(opened, 60)} (write {{{{{{{{ for the text {{{{)"


def shortened(text: str, limit: int = 300) -> str:
    """Return a text shortened for an error message."""
    return text if len(text) <= limit else f"{text[:limit]}… ({len(text)} characters)"
