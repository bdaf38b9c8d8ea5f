"""How a command ends: its exit code, and the errors that end it with one sentence."""

from enum import IntEnum


class ExitCode(IntEnum):
    """What the shell sees."""

    DELIVERED = 0
    """The branch is delivered; for commands that only look or answer: they did."""
    FAILED = 1
    """The request ended without a delivered branch."""
    USAGE = 2
    """The command line, or what it asks for, cannot be carried out as given."""
    WAITING = 3
    """The request is not finished: detached or interrupted."""


class UsageError(Exception):
    """The input cannot be carried out; the text is one sentence that says what to change."""


class ServiceUnavailable(Exception):  # noqa: N818 - named for what happened
    """The server or every worker does not answer; the text says which."""
