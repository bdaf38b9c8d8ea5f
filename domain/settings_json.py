"""Settings files as JSON: one object, each key once, errors that say what is wrong and where."""

import difflib
import json
from collections.abc import Collection, Sequence
from typing import Final

from domain.text import for_people, is_text, one_line

MOST_BYTES: Final = 64_000
"""More is no settings file."""

SCHEMA_KEY: Final = "$schema"
"""Names the schema of the file for editors; says nothing to us."""


class SettingsProblem(ValueError):  # noqa: N818 - named for what happened
    """The settings are not usable; the text says what is wrong, as the end of a sentence."""


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
        raise SettingsProblem(f"has the key {quoted(twice)} twice")
    return found


def refuse_unknown(keys: Collection[str], known: Sequence[str], *, where: str = "") -> None:
    """Refuse a key that is none; `where` is the key of the object that holds it.

    Raises:
        SettingsProblem: one is unknown; the one that was probably meant is named.
    """
    for key in keys:
        if key in known:
            continue
        close = difflib.get_close_matches(key, known, n=1)
        meant = f"; did you mean {quoted(close[0])}?" if close else ""
        there = f" in {quoted(where)}" if where else ""
        names = ", ".join(map(quoted, known))
        raise SettingsProblem(
            f"has the unknown key {quoted(key)}{there}{meant} (there are {names})"
        )


def seen_text(where: str, value: object, most: int) -> str:
    """Return a command or rule as a person sees it: what is hidden in one would act unseen.

    `where` names the place in the file, `most` is its largest length in characters.

    Raises:
        SettingsProblem: it is no text, empty, too long, or holds what cannot be seen.
    """
    if not isinstance(value, str) or not value.strip():
        raise SettingsProblem(f"{where}: must be a text that is not empty")
    text = value.strip()
    if len(text) > most:
        raise SettingsProblem(f"{where}: is longer than {most:,} characters")
    if not is_text(text) or for_people(text, len(text)) != text:
        raise SettingsProblem(f"{where}: holds characters that cannot be seen")
    return text


def quoted(text: str) -> str:
    """Return a key or value of the file as it is shown in a sentence."""
    return json.dumps(one_line(text, 60), ensure_ascii=False)
