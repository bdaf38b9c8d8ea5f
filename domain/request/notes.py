"""What a person should know of their repository before anything is paid for."""

from collections.abc import Sequence

from contracts.request import RequestStatus
from domain.text import listing, one_line


def repository_notes(submodules: Sequence[str]) -> tuple[str, ...]:
    """Return what differs here from the person's checkout, a sentence each."""
    if not submodules:
        return ()
    what = "Submodules are" if len(submodules) > 1 else "A submodule is"
    return (
        f"{what} empty here, so what needs its files cannot work: {listing(tuple(submodules))}.",
    )


def must_pass(status: RequestStatus) -> str:
    """Return which checks must pass and who says so; "" while that is not known."""
    if status.checks_asked:
        commands = ", ".join(f"`{one_line(command)}`" for command in status.checks_asked)
        return f"{commands} (named by {status.checks_from})"
    return "" if status.base is None else "none named; only what each task promises is run"
