"""The permissions that hold for a request: the user's own file, and what the base commit says."""

import json
from collections.abc import Mapping
from pathlib import Path

from contracts.permissions import RequestPermissions, Scope
from contracts.settings_file import SETTINGS_FILE
from domain.policy.settings import SettingsSource, combined, written
from domain.policy.tools import ToolFacts
from domain.settings_json import SCHEMA_KEY, SettingsProblem, json_object, refuse_unknown
from infra.regular_file import regular_content
from infra.repository_look import RequestRefused

_KEYS = ("permissions", "sandbox")


def request_permissions(
    user_file: Path | None,
    of_base: str,
    tools: Mapping[str, ToolFacts],
    *,
    home: Path,
    checkout: str,
) -> RequestPermissions:
    """Return what both files come to: the user's own, which need not exist, and the base's.

    `of_base` is what of the base's file speaks of it, as `RepositorySettings.permissions`.

    Raises:
        RequestRefused: the user's file cannot be used; the sentence says what to change.
    """
    own = _user_source(user_file, home)
    base = _base_source(of_base)
    found = combined(
        [each for each in (own, base) if each is not None],
        tools,
        home=str(home),
        checkout=checkout,
    )
    folders, problems = _folders(found.folders, home)
    return found.model_copy(update={"folders": folders, "warnings": (*found.warnings, *problems)})


def _user_source(file: Path | None, home: Path) -> SettingsSource | None:
    if file is None or not file.exists():
        return None
    shown = f"~/{file.relative_to(home)}" if file.is_relative_to(home) else str(file)
    data = regular_content(file)
    if data is None:
        raise RequestRefused(f"{shown}, your settings, cannot be read: see what it is")
    try:
        found = json_object(data)
        refuse_unknown([key for key in found if key != SCHEMA_KEY], _KEYS)
        said = written(found)
    except SettingsProblem as problem:
        raise RequestRefused(f"{shown}, your settings, {problem}: correct it") from problem
    return SettingsSource(Scope.USER, shown, said, str(file.parent))


def _base_source(text: str) -> SettingsSource | None:
    if not text:
        return None
    try:
        return SettingsSource(Scope.REPOSITORY, SETTINGS_FILE, written(json.loads(text)))
    except SettingsProblem as problem:
        raise RequestRefused(f"{SETTINGS_FILE} of the base {problem}") from problem


def _folders(named: tuple[str, ...], home: Path) -> tuple[tuple[str, ...], list[str]]:
    """Return the folders that commands may read, and what is wrong with others."""
    found, problems = [], []
    for each in named:
        path = home / each[2:] if each.startswith("~/") else Path(each)
        if path == home or path in home.parents:
            problems.append(f"additionalDirectories: {each} is not shown: it holds your home")
        elif not path.is_dir():
            problems.append(f"additionalDirectories: there is no folder {each}")
        else:
            found.append(str(path.resolve()))
    return tuple(found), problems
