"""What an agent hands in, looked at without trusting it.

Is it a patch for this task at all? Looks at the facts of the patch and at its text; whether the
change is good is for the checks and the reviewer.
"""

from collections.abc import Iterable

from contracts.planning import TaskSpec
from contracts.review import MakePatch, Patch
from contracts.task import EarlierAttempt
from domain.planning import write_patterns
from domain.review.undone import undone_problem
from domain.text import clip, for_people, listing

_PROBLEM_CHARS = 8_000


def carried_over(task: str, earlier: EarlierAttempt) -> Patch:
    """Return the last state of an earlier attempt as a patch that is put on what has landed.

    Nothing is known of it but its commit, in whose place its objects stand.
    """
    commit = earlier.commit or ""
    return Patch(
        task=task,
        round=earlier.rounds - 1,
        base=commit,
        commit=commit,
        tree=commit,
        patch_id="",
        files=0,
        added_lines=0,
        deleted_lines=0,
        paths=(),
        diff=commit,
    )


def judge(
    patch: Patch,
    *,
    task: TaskSpec,
    agent_summary: str,
    undoes: str = "",
    no_change: str = "",
    misplaced: str | None = None,
) -> str:
    """Return a patch's weightiest problem for its agent; "" when it may go on to the checks.

    `undoes` and `no_change` are the agent's reasons why it undoes landed work, and why it changes
    nothing; `misplaced` is what is wrong with the undeclared paths, None where they are judged as
    they were before the tasks' claims were known.
    """
    found = _problems(patch, task, agent_summary, undoes, no_change, misplaced)
    return next(iter(found), "")


def judged(request: MakePatch, patch: Patch, *, misplaced: str | None = None) -> Patch:
    """Return the patch with what is wrong with it; older workflows judge it themselves."""
    if request.spec is None:
        return patch
    problem = judge(
        patch,
        task=request.spec,
        agent_summary=request.summary,
        undoes=request.undoes,
        no_change=request.no_change,
        misplaced=misplaced,
    )
    return patch.model_copy(update={"judged": True, "problem": clip(problem, _PROBLEM_CHARS)})


def _problems(
    patch: Patch, task: TaskSpec, summary: str, undoes: str, no_change: str, misplaced: str | None
) -> Iterable[str]:
    if patch.task != task.id:
        yield f"The patch belongs to task {patch.task!r}, not to {task.id!r}."
    if unsafe := tuple(path for path in patch.paths if write_patterns.unsafe(path)):
        yield f"These paths must not be in a patch: {listing(unsafe)}. Remove them."
    if patch.markers:
        yield f"Conflict markers are left in {listing(patch.markers)}. Resolve every one of them."
    if patch.undone and not for_people(undoes).strip():
        yield undone_problem(patch.undone)
    if misplaced is None or not patch.files:
        yield from _scope_problems(patch, task, no_change)
    elif misplaced:
        yield misplaced
    if not for_people(summary).strip():
        yield "The summary is empty. Say what you changed and why, then finish again."


def _scope_problems(patch: Patch, task: TaskSpec, no_change: str) -> Iterable[str]:
    if task.writes and not patch.files and not for_people(no_change).strip():
        yield (
            "Nothing has changed in the worktree, yet the task is to change "
            f"{listing(task.writes)}. Make the change; when it needs none, finish again and say "
            "why in `no_change`, with what shows it, such as a test that passes."
        )
    elif not task.writes and patch.files:
        yield f"This task only reads, but {listing(patch.paths)} changed. Undo these changes."
    elif patch.files and _all_outside(patch, task):
        yield (
            f"Everything that changed is outside of what the task may write "
            f"({listing(task.writes)}): {listing(patch.paths)}. Undo it and do the task itself."
        )


def _all_outside(patch: Patch, task: TaskSpec) -> bool:
    # Of a patch with more paths than are listed, the rest may well be inside.
    listed = patch.files <= len(patch.paths)
    return listed and not any(write_patterns.covers(task.writes, path) for path in patch.paths)
