"""What the person's checkout has installed, for the commands of a request."""

import asyncio
import os
from collections.abc import Mapping
from pathlib import Path

from contracts.repository import Environment
from domain import dependencies
from domain.installed import told_to_people
from domain.text import clip, one_line
from infra.dependencies import fetched, installed, named_places, python_contents
from infra.python_environment import is_environment
from infra.repository_look import Inspected
from infra.sandbox import PROJECT
from infra.tree_environment import activated

_NOTE_CHARS = 1_000


async def installed_for(
    asked: Environment, found: Inspected, files: Mapping[str, str]
) -> tuple[Environment, tuple[str, ...], tuple[str, ...]]:
    """Return the environment in which commands run on a repository, and two kinds of notes.

    A virtual environment of the repository's own is used whichever other one is active. The first
    notes tell what is installed, the others what is wrong with what the person named.

    Args:
        asked: as it was where the request was made.
        found: the repository.
        files: object ids of the base's files, by path.
    """
    return await asyncio.to_thread(_installed_for, asked, found, files)


def _installed_for(
    asked: Environment, found: Inspected, files: Mapping[str, str]
) -> tuple[Environment, tuple[str, ...], tuple[str, ...]]:
    checkout = Path(found.path)
    named = named_places(checkout, tuple(files))
    every = (
        *installed(checkout, [*dependencies.places(files), *named.folders], files),
        *named.files,
        *fetched(Path.home(), dependencies.home_caches(files)),
    )
    own = None if _lies_in(asked.virtual_env, checkout) else found.own_environment
    # Those of version managers come first, a virtual environment before them.
    path = os.pathsep.join((*found.tool_folders, asked.path))
    environment = asked.model_copy(
        update={
            "path": path,
            "checkout": found.path,
            "private": tuple(found.private),
            "dependencies": every,
            **activated(asked.model_copy(update={"path": path}), own),
        }
    )
    notes = told(environment, unused=asked.virtual_env if own else None)
    others = (*found.notes, *named.problems)
    return environment, notes, tuple(clip(note, _NOTE_CHARS) for note in others)


def told(environment: Environment, *, unused: str | None = None) -> tuple[str, ...]:
    """Return what a person should know of what commands find installed, a sentence each.

    `unused` is a virtual environment that was active where the request was made.
    """
    used = environment.virtual_env
    places = (PROJECT, Path(environment.checkout or PROJECT))
    own = (
        each
        for each in environment.dependencies
        if used in {str(place / each.path) for place in places}
    )
    mine = next(own, None)
    notes = told_to_people(environment.dependencies, environment=mine, unused=unused)
    apart = used if mine is None and used and is_environment(Path(used)) else None
    elsewhere = _elsewhere(apart) if apart else []
    return tuple(clip(note, _NOTE_CHARS) for note in (*notes, *elsewhere))


def _elsewhere(environment: str) -> list[str]:
    """Return what is said of a virtual environment that lies outside of the checkout."""
    contents = python_contents(Path(environment))
    return [f"Commands use the environment {one_line(environment)}: {contents}."]


def _lies_in(environment: str | None, checkout: Path) -> bool:
    return environment is not None and Path(environment).resolve().is_relative_to(
        checkout.resolve()
    )
