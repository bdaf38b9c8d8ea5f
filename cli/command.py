"""One command: its module is imported once it is chosen, its function run in an event loop.

A word that begins with a dash is an option, unless it holds a blank, is a number or follows `--`.
"""

import asyncio
import difflib
import importlib
import inspect
import re
import signal
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from itertools import pairwise
from types import ModuleType

from cyclopts import App, ArgumentCollection, CycloptsError, Parameter
from cyclopts.exceptions import MissingArgumentError, UnusedCliTokensError

from cli.command_files import module_name
from cli.context import CliContext
from cli.exit_codes import ExitCode, UsageError
from cli.formatting import clean
from cli.help_pages import HELP_FLAGS, command_page, label, takes_value
from domain.text import NO_TEXT, is_text

_OPTION = re.compile(r"-(?!\d+$|\d*\.\d+$)\S+")
_ANY_PARAMETER = Parameter(negative=(), allow_leading_hyphen=True, allow_repeating=True)


def execute(name: Sequence[str], words: Sequence[str], context: CliContext) -> ExitCode:
    """Execute a command; KeyboardInterrupt when it does not handle an interruption itself."""
    try:
        return asyncio.run(_until_terminated(run_command(name, words, context)))
    except asyncio.CancelledError:
        raise KeyboardInterrupt from None


async def _until_terminated(command: Coroutine[object, object, ExitCode]) -> ExitCode:
    """Execute a command; SIGTERM cancels it, as Ctrl-C does, so that it ends in order."""
    task = asyncio.create_task(command)
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    return await task


def _check_texts(words: Sequence[str]) -> None:
    """Refuse what is no text; only a folder may have a name of any bytes."""
    for before, word in pairwise(["", *words]):
        if not is_text(word) and before != "--repo" and not word.startswith("--repo="):
            raise UsageError(f"{clean(word, 80)} {NO_TEXT}.")


async def run_command(name: Sequence[str], words: Sequence[str], context: CliContext) -> ExitCode:
    """Execute a command with the words that follow its name, or show its help page.

    Raises:
        UsageError: it cannot be carried out as given.
        ServiceUnavailable: the server or every worker does not answer.
        SetupError: server or worker cannot be started.
    """
    module = load_command(name)
    command_line = CommandLine(module.command, program=" ".join([context.name, *name]))
    if command_line.asks_for_help(words):
        about = inspect.getdoc(module) or ""
        page = command_page(name, about, command_line.arguments, program=context.name)
        context.print_out(page)
        return ExitCode.DELIVERED
    _check_texts(words)
    bound = command_line.parse(words)
    code: ExitCode = await module.command(*bound.args, **bound.kwargs, context=context)
    return code


def load_command(name: Sequence[str]) -> ModuleType:
    """Import a command's module: its docstring is the help page, its function `command`."""
    return importlib.import_module(module_name(name))


class CommandLine:
    """The command line that a function takes; cyclopts binds its words to the parameters.

    Attributes:
        arguments: the parameters that may be typed, described by the Args of its docstring.
    """

    def __init__(self, function: Callable[..., Awaitable[ExitCode]], *, program: str) -> None:
        self._program = program
        self._app = App(help_flags=(), version_flags=(), default_parameter=_ANY_PARAMETER)
        self._app.default(function)
        collection = self._app.assemble_argument_collection(parse_docstring=True)
        self.arguments: ArgumentCollection = collection.filter_by(parse=True)

    def asks_for_help(self, words: Sequence[str]) -> bool:
        """Whether a help flag stands among the words, anywhere before a `--`."""
        return not set(HELP_FLAGS).isdisjoint(_before_delimiter(words))

    def parse(self, words: Sequence[str]) -> inspect.BoundArguments:
        """Return the values of the function's parameters; UsageError when the words do not fit."""
        self._check_options(words)
        try:
            _, bound, _ = self._app.parse_args(words, exit_on_error=False, print_error=False)
        except CycloptsError as error:
            raise self._refused(_sentence(error)) from error
        return bound

    def _check_options(self, words: Sequence[str]) -> None:
        """Refuse an unknown option, and an option where a value is missing."""
        options = {name: argument for argument in self.arguments for name in argument.names}
        for before, word in pairwise(["", *_before_delimiter(words)]):
            if not _OPTION.fullmatch(word):
                continue
            name = word.partition("=")[0]
            if before in options and takes_value(options[before]):
                raise self._refused(f"the value of {label(options[before])} is missing")
            if name not in options:
                closest = difflib.get_close_matches(name, options, n=1)
                hint = f"; did you mean {closest[0]}?" if closest else ""
                raise self._refused(f"there is no option {clean(name, 80)}{hint}")

    def _refused(self, problem: str) -> UsageError:
        return UsageError(f"{problem} (see {self._program} --help)")


def _before_delimiter(words: Sequence[str]) -> Sequence[str]:
    """Return the words that may be options: those before a `--`."""
    return words[: words.index("--")] if "--" in words else words


def _sentence(error: CycloptsError) -> str:
    """Return what is wrong with a command line, and what to do."""
    argument = error.argument
    match error:
        case MissingArgumentError() if argument:
            missing = f"the value of {label(argument)}" if error.keyword else label(argument)
            return f"{missing} is missing"
        case UnusedCliTokensError(unused_tokens=[first, *_]):
            return f"{clean(first, 80)} is one word too many; quote a text that holds blanks"
        case _ if argument and error.msg:
            return f"{argument.name}: {clean(str(error.msg))}"
        case _:
            return clean(str(error)).removesuffix(".")
