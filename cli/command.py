"""One command: imported once it is chosen, run in an event loop of its own."""

import asyncio
import contextlib
import importlib
import inspect
import signal
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from cli.command_files import module_name
from cli.command_line import CommandFunction, CommandLine
from cli.context import CliContext
from cli.exit_codes import ExitCode
from cli.help_pages import PROGRAM, command_page


@dataclass(frozen=True)
class Command:
    """A command that a person has chosen.

    Attributes:
        name: its words.
        about: its description and examples, the docstring of its module.
        function: executes it.
    """

    name: tuple[str, ...]
    about: str
    function: CommandFunction

    async def run(self, words: Sequence[str], context: CliContext) -> ExitCode:
        """Execute the command with the words that follow its name, or show its help page.

        Raises:
            UsageError: it cannot be carried out as given.
            ServiceUnavailable: the server or every worker does not answer.
            SetupError: server or worker cannot be started.
        """
        command_line = CommandLine(self.function, program=" ".join([PROGRAM, *self.name]))
        if command_line.asks_for_help(words):
            context.print_out(command_page(self.name, self.about, command_line.arguments))
            return ExitCode.DELIVERED
        bound = command_line.parse(words)
        return await self.function(*bound.args, **bound.kwargs, context=context)


def load_command(name: tuple[str, ...]) -> Command:
    """Import a command's module and return the command."""
    module = importlib.import_module(module_name(name))
    return Command(name, inspect.cleandoc(module.__doc__ or ""), module.command)


def execute(command: Command, words: Sequence[str], context: CliContext) -> ExitCode:
    """Execute a command to its end.

    Raises:
        KeyboardInterrupt: it was interrupted and did not handle that itself.
    """
    try:
        return asyncio.run(_execute(command, words, context))
    except asyncio.CancelledError:
        raise KeyboardInterrupt from None


async def _execute(command: Command, words: Sequence[str], context: CliContext) -> ExitCode:
    with _cancelled_by(signal.SIGTERM):
        return await command.run(words, context)


@contextlib.contextmanager
def _cancelled_by(number: signal.Signals) -> Iterator[None]:
    """Cancel the current task at a signal, so that the command ends in order."""
    task = asyncio.current_task()
    loop = asyncio.get_running_loop()
    if task is None or threading.current_thread() is not threading.main_thread():
        yield
        return
    loop.add_signal_handler(number, task.cancel)
    try:
        yield
    finally:
        loop.remove_signal_handler(number)
