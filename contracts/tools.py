"""Tools: what a model may call, the arguments of each, and what a call comes to."""

from enum import StrEnum
from typing import Annotated, Literal

from pydantic import Field

from contracts.base import Contract, HumanInput, ObjectId
from contracts.store import RepositoryRef
from contracts.worktrees import WorktreeLease


class ToolName(StrEnum):
    """Every tool by the name the model uses."""

    VIEW = "view"
    SEARCH = "search"
    EDIT = "edit"
    RUN_COMMAND = "run_command"
    FINISH = "finish"


class Effect(StrEnum):
    """What a tool may change, which decides how its calls are dispatched."""

    READ = "read"
    """Changes nothing; the calls of one turn go in one activity."""
    WRITE = "write"
    """Changes the worktree; one activity a call, in order, each followed by a checkpoint."""
    END = "end"
    """Ends the agent's work; nothing is run."""


class RetryClass(StrEnum):
    """What a repeated attempt of a call does."""

    PURE = "pure"
    """Reads only: repeat at will."""
    JOURNALED = "journaled"
    """Keyed by the call id: a repeat returns the recorded outcome or starts from the checkpoint."""


class ApprovalClass(StrEnum):
    """What stands between a call and its effect."""

    FREE = "free"
    """Confined to the agent's own worktree: no question."""
    BY_SUBJECT = "by_subject"
    """domain.approvals.rules judges the call's subject: allow, ask or deny."""


_Path = Annotated[str, Field(max_length=1_000, description="Path relative to the repository root.")]


class ViewArguments(HumanInput):
    """Show a file with line numbers, or list a folder."""

    path: _Path
    view_range: list[int] | None = Field(
        default=None,
        min_length=2,
        max_length=2,
        description="First and last line, counting from 1; -1 as last means the end.",
    )


class SearchArguments(HumanInput):
    """Find lines that match an extended regular expression."""

    pattern: str = Field(min_length=1, max_length=1_000, description="Extended regular expression.")
    path: str = Field(default=".", max_length=1_000, description="Folder or file to search in.")
    ignore_case: bool = False


class EditArguments(HumanInput):
    """Change one file: create it, replace one exact and unique text, or insert after a line."""

    command: Literal["create", "str_replace", "insert"]
    path: _Path
    file_text: str | None = Field(default=None, description="create: the whole content.")
    old_str: str | None = Field(default=None, description="str_replace: text that occurs once.")
    new_str: str | None = Field(default=None, description="str_replace: what takes its place.")
    insert_line: int | None = Field(default=None, ge=0, description="insert: 0 is the top.")
    insert_text: str | None = Field(default=None, description="insert: the text.")


class RunCommandArguments(HumanInput):
    """Run a shell command in the sandbox, in the repository root."""

    command: str = Field(min_length=1, max_length=20_000, description="A bash command line.")
    timeout_seconds: int = Field(default=120, ge=1, le=1_200)


class CoderFinish(HumanInput):
    """Say that the task is done. The system checks it by running the acceptance commands."""

    summary: str = Field(min_length=1, max_length=4_000, description="What changed, and why.")
    commit_title: str = Field(default="", max_length=120, description="One line, imperative.")


class ToolCall(Contract):
    """
    One call that acts in a worktree.

    Attributes:
        task_ref: `<task>` part of the call's ref names: a task id, or "planner".
        call_id: names the call for ever; the journal's key.
        expected: the checkpoint that the worktree must hold before the call.
        arguments: object id of the validated JSON arguments.
        seen: object id of the agent's record of file digests, None before the first.
    """

    repository: RepositoryRef
    lease: WorktreeLease
    task_ref: str
    call_id: str
    tool: ToolName
    expected: ObjectId
    arguments: ObjectId
    seen: ObjectId | None = None


class ReadCall(Contract):
    """The read-only calls of one turn, answered together: (tool_use_id, tool, arguments)."""

    repository: RepositoryRef
    lease: WorktreeLease
    task_ref: str
    expected: ObjectId
    calls: tuple[tuple[str, ToolName, ObjectId], ...]
    seen: ObjectId | None = None


class ToolOutcome(StrEnum):
    """How a tool call ended."""

    DONE = "done"
    FAILED = "failed"
    TIMED_OUT = "timed_out"
    DENIED = "denied"


class ToolResult(Contract):
    """
    What one call came to.

    Attributes:
        call_id: the model's tool_use id for reads, the journal's call id for writes.
        output: object id of the text for the model.
        preview: its beginning, one line, for people.
        checkpoint: the worktree's state after a write, None for reads.
        seen: the agent's record of file digests after the call.
    """

    call_id: str
    outcome: ToolOutcome
    output: ObjectId
    preview: str = Field(default="", max_length=200)
    checkpoint: ObjectId | None = None
    seen: ObjectId | None = None


class ReadResults(Contract):
    """Results of a ReadCall in its order, and the record of file digests after them."""

    results: tuple[ToolResult, ...]
    seen: ObjectId | None = None
