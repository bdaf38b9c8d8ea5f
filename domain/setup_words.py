"""What people are told of a setup: what ran, what was refused, what failed."""

from collections.abc import Sequence

from contracts.checks import CheckResult
from contracts.setup import WantedSetup
from domain.check_results import how_it_failed
from domain.text import listing, one_line

_REMEDY = (
    "mend it, name other commands with --setup, or leave it out with --no-setup; it runs with a "
    "network, by the package managers' settings of the shell in which the worker was started"
)
_CHOICE = "name it with --setup to allow it, or leave it out with --no-setup"


NO_SETUP = (
    "Nothing is known that installs the dependencies of this repository: it has no lock file that "
    "a package manager of this machine understands, and no setup was named. Do without, or finish "
    "with `blocked` and say which dependency the task needs: a person can name a setup."
)


def lines_of(wanted: WantedSetup) -> tuple[str, ...]:
    """Return the commands that run, in order."""
    return (*([wanted.update] if wanted.update else []), *wanted.rule.commands)


def ran_sentence(commands: Sequence[str], *, seconds: float, size: int, now: bool) -> str:
    """Return what ran, when, how long that took and how much it installed; `size` in bytes."""
    line = _line(commands)
    room = f"{max(size // 1_000_000, 1):,} MB"
    if now:
        return f"The setup {line} ran in {seconds:.0f} s and installed {room}."
    return f"The setup {line} did not have to run: its {room} are there from an earlier request."


def refused_sentence(commands: Sequence[str], by: str) -> str:
    """Return that a person does not want a setup."""
    return f"The setup {_line(commands)} does not run: {one_line(by, 100) or 'a person'} said no."


def failed_reason(results: Sequence[CheckResult]) -> str:
    """Return why a request ends whose setup failed: the command, how it ended, what to do."""
    failed = results[-1]
    return f"the setup `{one_line(failed.command, 300)}` fails {how_it_failed(failed)}; {_REMEDY}"


def unanswered_reason(commands: Sequence[str], why: str) -> str:
    """Return why a request ends whose setup nobody allowed or refused."""
    return f"{why} whether the setup {_line(commands)} may run; {_CHOICE}"


def stale_sentence(changed: Sequence[str]) -> str:
    """Return what an agent is told whose commands find what another lock file names."""
    return (
        f"{listing(tuple(changed))} differs from what is installed here: install_dependencies has "
        "the setup run for it once a person allows that, and so does the system after `finish`"
    )


def not_allowed(commands: Sequence[str], by: str, reason: str) -> CheckResult:
    """Return what the agent of a patch hears whose setup a person does not allow."""
    said = f"{one_line(by, 60) or 'a person'} does not allow this setup"
    why = f": {one_line(reason, 400)}" if reason else ""
    limit = f"{said}{why}; do without the new dependency, and leave the lock file as it was"
    return CheckResult(command=commands[0], exit_code=1, seconds=0.0, limit=limit)


def gone_sentence(gone: Sequence[str]) -> str:
    """Return that files are missing which say what is installed."""
    return f"{listing(tuple(gone))} says what is installed, and is gone: restore it first."


def no_update(command: str, problem: str) -> str:
    """Return why a command is not one that an agent may ask for."""
    return (
        f"`{one_line(command, 200)}` does not run: {problem}. Name one such as "
        "`npm install NAME` or `uv add NAME`, or change the files yourself and leave `command` out."
    )


def no_program(program: str) -> str:
    """Return that a package manager is not on the machine."""
    return f"There is no {program} on the PATH of this machine: nothing was installed."


def nothing_new(stated_in: Sequence[str]) -> str:
    """Return that all is installed that the files of an agent name."""
    return (
        f"Nothing had to run: what {listing(tuple(stated_in)) or 'the setup'} names is installed. "
        "To add or change a dependency, change those files first, or name the command of the "
        "package manager that does."
    )


def agent_says(reason: str, *, others: int) -> str:
    """Return why an agent asks for a setup, and on how many other changes of its it runs."""
    also = f" It runs on {others} more changed files of the agent's." if others else ""
    return f"its agent says: {one_line(reason, 700)}.{also}".replace("..", ".")


def _line(commands: Sequence[str]) -> str:
    return one_line(" && ".join(f"`{command}`" for command in commands), 300)
