"""The request for a task's patch: its worktree's checkpoint, and what is said of it."""

from collections.abc import Iterable, Sequence

from contracts.base import ObjectId
from contracts.review import KeptFinding, MakePatch
from contracts.subtask import SubtaskStart
from domain.planning.scope import scope_of
from domain.planning.unfinished import refused
from domain.review.commit_message import Said, commit_message


def patch_request(
    start: SubtaskStart,
    said: Sequence[Said],
    *,
    round_number: int,
    base: ObjectId,
    checkpoint: ObjectId,
    findings: tuple[KeptFinding, ...],
    notes: Iterable[str],
    evicted: ObjectId | None,
) -> MakePatch:
    """Return the request; `said` is what the agent said, round by round, and is not empty."""
    task, finish = start.task, said[-1].finish
    key = start.repository.request_key
    return MakePatch(
        repository=start.repository,
        task=task.id,
        round=round_number + (start.earlier.rounds if start.earlier else 0),
        base=base,
        checkpoint=checkpoint,
        writes=task.writes,
        message=commit_message(task, said, request=key, findings=findings),
        spec=task,
        scope=scope_of(start, notes),
        summary=finish.summary,
        undoes=finish.undoes,
        no_change=finish.no_change,
        evicted=evicted,
        needs_paths=() if refused(finish.needs_paths) else finish.needs_paths,
    )
