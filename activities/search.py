"""
Searching a worktree: git's own grep, which follows no link and reads no ignored file.
"""

from activities.git_command import GitCommand, GitError
from activities.worktree.pool import Place
from contracts.tool import SearchArguments
from domain.text import clip, for_people

_MATCHES = 200
_LINE = 300
_SECONDS = 20


async def search(place: Place, arguments: SearchArguments) -> tuple[str, bool]:
    """
    Return matches as path:line:text, and whether the search could be made.
    """
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
            "grep",
            *options,
            "-e",
            arguments.pattern,
            "--",
            where,
            ok=(0, 1),
            reads=True,
            timeout_seconds=_SECONDS,
        )
    except GitError as error:
        return f"The search failed: {clip(for_people(error.stderr), 500)}", False
    except TimeoutError:
        return f"The search took longer than {_SECONDS} s: narrow the path or the pattern.", False
    lines = found.out.decode("utf-8", "replace").splitlines()
    if not lines:
        return "No matches.", True
    shown = [clip(for_people(line), _LINE) for line in lines[:_MATCHES]]
    rest = len(lines) - len(shown)
    return "\n".join([*shown, *([f"… and {rest} more matches"] if rest > 0 else [])]), True
