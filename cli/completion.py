"""The completion of commands, options and choices; cyclopts makes it of the commands themselves."""

from enum import StrEnum

from cyclopts import App, Parameter

from cli.command import load_command
from cli.command_files import group_summary, is_group, summaries
from cli.program import INSTALLED

_ONLY_AS_NAMED = Parameter(negative=())


class Shell(StrEnum):
    """The shells that completion is made for."""

    BASH = "bash"
    ZSH = "zsh"
    FISH = "fish"


def completion(shell: Shell) -> str:
    """Return the script that a shell reads to complete what is typed after `orchestcode`."""
    return _app().generate_completion(prog_name=INSTALLED, shell=shell.value)


def _app(group: tuple[str, ...] = ()) -> App:
    """Return the commands of a group as an application, which is described and never run."""
    app = App(
        name=group[-1] if group else INSTALLED,
        help=group_summary(group),
        version_flags=() if group else "--version",
        default_parameter=_ONLY_AS_NAMED,
    )
    for word, summary in summaries(group).items():
        name = (*group, word)
        if is_group(name):
            app.command(_app(name))
        else:
            app.command(load_command(name).command, name=word, help=summary)
    return app
