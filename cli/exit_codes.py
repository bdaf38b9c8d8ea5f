"""How a command ends: its exit code, and the sentence when it is refused."""

from enum import IntEnum

from contracts.visibility import RunState


class ExitCode(IntEnum):
    """What the shell sees."""

    DELIVERED = 0
    """The branch is delivered; for commands that only look or answer: they did."""
    FAILED = 1
    """The request ended without a delivered branch."""
    USAGE = 2
    """The command line, or what it asks for, cannot be carried out as given."""
    WAITING = 3
    """The request is not finished: detached or interrupted, it waits for a person to come back."""


class UsageError(Exception):
    """
    The person's input cannot be carried out; the text is one sentence that says what to change.
    """


class ServiceUnavailable(Exception):  # noqa: N818 - named for what happened
    """Nobody answers just now: the server or every worker is away. The text says which."""


def exit_code(state: RunState, *, refused: bool) -> ExitCode:
    """
    Return the exit code of a request in `state`.

    Args:
        state: of the request.
        refused: it failed because the person's input cannot be carried out.
    """
    if refused:
        return ExitCode.USAGE
    if state is RunState.DONE:
        return ExitCode.DELIVERED
    if state in (RunState.FAILED, RunState.CANCELLED):
        return ExitCode.FAILED
    return ExitCode.WAITING
