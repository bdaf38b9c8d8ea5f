"""What a tool is: its specification, and what carries it out in a worktree.

A file of this folder that defines TOOL is a tool; `docs/extending.md` shows how to add one.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Annotated, Any

from pydantic import Field

from activities.memory import AgentMemories
from contracts.planning import WriteScope
from contracts.setup import WantedSetup
from contracts.tools import ToolOutcome
from domain.policy.judge import Policy
from domain.tools.registry import ToolSpec
from infra.commands import CommandRunner
from infra.kept.history import History
from infra.store import Batch, Store
from infra.worktrees.handle import WorktreeHandle

Seen = dict[str, str]
"""What the agent knows of each file, by path (`domain/editing/seen.py`), and of its /tmp."""

RelativePath = Annotated[
    str, Field(max_length=1_000, description="Path relative to the repository root.")
]


@dataclass
class ToolOutput:
    """What one call did.

    Attributes:
        text: for the model.
        checkpoint: the worktree's new state, None when it did not change.
        attachments: object ids kept with the journal entry, by name.
        left_out: for people, what of the worktree the checkpoint does not hold; "" for nothing,
            None when the call did not look.
        setup: what has to be installed first: the call is made again then, and must have changed
            nothing.
    """

    text: str
    outcome: ToolOutcome = ToolOutcome.DONE
    checkpoint: str | None = None
    attachments: dict[str, str] = field(default_factory=dict)
    left_out: str | None = None
    setup: WantedSetup | None = None


@dataclass(frozen=True)
class ToolContext:
    """What a call works with.

    Attributes:
        worktree: open, at the checkpoint `expected`; read-only for a tool that reads.
        seen: changed by the tool, and recorded after the call.
        batch: objects that are written together with the journal entry.
        environment: object id of the request's execution environment.
        commands: runs commands in the sandbox.
        memories: as the agent may see them.
        request_key: of the agent's request.
        installed_ref: names what the setup came to for which this call asked; "" for reads.
        scope: by what undeclared paths are judged that the call changes; None when none are.
        policy: by what its calls are judged.
        history: the agent's past; None where its dispatcher does not name its conversation.
    """

    worktree: WorktreeHandle
    store: Store
    seen: Seen
    batch: Batch
    expected: str
    environment: str
    commands: CommandRunner
    memories: AgentMemories
    policy: Policy
    request_key: str = ""
    installed_ref: str = ""
    scope: WriteScope | None = None
    history: History | None = None


@dataclass(frozen=True)
class Tool:
    """One tool.

    Attributes:
        execute: carries a call out, its arguments an instance of `spec.arguments`. Expected
            failures are outputs; an exception means that the attempt is to be repeated.
    """

    spec: ToolSpec
    execute: Callable[[ToolContext, Any], Awaitable[ToolOutput]]


def failed(text: str) -> ToolOutput:
    """Return the output of a call that could not do what it was asked."""
    return ToolOutput(text, ToolOutcome.FAILED)


def plain_path(path: str) -> str:
    """Return a path in the one form in which trees name it and the record of viewed files does."""
    return "/".join(part for part in path.split("/") if part not in {"", "."})
