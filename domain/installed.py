"""What people and agents are told of the dependencies that a checkout has installed."""

from collections.abc import Sequence

from contracts.repository import Dependencies
from domain.text import listing, one_line


def told_to_people(
    found: Sequence[Dependencies], *, environment: Dependencies | None, unused: str | None
) -> list[str]:
    """Return what a person should know of the dependencies of their checkout, a sentence each.

    `environment` is the virtual environment that commands use; `unused` another one that was
    active where the request was made.
    """
    notes = list[str]()
    if environment is not None:
        whose = "that the setup made" if environment.layer else "of your checkout"
        notes.append(f"Commands use {environment.path} {whose}: {environment.contents}.")
    if unused:
        notes.append(
            f"The active environment {one_line(unused)} is not used: the repository has its own."
        )
    others = [each for each in found if each != environment]
    if made := tuple(f"{'~/' * each.in_home}{each.path}" for each in others if each.layer):
        notes.append(f"Commands find what the setup installed: {listing(made)}.")
    own = [each for each in others if not each.layer]
    if here := tuple(each.path for each in own if not each.in_home):
        notes.append(f"Commands also find here what your checkout has: {listing(here)}.")
    if caches := tuple(f"~/{each.path}" for each in own if each.in_home):
        notes.append(f"Commands also find packages that were fetched to {listing(caches)}.")
    return [*notes, *(f"{sentence}: install again." for sentence in _outdated(found))]


def told_to_agents(found: Sequence[Dependencies]) -> list[str]:
    """Return what an agent should know of installed dependencies, a sentence each."""
    folders = tuple(f"{'~/' * each.in_home}{each.path}" for each in found if not each.is_file)
    files = tuple(each.path for each in found if each.is_file and not each.layer)
    told = list[str]()
    if folders:
        where = "installed for commands, while views and searches do not look there"
        told.append(f"{where}: {listing(folders)}")
    if files:
        told.append(f"of the person's checkout, there for commands, in no patch: {listing(files)}")
    return [*told, *_outdated(found)]


def _outdated(found: Sequence[Dependencies]) -> list[str]:
    return [
        f"{one_line(each.path)} may hold other packages than the base needs, because "
        f"{listing(each.outdated_by)} differs in the checkout"
        for each in found
        if each.outdated_by
    ]
