"""What a tool call may change, and whether it may be run."""

from enum import StrEnum

from contracts.base import Contract, PathText, ShortText


class Effect(StrEnum):
    """What a tool may change, which decides how its calls are dispatched."""

    READ = "read"
    """Changes nothing; the calls of one turn go in one activity."""
    WRITE = "write"
    """Changes the worktree; one activity a call, in order, each followed by a checkpoint."""
    END = "end"
    """Ends the agent's work; nothing is run."""


class Permission(StrEnum):
    """What the rules say of a tool call."""

    ALLOW = "allow"
    ASK = "ask"
    """A person decides."""
    DENY = "deny"
    """It is not run; the model reads the reason and can do something else."""


class CallVerdict(Contract):
    """The judgement of one tool call: by which rule, and in a sentence why it asks or denies.

    Attributes:
        offers: of a call that asks: the rules that would allow it, and others like it, for the rest
            of its request; empty where no rule of a person can.
    """

    permission: Permission = Permission.ALLOW
    rule: str
    reason: ShortText = ""
    offers: tuple[ShortText, ...] = ()


class PathVerdict(CallVerdict):
    """The judgement of one path that a task asks to change."""

    path: PathText
