"""Tools: how calls are dispatched, and what they come to; a tool is a file of activities/tools."""

from abc import ABC, abstractmethod
from enum import StrEnum
from typing import Final

from pydantic import Field
from temporalio import activity

from contracts.base import Contract, HumanInput, ObjectId, ShortText
from contracts.planning import WriteScope
from contracts.setup import WantedSetup
from contracts.store import RepositoryRef
from contracts.worktrees import WorktreeLease

FINISH: Final = "finish"
"""The tool by which every agent hands in its work; its arguments are the role's output."""


HISTORY: Final = frozenset({"history_read", "history_search"})
"""The tools that read an agent's past."""

MOST_LEFT_OUT: Final = 600
"""Characters of what a checkpoint left out, as people are told."""


class RetryClass(StrEnum):
    """What a repeated attempt of a call does."""

    PURE = "pure"
    """Reads only: repeat at will."""
    JOURNALED = "journaled"
    """Keyed by the call id: a repeat returns the recorded outcome or starts from the checkpoint."""


class ApprovalClass(StrEnum):
    """What stands between a call and its effect: which rules judge it."""

    FREE = "free"
    """Confined to the agent's own worktree and changing nothing that runs elsewhere: allowed."""
    PATH = "path"
    """Its subject is a path that it changes: protected paths ask, unsafe ones are denied."""
    COMMAND = "command"
    """Its subject is a command that runs in the sandbox."""
    ASK = "ask"
    """A person decides on each call."""
    SETUP = "setup"
    """It installs dependencies: a person decides once it is known of what content."""


class CoderFinish(HumanInput):
    """Say that the task is done, or why it cannot be. The system runs the acceptance commands."""

    summary: str = Field(min_length=1, max_length=4_000, description="What changed, and why.")
    commit_title: str = Field(default="", max_length=120, description="One line, imperative.")
    no_change: str = Field(
        default="",
        max_length=2_000,
        description="Only when nothing has to change: why, with what shows it.",
    )
    undoes: str = Field(
        default="",
        max_length=1_000,
        description="Only when the system says that the change undoes landed work, or has lost "
        "lines of your own: why it must.",
    )
    blocked: str = Field(
        default="",
        max_length=1_000,
        description="Only when the task cannot be done as it stands: why. Alone, it ends the task.",
    )
    cannot_pass: tuple[str, ...] = Field(
        default=(),
        max_length=12,
        description="With `blocked`: acceptance commands that cannot pass whatever you change.",
    )
    needs_paths: tuple[str, ...] = Field(
        default=(),
        max_length=12,
        description="With `blocked`: paths that the task does not name and must change.",
    )


class CallApproval(Contract):
    """What a person has approved of one call; by default nothing.

    Attributes:
        digest: of the call as they saw it: `domain.approvals.calls.digest_of`.
        checkpoint: the worktree's state when they were asked.
        rules: that the question offered.
    """

    digest: str = ""
    checkpoint: ObjectId | None = None
    rules: tuple[ShortText, ...] = ()


class ToolCall(Contract):
    """One call that acts in a worktree.

    Attributes:
        task_ref: `<task>` part of the call's ref names: a task id, or "planner".
        call_id: names the call for ever; the journal's key.
        expected: the checkpoint that the worktree must hold before the call.
        arguments: object id of the validated JSON arguments.
        seen: object id of the agent's record of file digests, None before the first.
        scope: by what undeclared paths are judged that a call changes: of an edit what speaks of
            its path, of a command and a patch all; None for all others.
        approval: what a person approved of it; None in histories from before 2026-12, where that is
            not looked at again.
    """

    repository: RepositoryRef
    lease: WorktreeLease
    task_ref: str
    call_id: str
    tool: str
    expected: ObjectId
    arguments: ObjectId
    seen: ObjectId | None = None
    scope: WriteScope | None = None
    approval: CallApproval | None = None


class ReadCall(Contract):
    """The read-only calls of one turn, answered together.

    Attributes:
        calls: (tool_use_id, tool, arguments).
        conversation: of the agent, for tools that read its past; "" of all others.
        approvals: what a person approved of the calls that asked, by tool_use_id; None in histories
            from before 2026-12.
    """

    repository: RepositoryRef
    lease: WorktreeLease
    task_ref: str
    expected: ObjectId
    calls: tuple[tuple[str, str, ObjectId], ...]
    seen: ObjectId | None = None
    conversation: str = ""
    approvals: tuple[tuple[str, CallApproval], ...] | None = None


class ToolOutcome(StrEnum):
    """How a tool call ended."""

    DONE = "done"
    FAILED = "failed"
    TIMED_OUT = "timed_out"
    DENIED = "denied"


class ToolResult(Contract):
    """What one call came to.

    Attributes:
        call_id: the model's tool_use id for reads, the journal's call id for writes.
        output: object id of the text for the model.
        preview: its beginning, one line, for people.
        checkpoint: the worktree's state after a write, None for reads.
        left_out: what of the worktree the checkpoint does not hold, for people; "" for nothing,
            None when the call did not look.
        setup: what has to be installed before the call can be answered: once it is, the call is
            made again. Nothing is recorded of it until then.
    """

    call_id: str
    outcome: ToolOutcome
    output: ObjectId
    preview: str = Field(default="", max_length=200)
    checkpoint: ObjectId | None = None
    seen: ObjectId | None = None
    left_out: str | None = Field(default=None, max_length=MOST_LEFT_OUT)
    setup: WantedSetup | None = None


class ReadResults(Contract):
    """Results of a ReadCall in its order, and the record of file digests after them."""

    results: tuple[ToolResult, ...]
    seen: ObjectId | None = None


class ToolActivities(ABC):
    """An agent's tool calls in its worktree; task queue `host/<host-id>`."""

    @activity.defn
    @abstractmethod
    async def read_files(self, request: ReadCall) -> ReadResults:
        """Answer the read-only calls of one turn."""

    @activity.defn
    @abstractmethod
    async def apply_edit(self, request: ToolCall) -> ToolResult:
        """Change one file and checkpoint the worktree."""

    @activity.defn
    @abstractmethod
    async def run_command(self, request: ToolCall) -> ToolResult:
        """Run one command in the sandbox and checkpoint the worktree."""

    @activity.defn
    @abstractmethod
    async def call_tool(self, request: ToolCall) -> ToolResult:
        """Carry out a tool that writes, by its name, and checkpoint the worktree."""
