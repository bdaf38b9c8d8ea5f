"""Output by a pager where a terminal is there, chosen by git's rules; else plain."""

import asyncio
import shutil
import subprocess
from collections.abc import Sequence

from cli.context import CliContext
from domain.text import visible

_STYLES = (
    (("diff --git ", "index ", "--- ", "+++ ", "new file", "deleted file"), "1"),
    (("rename ", "similarity ", "old mode", "new mode", "Binary "), "1"),
    (("#",), "1;33"),
    (("@@",), "36"),
    (("+",), "32"),
    (("-",), "31"),
)
"""Of lines of a diff by their beginning: the parameters of a terminal's colour sequence."""
_NO_PAGER = ("", "cat")
_NOT_FOUND = 127
"""The shell's exit code for a program that is not there."""


def show_diff(lines: Sequence[str], context: CliContext) -> None:
    """Print lines of diffs: paged and coloured on a terminal, as they are everywhere else."""
    if not context.stdout.isatty():
        context.print_out(*lines)
        return
    shown = _coloured(lines, context)
    pager = _pager(context)
    if pager in _NO_PAGER:
        context.stdout.writelines(f"{line}\n" for line in shown)
        return
    _page(pager, shown, context)


async def page_lines(lines: Sequence[str], context: CliContext) -> None:
    """Show lines in the person's pager until they close it; it is ended when this is cancelled."""
    shown = _coloured(lines, context)
    pager = _pager(context)
    if pager in _NO_PAGER:
        context.stdout.writelines(f"{line}\n" for line in shown)
        context.stdout.flush()
        return
    # Unlike a command's, it stays open with a short text, and leaves nothing of it behind.
    environ = {"LESS": "R", "LV": "-c", **context.environ}
    ended = await asyncio.create_subprocess_shell(
        pager, stdin=asyncio.subprocess.PIPE, stdout=context.stdout, env=environ
    )
    text = "".join(f"{line}\n" for line in shown).encode("utf-8", "replace")
    try:
        await ended.communicate(text)
    finally:
        if ended.returncode is None:
            ended.terminate()
            await ended.wait()


def _coloured(lines: Sequence[str], context: CliContext) -> list[str]:
    coloured = "NO_COLOR" not in context.environ and context.environ.get("TERM") != "dumb"
    return [_painted(visible(line)) if coloured else visible(line) for line in lines]


def _painted(line: str) -> str:
    style = next((style for marks, style in _STYLES if line.startswith(marks)), "")
    return f"\x1b[{style}m{line}\x1b[m" if style else line


def _pager(context: CliContext) -> str:
    """Return the person's pager as git chooses it: GIT_PAGER, core.pager, PAGER, less.

    Their own configuration counts and no repository's, so that looking runs nothing of one.
    """
    if context.pager is not None:
        return context.pager
    usual = "less" if shutil.which("less") else ""
    return _configured(context) or context.environ.get("PAGER", usual)


def _configured(context: CliContext) -> str:
    words = ["git", "config", "--global", "--get", "core.pager"]
    try:
        found = subprocess.run(  # noqa: S603 - fixed words
            words, cwd="/", env=dict(context.environ), capture_output=True, text=True, check=False
        )
    except OSError:
        return ""
    return found.stdout.strip()


def _page(pager: str, lines: Sequence[str], context: CliContext) -> None:
    # What git sets for a pager that has no options of its own.
    environ = {"LESS": "FRX", "LV": "-c", **context.environ}
    text = "".join(f"{line}\n" for line in lines).encode("utf-8", "replace")
    ended = subprocess.run(  # noqa: S602 - the person's own command line
        pager, shell=True, env=environ, input=text, check=False
    )
    if ended.returncode == _NOT_FOUND:
        context.stdout.write(text.decode())
