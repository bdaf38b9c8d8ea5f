"""Questions of several requests as lines that fit a terminal."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from cli import hints
from cli.client.summary import RequestSummary
from cli.formatting import age, clean, name, plural
from cli.wrapping import broken, wrapped
from contracts.approvals import Approval

_WHAT_CHARS = 300
_INDENT = "  "


@dataclass(frozen=True)
class RequestQuestions:
    """What a request asks; `questions` is None where it did not answer."""

    request: RequestSummary
    questions: tuple[Approval, ...] | None


def inbox_lines(
    found: Sequence[RequestQuestions], *, program: str, now: float, width: int
) -> list[str]:
    """Return all questions, those with the least time first, then what is not known.

    `now` is in seconds since the epoch; `width` that of the terminal, 0 where there is none.
    """
    asked = [(each.request, one) for each in found for one in each.questions or ()]
    asked.sort(key=lambda pair: pair[1].until or float("inf"))
    silent = [each.request for each in found if each.questions is None]
    if not asked and not silent:
        return ["Nothing waits for you."]
    lines = []
    if asked:
        requests = len({request.id for request, _ in asked})
        verb = "waits" if len(asked) == 1 else "wait"
        told = f"{plural(len(asked), 'question')} of {plural(requests, 'request')} {verb} for you."
        lines += wrapped(told, width)
    for request, one in asked:
        lines += ["", *_question(request, one, program, now=now, width=width)]
    for request in silent:
        told = f"{name(hints.short_id(request.id))}: {plural(request.pending, 'question')}"
        lines += ["", *wrapped(told, width)]
    return lines


def _question(
    request: RequestSummary, asked: Approval, program: str, *, now: float, width: int
) -> Iterator[str]:
    room = width - len(_INDENT) if width else 0
    heading = f"{name(hints.short_id(request.id))}  {clean(asked.id, _WHAT_CHARS)}"
    yield from wrapped(heading, width)
    risk = f" (risk: {clean(asked.risk, _WHAT_CHARS)})" if asked.risk else ""
    for text in (f"{clean(asked.what, _WHAT_CHARS)}{risk}", _times(asked, now)):
        yield from (f"{_INDENT}{line}" for line in wrapped(text, room))
    command = hints.answer_commands(program, request.id, asked)[0]
    lines = broken(command, room) if width else command
    yield from (f"{_INDENT}{line}" for line in lines.split("\n"))


def _times(asked: Approval, now: float) -> str:
    if not asked.since:
        return asked.kind.value
    left = asked.until - now
    ends = f"rejected in {age(left)} without an answer" if left > 0 else "its deadline has passed"
    return f"{asked.kind.value}, for {age(now - asked.since)}; {ends}"
