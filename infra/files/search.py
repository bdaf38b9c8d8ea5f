"""Searching a worktree: git's own grep, which follows no link and reads no ignored file."""

from contracts.tools import SearchArguments
from domain.text import clip, for_people
from infra.git.command import GitCommand, GitError, GitKilledError, GitTimeoutError
from infra.worktrees.pool import WorktreeHandle

_MATCHES = 200
_LINE = 300
_BYTES = 1_000_000
_SECONDS = 20


async def search(place: WorktreeHandle, arguments: SearchArguments) -> tuple[str, bool]:
    """Return matches as path:line:text, and whether the search could be made."""
    if "\0" in arguments.pattern + arguments.path:
        return "The search failed: a NUL character cannot be searched for.", False
    git = GitCommand(place.store / "worktrees" / place.name, work_tree=place.path)
    options = [
        "-n",
        "-I",
        "-E",
        "--untracked",
        "--no-color",
        "--full-name",
        "--no-recurse-submodules",
    ]
    options += ["-i"] if arguments.ignore_case else []
    where = f":(literal){arguments.path}" if arguments.path not in {"", ".", "./"} else "."
    try:
        found = await git(
            *("-c", "core.quotePath=false", "grep"),
            *options,
            "-e",
            arguments.pattern,
            "--",
            where,
            ok=(0, 1),
            reads=True,
            timeout_seconds=_SECONDS,
            max_bytes=_BYTES,
        )
    except GitTimeoutError:
        return f"The search took longer than {_SECONDS} s: narrow the path or the pattern.", False
    except GitKilledError:
        raise  # no answer for the agent: it is searched again
    except GitError as error:
        return f"The search failed: {clip(for_people(error.stderr), 500)}", False
    return _shown(found.out, cut=found.truncated), True


def _shown(out: bytes, *, cut: bool) -> str:
    lines = out.decode("utf-8", "replace").removesuffix("\n").split("\n")
    if lines == [""]:
        return "No matches."
    shown = [clip(for_people(line), _LINE) for line in lines[:_MATCHES]]
    rest = len(lines) - len(shown)
    more = [f"… and {'at least ' if cut else ''}{rest} more matches"] if rest > 0 else []
    return "\n".join([*shown, *(more or (["… and more matches"] if cut else []))])
