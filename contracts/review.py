"""Patches and their review: what an agent offers, what is said of it, what is decided."""

from enum import StrEnum

from pydantic import Field

from contracts.base import Contract, HumanInput, ObjectId, PathText, ShortText, TaskId
from contracts.planning import TaskSpec, WriteScope
from contracts.setup import WantedSetup
from contracts.store import RepositoryRef
from contracts.verdicts import PathVerdict


class MakePatch(Contract):
    """Ask for a worktree's checkpoint as one commit on its base.

    Attributes:
        base: the commit that the task started from (or was last rebased on).
        round: counts the task's patches from 0.
        spec, summary: the task and what its agent says, by which the patch is judged.
        scope: by what undeclared paths are judged; None in histories from before.
        undoes: why it undoes landed work, as its agent says; "" when it gives no reason.
        no_change: why nothing has to change, as its agent says.
        evicted: the task's last patch that the merge queue sent back; None when there is none.
        needs_paths: paths that its agent asks to change too.
    """

    repository: RepositoryRef
    task: TaskId
    round: int
    base: ObjectId
    checkpoint: ObjectId
    writes: tuple[str, ...]
    message: str = Field(max_length=8_000)
    spec: TaskSpec | None = None
    scope: WriteScope | None = None
    summary: str = Field(default="", max_length=4_000)
    undoes: str = Field(default="", max_length=1_000)
    no_change: str = Field(default="", max_length=2_000)
    evicted: ObjectId | None = None
    needs_paths: tuple[PathText, ...] = ()


class UndoneKind(StrEnum):
    """How a patch undoes landed work."""

    REMOVES = "removes"
    RESTORES = "restores"
    LOSES = "loses"


class Undone(Contract):
    """Lines of one task in one file that a patch undoes: landed ones, or its own earlier ones.

    Attributes:
        task: whose work it is; "" when unknown.
        kind: it removes lines that the task added, restores lines that the task removed, or loses
            lines that the task's own patch had when the merge queue sent it back.
        count: all such lines; `lines` shows the first.
    """

    task: str
    path: PathText
    kind: UndoneKind
    count: int
    lines: tuple[str, ...] = ()


class Patch(Contract):
    """One task's offer: a commit, and what is known of it without trusting anyone.

    Attributes:
        commit: its only parent is `base`.
        patch_id: `git patch-id`, equal for the same change on another base; "" when empty.
        paths: the first 200 changed paths; `files` counts all.
        outside: changed paths that the task did not declare, the first 20.
        risks: why a person should look, in words.
        diff: object id of the unified diff, cut at 256 KiB.
        markers: paths that still hold conflict markers.
        undone: landed work that it undoes, and its own that it has lost.
        judged: looked at when it was made; False in histories from before 2026-12.
        problem: why it is not even reviewed, as its agent is told; "" for nothing.
        requested: the judgements of the paths that its agent asks for; None where the claims of
            other tasks are not known, and in histories from before they were judged here.
        setup: what has to be installed for it, because it changes a lock file; None = nothing.
    """

    task: TaskId
    round: int
    base: ObjectId
    commit: ObjectId
    tree: ObjectId
    patch_id: str
    files: int
    added_lines: int
    deleted_lines: int
    paths: tuple[PathText, ...]
    outside: tuple[PathText, ...] = ()
    risks: tuple[str, ...] = ()
    markers: tuple[PathText, ...] = ()
    undone: tuple[Undone, ...] = ()
    diff: ObjectId
    diffstat: ShortText = ""
    judged: bool = False
    problem: str = Field(default="", max_length=8_000)
    requested: tuple[PathVerdict, ...] | None = None
    setup: WantedSetup | None = None


class Verdict(StrEnum):
    """What a reviewer says in one word."""

    APPROVE = "approve"
    REVISE = "revise"
    REJECT = "reject"


class Finding(HumanInput):
    """One thing that a reviewer found.

    Attributes:
        priority: 0 and 1 block, 2 and 3 are remarks.
        path, line: where; None for the change as a whole.
    """

    priority: int = Field(ge=0, le=3)
    title: str = Field(min_length=1, max_length=200)
    detail: str = Field(default="", max_length=1_500)
    path: PathText | None = Field(default=None, max_length=500)
    line: int | None = Field(default=None, ge=1)


class FindingState(StrEnum):
    """A finding's life: open until somebody says that it is settled."""

    OPEN = "open"
    RESOLVED = "resolved"
    OVERRULED = "overruled"


class FindingAnswer(HumanInput):
    """What a later reviewer says of an earlier finding."""

    finding: str = Field(max_length=8, description="Its name, such as F1.")
    state: FindingState = Field(
        description="resolved: the change now does it; overruled: it need not be done; else open."
    )
    reason: str = Field(min_length=1, max_length=500, description="How you know, in a sentence.")


class ReviewFinish(HumanInput):
    """Hand in the review: a verdict and at most 8 findings, the weightiest first."""

    verdict: Verdict
    summary: str = Field(min_length=1, max_length=2_000)
    findings: tuple[Finding, ...] = Field(default=(), max_length=8)
    earlier: tuple[FindingAnswer, ...] = Field(
        default=(),
        max_length=32,
        description="One answer for each open finding of an earlier review that you were told.",
    )
    undoing: str = Field(
        default="",
        max_length=1_000,
        description="Only when you are told that the patch undoes landed work of other tasks, or "
        "has lost lines of its own: why that is right. Without a reason a person decides.",
    )


class KeptFinding(Contract):
    """A finding as it stands over all rounds of its task.

    Attributes:
        name: F1, F2 … in the order in which they were found.
        round: of the patch that it was found in, from 0.
        by, reason: who settled it, and why; "" while it is open and nobody spoke of it.
    """

    name: str
    round: int
    priority: int
    title: str
    path: PathText | None = None
    line: int | None = None
    state: FindingState = FindingState.OPEN
    by: str = ""
    reason: str = ""


class ReviewState(StrEnum):
    """A review item's life: pending -> approved, rejected, or revised (-> pending again)."""

    PENDING = "pending"
    APPROVED = "approved"
    REJECTED = "rejected"
    REVISED = "revised"


class ReviewItem(Contract):
    """A patch that needs a decision before it is applied; the decision holds for `tree` alone.

    Attributes:
        decided_by: "reviewer", "rule" or the person's name; "" while pending.
        feedback: what the agent is told when it is revised; why, when rejected.
    """

    id: str
    task: TaskId
    tree: ObjectId
    patch_commit: ObjectId
    state: ReviewState = ReviewState.PENDING
    decided_by: str = ""
    feedback: str = Field(default="", max_length=16_000)
    risks: tuple[str, ...] = ()
    human_required: bool = False
