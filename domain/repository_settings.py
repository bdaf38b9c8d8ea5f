"""The settings that a repository brings along: how to set it up, what must pass, how to work.

They come from a commit, so its author wrote them: they name commands of the sandbox, and numbers
within limits that hold for everyone, nothing else.
"""

import difflib
import json
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Final

from contracts.model_choice import LEAST_WINDOW_TOKENS, MOST_WINDOW_TOKENS
from domain.text import for_people, is_text, one_line

MOST_BYTES: Final = 64_000
"""More is no settings file."""

MOST_COMMANDS: Final = 20
"""Of a key."""

MOST_CHARS: Final = 4_000
"""Of a command."""

_SCHEMA: Final = "$schema"
"""Names the schema of the file for editors; says nothing to us."""


class SettingsProblem(ValueError):  # noqa: N818 - named for what happened
    """The settings are not usable; the text says what is wrong, as the end of a sentence."""


@dataclass(frozen=True)
class RepositorySettings:
    """What a repository says of itself.

    Attributes:
        setup: commands that install what it depends on, in this order.
        checks: commands that must pass on the merged tree, where the person names none.
        window_tokens: input tokens of a call after which an agent goes on in a fresh window, where
            the person says nothing; None where it says nothing either.
    """

    setup: tuple[str, ...] = ()
    checks: tuple[str, ...] = ()
    window_tokens: int | None = None


KEYS: Final = tuple(sorted(field.name for field in fields(RepositorySettings)))
"""The keys that the file may have."""


def parsed(content: bytes) -> RepositorySettings:
    """Return the settings that a file holds.

    Raises:
        SettingsProblem: it is no JSON object of known keys with what belongs to each.
    """
    found = json_object(content)
    for key in found:
        if key not in (*KEYS, _SCHEMA):
            raise SettingsProblem(_unknown(key))
    return RepositorySettings(
        setup=_commands("setup", found.get("setup", [])),
        checks=_commands("checks", found.get("checks", [])),
        window_tokens=_window_tokens(found) if "window_tokens" in found else None,
    )


def json_object(content: bytes) -> dict[str, object]:
    """Return the JSON object that a file holds, its keys as they stand there.

    Raises:
        SettingsProblem: it holds something else, or a key twice.
    """
    if len(content) > MOST_BYTES:
        raise SettingsProblem(f"is larger than {MOST_BYTES // 1_000} kB")
    try:
        found = json.loads(content.decode("utf-8-sig"), object_pairs_hook=_each_once)
    except UnicodeDecodeError as error:
        raise SettingsProblem(f"is not UTF-8 (byte {error.start + 1})") from error
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}"
        raise SettingsProblem(f"is not JSON: {error.msg} ({where})") from error
    except SettingsProblem:
        raise
    except (ValueError, RecursionError) as error:  # a number or a nesting without end
        raise SettingsProblem("is not JSON that can be read") from error
    if not isinstance(found, dict):
        raise SettingsProblem('must be a JSON object, such as {"checks": ["make test"]}')
    return found


def _each_once(pairs: Sequence[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [key for key, _ in pairs]
        twice = next(key for key in names if names.count(key) > 1)
        raise SettingsProblem(f"has the key {_quoted(twice)} twice")
    return found


def _unknown(key: str) -> str:
    close = difflib.get_close_matches(key, KEYS, n=1)
    meant = f"; did you mean {_quoted(close[0])}?" if close else ""
    known = ", ".join(map(_quoted, KEYS))
    return f"has the unknown key {_quoted(key)}{meant} (there are {known})"


def _commands(key: str, value: object) -> tuple[str, ...]:
    if not isinstance(value, list):
        raise SettingsProblem(f"{_quoted(key)} must be a list of commands, each a text")
    if len(value) > MOST_COMMANDS:
        raise SettingsProblem(f"{_quoted(key)} has more than {MOST_COMMANDS} commands")
    return tuple(_command(f"{_quoted(key)}, command {n}", each) for n, each in enumerate(value, 1))


def _window_tokens(found: dict[str, object]) -> int:
    value = found["window_tokens"]
    if isinstance(value, int) and LEAST_WINDOW_TOKENS <= value <= MOST_WINDOW_TOKENS:
        return value
    raise SettingsProblem(
        f'"window_tokens" must be a whole number from {LEAST_WINDOW_TOKENS:,} to '
        f"{MOST_WINDOW_TOKENS:,}"
    )


def _command(where: str, value: object) -> str:
    """Return a command as a person sees it: what is hidden in one would run unseen."""
    if not isinstance(value, str) or not value.strip():
        raise SettingsProblem(f"{where}: must be a text that is not empty")
    command = value.strip()
    if len(command) > MOST_CHARS:
        raise SettingsProblem(f"{where}: is longer than {MOST_CHARS:,} characters")
    if not is_text(command) or for_people(command, len(command)) != command:
        raise SettingsProblem(f"{where}: holds characters that cannot be seen")
    return command


def _quoted(text: str) -> str:
    return json.dumps(one_line(text, 60), ensure_ascii=False)
