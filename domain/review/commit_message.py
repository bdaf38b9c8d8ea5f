"""Messages of delivered commits: what a task's whole patch does, and what a merge joins."""

from collections.abc import Sequence
from dataclasses import dataclass
from types import MappingProxyType

from contracts.planning import TaskSpec
from contracts.review import KeptFinding
from contracts.tools import CoderFinish
from domain.review.findings import finding_line
from domain.review.rework import Cause
from domain.text import clip, for_people, listing, one_line

TRAILER = "OrchestCode-Task"
"""The commit trailer that names the task."""
REQUEST_TRAILER = "OrchestCode-Request"
"""The commit trailer that names the request."""
_TRAILERS = tuple(f"{name}:".casefold() for name in (TRAILER, REQUEST_TRAILER))
_TITLE_CHARS = 72
_BODY_CHARS = 6_000
_FINDINGS_CHARS = 1_500
_SHORT = 12
_WHEN = MappingProxyType(
    {
        Cause.PATCH: "a look at the patch itself",
        Cause.CHECKS: "a failed check",
        Cause.REVIEW: "the review",
        Cause.PERSON: "a person's answer",
        Cause.QUEUE: "the merge queue sent it back",
        Cause.ANSWER: "an answer to what it needed",
    }
)


@dataclass(frozen=True)
class Said:
    """What a task's agent said when it handed in its change.

    Attributes:
        cause: why the change had gone back to it; None the first time.
        changed: whether it had changed anything since the round before.
    """

    cause: Cause | None
    finish: CoderFinish
    changed: bool = True


def author_says(said: Sequence[Said]) -> str:
    """Return what an agent said of its whole patch, round by round, oldest first."""
    return clip("\n\n".join(_told(each) for each in said), _BODY_CHARS)


def commit_message(
    task: TaskSpec, said: Sequence[Said], *, request: str, findings: Sequence[KeptFinding] = ()
) -> str:
    """Return the message of a patch: title, words of agents, and trailers that they cannot forge.

    The first title names the whole change; only a person who sends it back can have changed what
    it is about.
    """
    worked = [each for each in said if each.changed] or said
    asked = [each for each in worked[1:] if each.cause is Cause.PERSON]
    titles = (one_line(each.finish.commit_title, _TITLE_CHARS) for each in (*asked[::-1], *worked))
    title = next(filter(None, titles), "")
    parts = (
        title or one_line(task.title, _TITLE_CHARS) or task.id,
        _without_trailers(author_says(worked)),
        _without_trailers(_found(findings)),
        f"{REQUEST_TRAILER}: {request}\n{TRAILER}: {task.id}",
    )
    return "\n\n".join(part for part in parts if part)


def merge_message(patch: str, *, commit: str, top: str, landed: Sequence[str]) -> str:
    """Return the message of a merge of a patch, given by its own message, with landed tasks."""
    title = patch.split("\n", 1)[0]
    held = f" of {listing(tuple(landed), most=20)}" if landed else ""
    return (
        f"Merge: {title}\n\n"
        f"Joins the patch of {task_of(patch) or 'a task'} ({commit[:_SHORT]}) with the landed work"
        f"{held} ({top[:_SHORT]})."
    )


def landing_message(patches: Sequence[str]) -> str:
    """Return the message of a landing of several patches, given by their messages, oldest first."""
    titles = [f"- {each.split(chr(10), 1)[0]} ({task_of(each) or 'a task'})" for each in patches]
    return f"Land {len(patches)} tasks\n\n" + clip("\n".join(titles), _BODY_CHARS)


def task_of(message: str) -> str:
    """Return the task that a commit message names in its trailer, "" when it names none."""
    name = f"{TRAILER}:".casefold()
    named = [line for line in message.splitlines() if line.strip().casefold().startswith(name)]
    return named[-1].partition(":")[2].strip() if named else ""


def _found(findings: Sequence[KeptFinding]) -> str:
    lines = "\n".join(f"- {finding_line(each)}" for each in findings)
    return clip(f"Findings of the review:\n{lines}", _FINDINGS_CHARS) if findings else ""


def _without_trailers(text: str) -> str:
    return "\n".join(line.rstrip() for line in text.splitlines() if not _is_trailer(line)).strip()


def _told(said: Said) -> str:
    summary = for_people(said.finish.summary, _BODY_CHARS).strip()
    return f"After {_WHEN[said.cause]}:\n{summary}" if said.cause else summary


def _is_trailer(line: str) -> bool:
    return line.strip().casefold().startswith(_TRAILERS)
