"""What people are told of a setup: what ran, what was refused, what failed."""

from collections.abc import Sequence

from contracts.checks import CheckResult
from domain.check_results import how_it_failed
from domain.text import listing, one_line

_REMEDY = (
    "mend it, name other commands with --setup, or leave it out with --no-setup; it runs with a "
    "network, by the package managers' settings of the shell in which the worker was started"
)
_CHOICE = "name it with --setup to allow it, or leave it out with --no-setup"


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
        f"{listing(tuple(changed))} differs from what is installed here: once you finish, a person "
        "is asked to let the setup run for it, and then your commands find what it names"
    )


def not_allowed(commands: Sequence[str], by: str, reason: str) -> CheckResult:
    """Return what the agent of a patch hears whose setup a person does not allow."""
    said = f"{one_line(by, 60) or 'a person'} does not allow this setup"
    why = f": {one_line(reason, 400)}" if reason else ""
    limit = f"{said}{why}; do without the new dependency, and leave the lock file as it was"
    return CheckResult(command=commands[0], exit_code=1, seconds=0.0, limit=limit)


def _line(commands: Sequence[str]) -> str:
    return one_line(" && ".join(f"`{command}`" for command in commands), 300)
