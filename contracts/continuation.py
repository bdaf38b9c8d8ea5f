"""Going on from a turn: the files and the conversation of a task's agent as they were after it."""

from enum import StrEnum
from typing import Final

from pydantic import Field

from contracts.agent import AgentConfig
from contracts.base import Contract, HumanInput, ObjectId, TaskId
from contracts.model import ToolAnswer
from contracts.store import ConversationRef, RepositoryRef

MOST_WORDS: Final = 4_000
"""Characters of what a person says to an agent that goes on from a turn."""


class TakenOver(HumanInput):
    """What a person made of a task's files that were handed to them.

    Attributes:
        folder: the git repository in which they worked, on the worker's host.
        commit: its commit that holds what they made.
    """

    folder: str = Field(min_length=1, max_length=4_000)
    commit: ObjectId


class HandOff(HumanInput):
    """A person's wish to work on a task's files themselves; `code`: where answers need one."""

    task: TaskId
    code: str = Field(default="", max_length=100)


class HandOffReceipt(Contract):
    """A task's agent has stopped; `checkpoint` is the state of its files."""

    message: str
    checkpoint: ObjectId


class TurnChoice(HumanInput):
    """A person's choice of the turn from which a task's agent goes on.

    Attributes:
        task: whose turns these are.
        turn: the commit of the turn in its conversation's log; None = the last one that is sound.
        words: of the person, told to the agent first.
        fork: the id of a task of its own that goes on from there, beside `task`; None: the task
            itself goes back, and what it did after that turn is undone.
        taken: what a person made of the files since that turn.
        code: where answers need one.
    """

    task: TaskId
    turn: ObjectId | None = None
    words: str = Field(default="", max_length=MOST_WORDS)
    fork: TaskId | None = None
    taken: TakenOver | None = None
    code: str = Field(default="", max_length=100)


class ContinuationKind(StrEnum):
    """Why an agent goes on from a turn that need not be its last."""

    ROLLBACK = "rollback"
    FORK = "fork"
    REPAIR = "repair"
    """What came after it is damaged in the store."""
    TAKEN_OVER = "taken over"
    """A person has worked on its files."""


class ContinuesLog(Contract):
    """From where a conversation goes on with the log of another one, as the store notes it.

    Attributes:
        conversation: the other one.
        head: its last turn that counts here.
        checkpoint: the worktree's state after that turn.
        rounds: numbers of patches of its task that are taken.
        choice: which choice of the request's it was; what its first time came to stands.
        words: of the person.
        damage: what was found damaged, in words; "" for nothing.
    """

    conversation: str
    head: ObjectId
    checkpoint: ObjectId
    kind: ContinuationKind
    rounds: int = 0
    choice: str = ""
    words: str = ""
    damage: str = ""


class Continuation(Contract):
    """What a task's agent begins with that goes on from a turn.

    Attributes:
        conversation: a log of its own that ends with that turn.
        config: the agent's, as it was pinned.
        answers: to the calls of that turn.
        seen: the agent's record of file digests, as far as it is known.
        message: what the agent is told first.
    """

    conversation: ConversationRef
    config: AgentConfig | None = None
    answers: tuple[ToolAnswer, ...] = ()
    seen: ObjectId | None = None
    message: str = Field(default="", max_length=8_000)


class ContinueTask(Contract):
    """Ask for what a task goes on with from a turn.

    Attributes:
        parent: the workflow id below which the task runs from then on.
        before: how often it has begun already, with the attempt that is left.
        looks: only say whether it can be; nothing is written.
    """

    repository: RepositoryRef
    choice: TurnChoice
    parent: str
    before: int = 1
    looks: bool = False


MOST_ATTEMPTS: Final = 3_000
"""Characters of what a person is told that an agent has tried."""


class TellAttempts(Contract):
    """Ask what an agent has tried, as its ledger has it."""

    repository: RepositoryRef
    conversation: ConversationRef


class AttemptsTold(Contract):
    """Commands, failed calls and what the agent noted as tried; "" for nothing."""

    text: str = Field(default="", max_length=MOST_ATTEMPTS)


class TurnReceipt(Contract):
    """What became of a person's choice of a turn."""

    message: str
