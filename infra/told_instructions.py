"""Which instructions a request's agents would be told: looked up in the user's repository."""

from collections.abc import Sequence
from pathlib import Path

from infra.conversation.instructions import FoundInstructions, found_instructions
from infra.person_instructions import person_instructions
from infra.repository_look import RequestRefused, start_of
from infra.store.reader import ObjectReader

__all__ = ["FoundInstructions", "RequestRefused", "found_in", "person_instructions"]


async def found_in(
    folder: str, base: str | None, scope: Sequence[str]
) -> tuple[str, FoundInstructions]:
    """Return the commit that a request would start from, and its instructions for a scope.

    Raises:
        RequestRefused: there is no such repository or commit.
    """
    inspected = await start_of(folder, base)
    reader = ObjectReader(Path(inspected.git_dir))
    try:
        return inspected.base, await found_instructions(reader, inspected.base, scope)
    finally:
        await reader.close()
