"""Which instructions a request's agents would be told: looked up in the user's repository."""

from collections.abc import Sequence
from pathlib import Path

from infra.conversation.instructions import FoundInstructions, found_instructions
from infra.person_instructions import person_instructions
from infra.repository_look import Asked, LookFailedError, RequestRefused, looking
from infra.store.reader import ObjectReader

__all__ = ["FoundInstructions", "NotFoundError", "found_in", "person_instructions"]
_BRANCH = "orchestcode/instructions"
"""A look asks what a request for a branch would start from; nothing is made of it."""


class NotFoundError(Exception):
    """There is no such repository or commit; the text is one sentence."""


async def found_in(
    folder: str, base: str | None, scope: Sequence[str]
) -> tuple[str, FoundInstructions]:
    """Return the commit that a request would start from, and its instructions for a scope.

    Raises:
        NotFoundError: a request would be refused there.
    """
    try:
        async with looking(Asked(path=folder, base=base, branch=_BRANCH)) as look:
            inspected = await look.found()
    except (RequestRefused, LookFailedError) as problem:
        raise NotFoundError(str(problem)) from problem
    reader = ObjectReader(Path(inspected.git_dir))
    try:
        return inspected.base, await found_instructions(reader, inspected.base, scope)
    finally:
        await reader.close()
