"""search: git's own grep over a worktree, which follows no link and reads no ignored file."""

from pydantic import Field

from activities.tools.tool import Tool, ToolContext, ToolOutput, failed
from contracts.base import HumanInput
from contracts.tools import ApprovalClass, RetryClass
from contracts.verdicts import Effect
from domain.text import clip, for_people
from domain.tools.registry import ToolSpec
from infra.git.command import GitCommand, GitError, GitKilledError, GitTimeoutError

_MATCHES = 200
_LINE = 300
_BYTES = 1_000_000
_SECONDS = 20


class SearchArguments(HumanInput):
    """Find lines that match an extended regular expression."""

    pattern: str = Field(min_length=1, max_length=1_000, description="Extended regular expression.")
    path: str = Field(default=".", max_length=1_000, description="Folder or file to search in.")
    ignore_case: bool = False


async def execute(context: ToolContext, arguments: SearchArguments) -> ToolOutput:
    """Return matches as path:line:text."""
    worktree = context.worktree
    if "\0" in arguments.pattern + arguments.path:
        return failed("The search failed: a NUL character cannot be searched for.")
    git = GitCommand(worktree.store / "worktrees" / worktree.name, work_tree=worktree.path)
    options = ["-nIE", "--untracked", "--no-color", "--full-name", "--no-recurse-submodules"]
    options += ["-i"] if arguments.ignore_case else []
    where = f":(literal){arguments.path}" if arguments.path not in {"", ".", "./"} else "."
    words = ("-c", "core.quotePath=false", "grep", *options, "-e", arguments.pattern, "--", where)
    try:
        found = await git(*words, ok=(0, 1), reads=True, timeout_seconds=_SECONDS, max_bytes=_BYTES)
    except GitTimeoutError:
        return failed(f"The search took longer than {_SECONDS} s: narrow the path or the pattern.")
    except GitKilledError:
        raise  # no answer for the agent: the search is repeated
    except GitError as error:
        return failed(f"The search failed: {clip(for_people(error.stderr), 500)}")
    return ToolOutput(_shown(found.out, cut=found.truncated))


def _shown(out: bytes, *, cut: bool) -> str:
    lines = out.decode("utf-8", "replace").removesuffix("\n").split("\n")
    if lines == [""]:
        return "No matches."
    shown = [clip(for_people(line), _LINE) for line in lines[:_MATCHES]]
    rest = len(lines) - len(shown)
    if rest > 0:
        shown.append(f"… and {'at least ' if cut else ''}{rest} more matches")
    elif cut:
        shown.append("… and more matches")
    return "\n".join(shown)


TOOL = Tool(
    ToolSpec(
        name="search",
        description="Find lines that match an extended regular expression in text files. Returns "
        "path:line:text, at most 200 matches.",
        arguments=SearchArguments,
        effect=Effect.READ,
        retry=RetryClass.PURE,
        approval=ApprovalClass.FREE,
        subject="pattern",
    ),
    execute,
)
