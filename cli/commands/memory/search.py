"""Search accepted memories and the conversations of all requests of a repository.

Words in any order; the forms of an English word count as one. Reads the store of this host by an
index that is made when it is missing, which takes a while the first time. Needs no worker.

Examples:
  starter.py memory search "encoding of test names"
  starter.py memory search flaky parser --most 20 --json

--json prints one array; keys of each: memory (its name, "" for a turn),
conversation, request, task, role, turn, at (seconds since 1970), title, passage.
"""

from typing import Annotated

from cyclopts import Parameter
from cyclopts.validators import Number

from cli.exit_codes import ExitCode
from cli.parameters import AsJson, Context, RepositoryFolder


async def command(
    *words: Annotated[str, Parameter(name="WORDS", help="what to look for")],
    repo: RepositoryFolder = None,
    most: Annotated[
        int, Parameter(validator=Number(gte=1, lte=20), help="places of each kind")
    ] = 10,
    as_json: AsJson = False,
    context: Context,
) -> ExitCode:
    """Search."""
    from cli.memories import search  # noqa: PLC0415 - not needed for its help page

    return await search(" ".join(words), repo, most=most, as_json=as_json, context=context)
