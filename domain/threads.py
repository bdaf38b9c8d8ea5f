"""A thread: what its earlier runs came to, and from where the next one starts."""

from collections.abc import Mapping, Sequence
from typing import Any

from contracts.request import RequestStatus
from contracts.threads import MOST_LEDGER, MOST_PAST, MOST_QUEUED, FollowUp, PastRun
from contracts.visibility import RunState
from domain.ids import REQUEST_PREFIX
from domain.request import status as requests
from domain.text import clip, one_line

_REQUEST_CHARS = 1_500
_OUTCOME_CHARS = 2_000
_OLDER_LEDGER_CHARS = 1_500


def past_run(status: RequestStatus, ledger: str = "") -> PastRun:
    """Return a run of a thread by its last status and its ledger."""
    return PastRun(
        id=status.id,
        request=clip(status.request, _REQUEST_CHARS),
        state=status.state,
        outcome=clip(outcome(status), _OUTCOME_CHARS),
        ledger=ledger,
        branch=status.branch if status.commit else None,
        commit=status.commit,
    )


def outcome(status: RequestStatus) -> str:
    """Return what a request came to: its plan, its answers, what it delivered, what is missing."""
    found = [status.summary, status.answer]
    found += [f"{row.title}: {row.answer}" for row in status.tasks if row.answer]
    if status.commit:
        found.append(f"Delivered on branch {status.branch}:\n{status.diffstat}".rstrip())
    if status.state is not RunState.DONE:
        found.append(f"It ended as {status.state}: {status.reason or 'no reason was given'}")
    return "\n".join(text for text in found if text)


def told(past: Sequence[PastRun]) -> str:
    """Return what agents are told of the runs before, the newest last; the oldest go first.

    The newest run's ledger is whole, those before it begin with what was decided.
    """
    kept: list[str] = []
    room = MOST_PAST
    for number, run in reversed(list(enumerate(past, start=1))):
        chars = MOST_LEDGER if number == len(past) else _OLDER_LEDGER_CHARS
        ledger = f"\nIts ledger:\n{clip(run.ledger, chars)}" if run.ledger else ""
        text = f"{number}. Asked: {run.request}\nCame to: {run.outcome or run.state.value}{ledger}"
        room -= len(text) + 2
        if room < 0:
            break
        kept.insert(0, text)
    return "\n\n".join(kept)


def bases(past: Sequence[PastRun]) -> tuple[str, ...]:
    """Return from where the next run starts, best first: the last branch, or its commit."""
    for run in reversed(past):
        if run.commit:
            return (*([run.branch] if run.branch else []), run.commit)
    return ()


def problem(wanted: FollowUp, queued: Sequence[FollowUp], own: str) -> str:
    """Return why a follow-up cannot wait for a request, "" when it can."""
    if not wanted.request_id.startswith(REQUEST_PREFIX) or wanted.request_id == own:
        return f"the id of a follow-up begins with {REQUEST_PREFIX!r} and is its own"
    read = requests.read(wanted.start)
    if isinstance(read, str):
        return read
    if read.thread is None:
        return "a follow-up names its thread"
    if len(queued) >= MOST_QUEUED:
        return f"{MOST_QUEUED} follow-ups wait already: let some of them run first"
    return ""


def summary(start: Mapping[str, Any]) -> str:
    """Return what a follow-up asks for, on one line."""
    return one_line(str(start.get("request", "")), 180)
