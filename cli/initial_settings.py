"""The settings that are proposed for a repository: shown, and written after a yes."""

import shutil
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from cli.context import CliContext
from cli.exit_codes import ExitCode, UsageError
from cli.formatting import clean, name
from contracts.settings_file import SETTINGS_FILE
from domain.project.facts import Findings, Step
from domain.project.proposal import Proposal, difference, examine, proposal
from domain.repository_settings import parsed
from domain.settings_json import SettingsProblem, json_object
from domain.shell import first_word
from domain.text import shell_word
from infra.checkout import SettingsUnreachable, look, read_settings, write_settings

_YES = ("y", "yes")
_TRY = "Say in {readme} how to run the tests"


def propose(folder: str, context: CliContext, *, yes: bool) -> ExitCode:
    """Show what was found and what is proposed; write it after a yes."""
    checkout = Path(folder)
    if not (checkout / ".git").exists():
        raise UsageError(
            f"{clean(folder)} is no checkout with files, so nothing can be found there: name the "
            "top of a git repository's working folder with --repo."
        )
    try:
        found, before = examine(look(checkout)), read_settings(checkout)
    except SettingsUnreachable as problem:
        raise UsageError(clean(str(problem), 1_000)) from problem
    proposed = proposal(found, _present(before))
    missing = _missing((*proposed.setup, *proposed.checks), context)
    context.print_prose(
        f"Found in {name(folder)}:", *_rows(found), *_problems(found, proposed), *missing
    )
    text = proposed.text
    if not (proposed.setup or proposed.checks):
        said = "says it already" if before else "is not needed"
        context.print_prose("", f"{SETTINGS_FILE} {said}; nothing is written.")
        return _ended(checkout, context, written=False) if before else ExitCode.DELIVERED
    context.print_out("", "Proposed:", *_steps("setup", proposed.setup))
    context.print_out(*_steps("check", proposed.checks), "")
    context.print_out(*difference(before.decode("utf-8-sig"), text), "")
    if not (yes or _agreed(context)):
        return ExitCode.WAITING
    try:
        write_settings(checkout, text.encode())
    except SettingsUnreachable as problem:
        raise UsageError(clean(str(problem), 1_000)) from problem
    context.print_out(f"Wrote {SETTINGS_FILE}.")
    return _ended(checkout, context, written=True)


def _present(before: bytes) -> dict[str, object]:
    """Return the settings that are there; refuse those that a request would refuse."""
    if not before:
        return {}
    try:
        parsed(before)
        return json_object(before)
    except SettingsProblem as problem:
        raise UsageError(
            f"{SETTINGS_FILE} {problem}: mend it or move it away; it was left as it is."
        ) from problem


def _rows(found: Findings) -> Iterator[str]:
    width = max((len(heading) for heading, _ in found.rows), default=0)
    yield from (f"  {heading:{width}}  {clean(text, 500)}" for heading, text in found.rows)
    if not found.rows:
        yield "  nothing that is known"


def _problems(found: Findings, proposed: Proposal) -> list[str]:
    return [f"  ! {clean(each, 1_000)}" for each in (*found.problems, *proposed.kept)]


def _missing(steps: Iterable[Step], context: CliContext) -> list[str]:
    """Return a line for each program that a proposed command begins with and that is not here."""
    words = dict.fromkeys(first_word(step.command) for step in steps)
    path = context.environ.get("PATH", "")
    return [
        f"  ! There is no {word!r} on your PATH, so what begins with it cannot run: install it."
        for word in words
        if word and "/" not in word and shutil.which(word, path=path) is None
    ]


def _steps(kind: str, steps: Sequence[Step]) -> Iterable[str]:
    for step in steps:
        yield f"  {kind}  {clean(step.command, 1_000)}"
        yield f"         because of {clean(step.why, 500)}"


def _agreed(context: CliContext) -> bool:
    """Ask the person; where nobody can be asked, say how to answer beforehand."""
    if not context.stdin.isatty():
        context.print_out("Nothing is written: say yes with --yes.")
        return False
    context.stdout.write(f"Write {SETTINGS_FILE}? [y/N] ")
    context.stdout.flush()
    if context.stdin.readline().strip().lower() in _YES:
        return True
    context.print_out("Nothing is written.")
    return False


def _ended(checkout: Path, context: CliContext, *, written: bool) -> ExitCode:
    """Say how to try it, in one line that works when it is pasted."""
    folder, file = shell_word(str(checkout)), SETTINGS_FILE
    commits = (
        f"git -C {folder} add -f {file} && git -C {folder} commit -m 'Add settings' -- {file} && "
        if written
        else ""
    )
    what = "Commit it and try it" if written else "Try it"
    words = shell_word(_TRY.format(readme=_readme(checkout)))
    context.print_prose(
        f"{what}:",
        f"  {commits}{context.program} run --repo {folder} {words}",
        commands=["git -C "],
    )
    return ExitCode.DELIVERED


def _readme(checkout: Path) -> str:
    """Return the name of the file in which a checkout says what it is; README.md without one."""
    names = sorted(name(each.name) for each in checkout.iterdir() if each.is_file())
    readmes = [each for each in names if each.lower().partition(".")[0] == "readme"]
    return next((each for each in readmes if each == "README.md"), next(iter(readmes), "README.md"))
