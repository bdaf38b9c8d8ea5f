"""What a person should know of their repository before anything is paid for."""

from collections.abc import Sequence

from domain.text import listing


def repository_notes(submodules: Sequence[str]) -> tuple[str, ...]:
    """Return what differs here from the person's checkout, a sentence each."""
    if not submodules:
        return ()
    what = "Submodules are" if len(submodules) > 1 else "A submodule is"
    return (
        f"{what} empty here, so what needs its files cannot work: {listing(tuple(submodules))}.",
    )
