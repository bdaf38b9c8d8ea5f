"""From what a person typed to an exit code.

What a command needs is imported once the command is known, so that `--help` answers at once.
"""

import contextlib
import difflib
import importlib
from collections.abc import Sequence
from pathlib import Path

from cli.command_files import is_group, split_command, summaries
from cli.context import CliContext
from cli.exit_codes import ExitCode, ServiceUnavailable, UsageError
from cli.formatting import clean
from cli.help_pages import HELP_FLAGS, group_page
from runtime.errors import SettingsError, SetupError

QUICK = Path(__file__).with_name("quick")


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
    code = _answer_at_once(name, rest, context)
    if code is not None:
        return code
    from cli.command import execute  # noqa: PLC0415 - only a known command pays

    return execute(name, rest, context)


def _answer_at_once(
    name: Sequence[str], rest: Sequence[str], context: CliContext
) -> ExitCode | None:
    """Have a quick form of the command answer; None where there is none, or it cannot."""
    if not QUICK.joinpath(*name).with_suffix(".py").is_file():
        return None
    module = importlib.import_module(".".join(["cli.quick", *name]))
    code: ExitCode | None = module.command(rest, context)
    return code


def _show_group(group: tuple[str, ...], rest: Sequence[str], context: CliContext) -> ExitCode:
    """Show the help page of a group of commands, or refuse words that name none of them."""
    hint = f"(see {' '.join([context.name, *group])} --help)"
    match rest:
        case [flag, *_] if flag in HELP_FLAGS:
            context.print_out(group_page(group, program=context.name))
            return ExitCode.DELIVERED
        case ["--version", *_] if not group:
            return _show_version(context)
        case [word, *_] if not word.startswith("-"):
            closest = difflib.get_close_matches(word, summaries(group), n=1)
            meant = f"; did you mean {closest[0]}?" if closest else ""
            raise UsageError(f"there is no command {clean(word, 80)}{meant} {hint}")
        case _:
            raise UsageError(f"the COMMAND is missing {hint}")


def _show_version(context: CliContext) -> ExitCode:
    from runtime.version import ROOT, code_version  # noqa: PLC0415 - only this pays

    context.print_out(f"orchestcode {code_version(ROOT)}")
    return ExitCode.DELIVERED
