"""From what a person typed to an exit code."""

import asyncio
import contextlib
import signal
import threading
from collections.abc import Iterator, Sequence

from cli.commands import answer, look, reconcile, run
from cli.context import CliContext
from cli.exit_codes import ExitCode, ServiceUnavailable, UsageError
from cli.parser import (
    AddNote,
    Cancel,
    Command,
    ListRequests,
    Reconcile,
    Respond,
    Run,
    Status,
    Up,
    Watch,
    parse,
)
from runtime.errors import SettingsError, SetupError
from runtime.services.process_supervisor import supervise
from runtime.settings import load


def main(words: Sequence[str], around: CliContext) -> ExitCode:
    """
    Carry out what a person typed and return how it ended.

    Problems are told in one sentence on standard error.
    """
    command = parse(words)
    try:
        return asyncio.run(execute(command, around))
    except (UsageError, SettingsError) as problem:
        around.tell(f"orchestcode: {problem}")
        return ExitCode.USAGE
    except (ServiceUnavailable, SetupError) as problem:
        around.tell(f"orchestcode: {problem}")
        return ExitCode.FAILED
    except (KeyboardInterrupt, asyncio.CancelledError):
        around.tell("orchestcode: interrupted.")
        return ExitCode.WAITING


async def execute(command: Command, around: CliContext) -> ExitCode:
    """
    Carry out one command.

    Raises:
        UsageError: it cannot be carried out as given.
        ServiceUnavailable: the server answers no more.
        SetupError: server or worker cannot be brought up.
    """
    if isinstance(command, Up):
        settings = load(around.environ)
        unused = command.until_unused
        return ExitCode(await supervise(settings, until_unused=unused, announce=around.tell))
    with _ended_like_ctrl_c(signal.SIGTERM):
        return await _dispatch(command, around)


async def _dispatch(
    command: Run | Watch | Status | ListRequests | Respond | AddNote | Cancel | Reconcile,
    around: CliContext,
) -> ExitCode:
    match command:
        case Run():
            return await run.run(command, around)
        case Watch():
            return await run.watch(command, around)
        case Status():
            return await look.status(command, around)
        case ListRequests():
            return await look.list_requests(command, around)
        case Respond():
            return await answer.respond(command, around)
        case AddNote():
            return await answer.note(command, around)
        case Cancel():
            return await answer.cancel(command, around)
        case Reconcile():
            return await reconcile.reconcile(command, around)


@contextlib.contextmanager
def _ended_like_ctrl_c(number: signal.Signals) -> Iterator[None]:
    """Let a signal end the command as Ctrl-C does: in order, and saying what goes on."""
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
