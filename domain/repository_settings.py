"""The settings that a repository brings along: how to set it up, what must pass, how to work.

They come from a commit, so its author wrote them: they name commands of the sandbox, and numbers
within limits that hold for everyone, and tighten permissions; they loosen nothing.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from contracts.lanes import OFFERED, Lane
from contracts.model_choice import LEAST_WINDOW_TOKENS, MOST_WINDOW_TOKENS
from domain.settings_json import (
    SCHEMA_KEY,
    SettingsProblem,
    json_object,
    quoted,
    refuse_unknown,
    seen_text,
)

MOST_COMMANDS: Final = 20
"""Of a key."""

MOST_CHARS: Final = 4_000
"""Of a command."""


@dataclass(frozen=True)
class RepositorySettings:
    """What a repository says of itself.

    Attributes:
        setup: commands that install what it depends on, in this order.
        checks: commands that must pass on the merged tree, where the person names none.
        window_tokens: input tokens of a call after which an agent goes on in a fresh window, where
            the person says nothing; None where it says nothing either.
        lane: in which its tasks run, where the person says nothing; None where it says nothing
            either.
        format: whether what agents edit is formatted by the repository's own formatter.
        permissions: the sections of the file about permissions, as checked JSON; "" for none.
    """

    setup: tuple[str, ...] = ()
    checks: tuple[str, ...] = ()
    window_tokens: int | None = None
    lane: Lane | None = None
    format: bool = True
    permissions: str = ""


COMMAND_KEYS: Final = ("checks", "setup")
"""The keys of the file that hold commands."""

PERMISSION_KEYS: Final = ("permissions", "sandbox")
"""The keys of the file that say what agents may do."""

KEYS: Final = tuple(sorted((*COMMAND_KEYS, *PERMISSION_KEYS, "format", "lane", "window_tokens")))
"""The keys that the file may have."""


def parsed(content: bytes) -> RepositorySettings:
    """Return the settings that a file holds.

    Raises:
        SettingsProblem: it is no JSON object of known keys, or what they hold is wrong.
    """
    found = json_object(content)
    refuse_unknown([key for key in found if key != SCHEMA_KEY], KEYS)
    return RepositorySettings(
        setup=_commands("setup", found.get("setup", [])),
        checks=_commands("checks", found.get("checks", [])),
        window_tokens=_window_tokens(found) if "window_tokens" in found else None,
        lane=_lane(found["lane"]) if "lane" in found else None,
        format=_format(found.get("format", True)),
        permissions=_permissions(found),
    )


def _permissions(found: Mapping[str, object]) -> str:
    kept = {key: found[key] for key in PERMISSION_KEYS if key in found}
    if not kept:
        return ""
    # Most files say nothing of it, and a look has to start quickly.
    from domain.policy.settings import written  # noqa: PLC0415

    written(kept)
    return json.dumps(kept)


def _commands(key: str, value: object) -> tuple[str, ...]:
    if not isinstance(value, list):
        raise SettingsProblem(f"{quoted(key)} must be a list of commands, each a text")
    if len(value) > MOST_COMMANDS:
        raise SettingsProblem(f"{quoted(key)} has more than {MOST_COMMANDS} commands")
    return tuple(
        seen_text(f"{quoted(key)}, command {number}", each, MOST_CHARS)
        for number, each in enumerate(value, 1)
    )


def _format(value: object) -> bool:
    if isinstance(value, bool):
        return value
    raise SettingsProblem('"format" must be true or false')


def _lane(value: object) -> Lane:
    names = tuple(lane.value for lane in OFFERED)
    if value in names:
        return Lane(value)
    raise SettingsProblem(f'"lane" must be one of {", ".join(names)}')


def _window_tokens(found: dict[str, object]) -> int:
    value = found["window_tokens"]
    if isinstance(value, int) and LEAST_WINDOW_TOKENS <= value <= MOST_WINDOW_TOKENS:
        return value
    raise SettingsProblem(
        f'"window_tokens" must be a whole number from {LEAST_WINDOW_TOKENS:,} to '
        f"{MOST_WINDOW_TOKENS:,}"
    )
