"""search: ripgrep over the files of a worktree that git does not ignore, or over an agent's /tmp.

Which files these are git says; what was not searched is said with the result.
"""

import asyncio
import os
import re
from collections.abc import Sequence
from dataclasses import replace

from pydantic import Field

from activities.tools import guarding, scratch
from activities.tools.tool import Tool, ToolContext, ToolOutput, failed, plain_path
from contracts.base import HumanInput
from contracts.tools import ApprovalClass, RetryClass
from contracts.verdicts import Effect
from domain.text import clip, escaped, for_models, listing
from domain.tools.registry import ToolSpec
from infra.files.confined_root import ConfinedRoot, PathRefused
from infra.files.ripgrep import PatternRefused, Ripgrep, RipgrepMissingError
from infra.files.search import SearchResult, files_below, search
from infra.git.command import GitCommand

_MATCHES = 200
_LINE = 300
_SECONDS = 20
_GLOB = re.compile(r"[*?\[]")
_LINE_END = re.compile(r"(?<!\\)(?:\\\\)*(?:\n|\r|\\[nrR])")
_NEGATED_CLASS = re.compile(r"\[\^[^\]]*\]")


class SearchArguments(HumanInput):
    """Find lines that match a regular expression."""

    pattern: str = Field(min_length=1, max_length=1_000)
    path: str = Field(
        default=".",
        max_length=1_000,
        description="Folder, file or glob to search in; a glob without / counts in every folder.",
    )
    ignore_case: bool = False


async def execute(context: ToolContext, arguments: SearchArguments) -> ToolOutput:
    """Return matches as path:line:text, and what was not searched."""
    if "\0" in arguments.pattern + arguments.path:
        return failed("The search failed: a NUL character cannot be searched for.")
    if _LINE_END.search(_NEGATED_CLASS.sub("", arguments.pattern)):
        return failed(
            "The pattern is not understood: a match lies within one line. Search for one."
        )
    root, path, before = scratch.place_of(context, arguments.path.rstrip("/") or ".")
    try:
        ripgrep = Ripgrep(arguments.pattern, ignore_case=arguments.ignore_case)
        async with asyncio.timeout(_SECONDS):
            await ripgrep.check()
            names = await (_tmp_names if before else _names)(context, path)
            # Of /tmp the path was judged: rules about files speak of the worktree.
            allowed, closed = (names, {}) if before else guarding.searchable(context, names)
            found = await search(root, allowed, ripgrep)
    except PathRefused as error:
        return failed(f"Error: {error}")
    except PatternRefused as error:
        return failed(
            f"The pattern is not understood: {clip(for_models(str(error), 2_000), 1_000)}"
        )
    except RipgrepMissingError as error:
        return failed(f"Search does not work here ({error}): use run_command with grep.")
    except TimeoutError:
        return failed(f"The search took longer than {_SECONDS} s: narrow the path or the pattern.")
    left_out = {**found.not_searched, **{why: tuple(each) for why, each in closed.items()}}
    found = replace(found, not_searched=left_out)
    return ToolOutput(_shown(found, before, arguments.pattern))


async def _names(context: ToolContext, path: str) -> list[str]:
    """Return the files that a path means: tracked and new ones, ignored ones only by their name.

    Raises:
        PathRefused: it means none, and why.
    """
    worktree = context.worktree
    with ConfinedRoot(worktree.path) as root:
        is_folder = root.is_folder(path)  # refuses what is no path for tools
        fd = root.open(path, os.O_PATH)
    if fd is not None:
        os.close(fd)
    elif not _GLOB.search(path):
        raise PathRefused(f"There is no file or folder '{escaped(path)}': nothing was searched.")
    git = GitCommand(worktree.store / "worktrees" / worktree.name, work_tree=worktree.path)
    named = "." if plain_path(path) == "" else f":(literal){plain_path(path)}"
    if fd is None:
        named = f":(glob){path if '/' in path else f'**/{path}'}"
    listed = ("ls-files", "-z", "--cached", "--others")
    found = await git(*listed, "--exclude-standard", "--", named, reads=True)
    if not found.out and fd is not None:
        found = await git(*listed, "--", named, reads=True)
    names = {os.fsdecode(name).rstrip("/") for name in found.out.split(b"\0") if name}
    if fd is None and not names:
        raise PathRefused(f"No file matches '{escaped(path)}': nothing was searched.")
    return sorted(names) if is_folder or names or fd is None else [plain_path(path)]


async def _tmp_names(context: ToolContext, path: str) -> list[str]:
    """Return the files below a path of the scratch folder.

    Raises:
        PathRefused: there is none.
    """
    with ConfinedRoot(context.worktree.scratch) as root:
        root.is_folder(path)
        fd = root.open(path, os.O_PATH)
    if fd is None:
        lost = f" {scratch.LOST}" if scratch.was_lost(context) else ""
        shown = escaped(f"{scratch.TMP}/{path}")
        raise PathRefused(f"There is no file or folder '{shown}': nothing was searched.{lost}")
    os.close(fd)
    return await asyncio.to_thread(files_below, context.worktree.scratch, path)


def _shown(found: SearchResult, before: str, pattern: str) -> str:
    shown = [
        clip(f"{before}{escaped(each.path)}:{each.number}:{_on_one_line(each.text)}", _LINE)
        for each in found.lines[:_MATCHES]
    ]
    rest = len(found.lines) - len(shown)
    if rest > 0:
        shown.append(f"… and {'at least ' if found.cut else ''}{rest} more matches")
    elif found.cut:
        shown.append("… and more matches")
    if not shown:
        files = "1 file" if found.searched == 1 else f"{found.searched:,} files"
        shown.append(f"No matches in {files}.")
        if r"\|" in pattern:
            shown.append(r"[\| is the character | here: write a|b for a or b]")
    return "\n".join([*shown, *_notes(found, before)])


def _on_one_line(text: str) -> str:
    return for_models(text, len(text)).replace("\n", " ")


def _notes(found: SearchResult, before: str) -> Sequence[str]:
    """Return where was not looked."""
    notes = [
        f"[not searched, {reason}: {listing(tuple(before + escaped(n) for n in names), most=3)}]"
        for reason, names in sorted(found.not_searched.items())
    ]
    if found.problems:
        notes.append(f"[not searched to the end: {clip(for_models(found.problems, 2_000), 500)}]")
    return notes


TOOL = Tool(
    ToolSpec(
        name="search",
        description="Find lines that match a regular expression (ripgrep's, with lookaround) in "
        "the text files of the repository that git does not ignore, or of /tmp. Returns "
        "path:line:text, at most 200 matches, and what was not searched.",
        arguments=SearchArguments,
        effect=Effect.READ,
        retry=RetryClass.PURE,
        approval=ApprovalClass.FREE,
        subject="pattern",
        example={"pattern": "def main", "path": "src"},
    ),
    execute,
)
