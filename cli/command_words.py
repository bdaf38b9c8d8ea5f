"""What a person may type: ids and command lines; nothing heavy is imported."""

from domain.ids import REQUEST_PREFIX
from domain.text import shell_word


def short_id(workflow_id: str) -> str:
    """Return what a person may type instead of the whole workflow id."""
    return workflow_id.removeprefix(REQUEST_PREFIX)


def command_line(program: str, verb: str, *words: str) -> str:
    """Return a command line, quoted for the shell."""
    return " ".join([program, verb, *map(shell_word, words)])


def start_command(program: str) -> str:
    """Return the command that has server and worker run in the background."""
    return f"{program} up --detach"
