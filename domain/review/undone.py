"""Work that a patch undoes, in words for agents and people."""

from collections.abc import Sequence

from contracts.review import Undone, UndoneKind
from domain.text import clip, listing

_TEXT_CHARS = 4_000


def undone_text(undone: Sequence[Undone]) -> str:
    """Return what is undone, for agents and people: each file with its lines, cut at 4,000."""
    return clip("\n".join(_told(each) for each in undone), _TEXT_CHARS)


def undone_problem(undone: Sequence[Undone]) -> str:
    """Return what an agent is told whose change undoes work and gives no reason."""
    landed = [each for each in undone if each.kind is not UndoneKind.LOSES]
    what = (
        "undoes work of other tasks that has landed"
        if landed
        else "has lost lines that your patch had when the merge queue sent it back"
    )
    return (
        f"Your change {what}. Put it back, so that every change keeps its meaning; or, where it "
        f"must go, finish again and say why in `undoes`.\n\n{undone_text(undone)}"
    )


def undone_summary(undone: Sequence[Undone]) -> str:
    """Return what is undone on one line, "" for nothing."""
    return listing(tuple(_place(each) for each in undone), most=3)


def _told(each: Undone) -> str:
    mark = "+" if each.kind is UndoneKind.RESTORES else "-"
    more = [f"  … and {each.count - len(each.lines)} more"] if each.count > len(each.lines) else []
    return "\n".join([f"{_place(each)}:", *(f"  {mark} {line}" for line in each.lines), *more])


def _place(each: Undone) -> str:
    lines = f"{each.count} line{'s' * (each.count != 1)}"
    if each.kind is UndoneKind.RESTORES:
        return f"{each.path} brings back {lines} that landed work removed"
    if each.kind is UndoneKind.LOSES:
        return f"{each.path} has lost {lines} of this task's own earlier patch"
    return f"{each.path} loses {lines} of {each.task or 'landed work'}"
