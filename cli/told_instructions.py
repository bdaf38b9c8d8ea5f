"""Which instruction files agents are told of in a repository, and why: for people."""

from collections.abc import Iterator, Sequence

from cli.context import CliContext
from cli.exit_codes import ExitCode, UsageError
from cli.formatting import clean, clean_lines
from domain.agent.instructions import ToldFile, fitted
from infra.told_instructions import (
    FoundInstructions,
    RequestRefused,
    found_in,
    person_instructions,
)
from runtime.settings import load

_ID = 12
_LINES = 2_000


async def explain(
    folder: str, base: str | None, paths: Sequence[str], context: CliContext, *, whole: bool
) -> ExitCode:
    """Print the files that count, what is left out, and with `whole` what is told."""
    try:
        commit, found = await found_in(folder, base, paths)
    except RequestRefused as problem:
        raise UsageError(clean(str(problem), 1_000)) from problem
    told = fitted(found.files)
    context.print_out(
        f"Instructions at {commit[:_ID]} for: {clean(', '.join(paths), 500)}", *_person(context)
    )
    context.print_out(*(_row(each) for each in told))
    if not told:
        context.print_out("  none of the repository")
    context.print_out(*_left_out(found))
    for each in told if whole else ():
        context.print_out("", f"# {clean(each.file.path, 500)}", *clean_lines(each.text, _LINES))
    return ExitCode.DELIVERED


def _person(context: CliContext) -> Iterator[str]:
    files = load(context.environ).instruction_files
    found = person_instructions(files)
    if found is not None:
        path, text = found
        yield f"  {clean(str(path), 500)}  {_bytes(len(text.encode()))}, your own"


def _row(told: ToldFile) -> str:
    file = told.file
    size = _bytes(told.whole_bytes)
    if told.kept_bytes < told.whole_bytes:
        size = f"{told.kept_bytes:,} of {size}"
    return f"  {clean(file.path, 500)}  {file.oid[:_ID]}  {size}, {clean(file.why, 300)}"


def _left_out(found: FoundInstructions) -> list[str]:
    return [
        f"  not {clean(path, 500)}: {clean(why, 300)}"
        for path, why in dict.fromkeys(found.left_out)
    ]


def _bytes(count: int) -> str:
    return "1 byte" if count == 1 else f"{count:,} bytes"
