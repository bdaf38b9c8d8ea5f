"""The files of the roles: `<name>.md`, front matter and below it the prompt.

Read again for each agent that starts, so a changed file holds for agents that start after it.
"""

from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

import yaml

from domain.agent.roles import Role, read_role

BUILT_IN: Final = Path(__file__).resolve().parent
_FENCE = "---\n"


class RoleError(Exception):
    """A role's file is missing or cannot be used; the text says what to change."""


class RoleFiles:
    """Roles by name.

    Args:
        folders: looked into in order; the first file of a name counts.
    """

    def __init__(self, *folders: Path) -> None:
        self._folders = folders or (BUILT_IN,)

    def names(self) -> tuple[str, ...]:
        """Return the names of all roles, sorted."""
        found = {file.stem for folder in self._folders for file in folder.glob("*.md")}
        return tuple(sorted(found))

    def get(self, name: str, *, tools: Iterable[str]) -> Role:
        """Return a role; `tools` are the names of the tools that there are.

        Raises:
            RoleError: there is no such role, or its file cannot be used.
        """
        files = (folder / f"{name}.md" for folder in self._folders)
        file = next((file for file in files if file.is_file()), None)
        if file is None:
            raise RoleError(f"there is no role {name!r}; there are {', '.join(self.names())}")
        fields, prompt = _split(file)
        role = read_role(name, fields, prompt, tools=tuple(tools))
        if isinstance(role, str):
            raise RoleError(f"{role} ({file})")
        return role


def _split(file: Path) -> tuple[dict[str, object], str]:
    text = file.read_text("utf-8")
    head, fence, prompt = text.removeprefix(_FENCE).partition(f"\n{_FENCE}")
    if not text.startswith(_FENCE) or not fence:
        raise RoleError(f"{file} has no front matter: begin it with a line of three hyphens")
    try:
        fields = _read_yaml(head)
    except yaml.YAMLError as error:
        raise RoleError(f"the front matter of {file} is not YAML: {error}") from error
    if not isinstance(fields, dict):
        raise RoleError(f"the front matter of {file} is not a mapping of names to values")
    return fields, prompt


@lru_cache(maxsize=64)
def _read_yaml(text: str) -> Any:
    """Return what a text says; the same text, as at every turn of an agent, is parsed once."""
    return yaml.safe_load(text)
