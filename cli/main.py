"""From what a person typed to an exit code.

What a command needs is imported once the command is known, so that `--help` answers at once.
"""

import contextlib
import difflib
from collections.abc import Sequence

from cli.command_files import is_group, split_command, summaries
from cli.context import CliContext
from cli.exit_codes import ExitCode, ServiceUnavailable, UsageError
from cli.formatting import clean
from cli.help_pages import HELP_FLAGS, PROGRAM, group_page
from runtime.errors import SettingsError, SetupError


def main(words: Sequence[str], context: CliContext) -> ExitCode:
    """Execute what a person typed and return the exit code; an error is one line on stderr."""
    try:
        return _execute(words, context)
    except (UsageError, SettingsError) as error:
        context.print_err(f"orchestcode: {error}")
        return ExitCode.USAGE
    except (ServiceUnavailable, SetupError) as error:
        context.print_err(f"orchestcode: {error}")
        return ExitCode.FAILED
    except KeyboardInterrupt:
        context.print_err("orchestcode: interrupted.")
        return ExitCode.WAITING
    except BrokenPipeError:
        # The reader of the output has closed it, as `head` does; nothing more can be flushed.
        with contextlib.suppress(BrokenPipeError):
            context.stdout.close()
        return ExitCode.FAILED


def _execute(words: Sequence[str], context: CliContext) -> ExitCode:
    name, rest = split_command(words)
    if is_group(name):
        return _show_group(name, rest, context)
    from cli.command import execute  # noqa: PLC0415 - only a known command pays

    return execute(name, rest, context)


def _show_group(group: tuple[str, ...], rest: Sequence[str], context: CliContext) -> ExitCode:
    """Show the help page of a group of commands, or refuse words that name none of them."""
    hint = f"(see {' '.join([PROGRAM, *group])} --help)"
    match rest:
        case [flag, *_] if flag in HELP_FLAGS:
            context.print_out(group_page(group))
            return ExitCode.DELIVERED
        case [word, *_] if not word.startswith("-"):
            closest = difflib.get_close_matches(word, summaries(group), n=1)
            meant = f"; did you mean {closest[0]}?" if closest else ""
            raise UsageError(f"there is no command {clean(word, 80)}{meant} {hint}")
        case _:
            raise UsageError(f"the COMMAND is missing {hint}")
