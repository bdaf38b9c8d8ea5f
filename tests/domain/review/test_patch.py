"""What an agent hands in: which patches are sent back, and what its words become in a commit."""

import pytest
from hypothesis import settings

from contracts.planning import TaskSpec
from contracts.review import Patch, Undone, UndoneKind
from domain.review.patch import judge

PROPERTY = settings(deadline=None, max_examples=150)
TASK = TaskSpec(id="add-limit", title="Add a limit", goal="G", writes=("src/",))
READER = TaskSpec(id="add-limit", title="Look", goal="G")
OID = "0" * 40


def patch(*paths: str, files: int | None = None, markers: tuple[str, ...] = ()) -> Patch:
    """A patch that changes `paths`."""
    return Patch(
        task="add-limit",
        round=0,
        base=OID,
        commit=OID,
        tree=OID,
        patch_id="p" if paths else "",
        files=len(paths) if files is None else files,
        added_lines=1,
        deleted_lines=0,
        paths=paths,
        markers=markers,
        diff=OID,
    )


@pytest.mark.parametrize(
    ("given_patch", "words"),
    [
        (patch(), "Nothing has changed"),
        (patch("src/a.py", markers=("src/a.py",)), "left in src/a.py"),
        (patch("docs/a.md", "b.py"), "(src/): docs/a.md, b.py"),
        (patch("src/a.py", "../x"), "must not be in a patch: ../x"),
        (patch("src/.git/config"), "src/.git/config"),
    ],
    ids=["empty", "markers", "outside", "climbs", "git"],
)
def test_a_flaw_is_told_to_the_agent(given_patch: Patch, words: str) -> None:
    """Each flaw has a sentence that says what to do."""
    assert words in judge(given_patch, task=TASK, agent_summary="done")


@pytest.mark.parametrize(
    "given_patch",
    [patch("src/a.py"), patch("src/a.py", "docs/a.md"), patch("docs/a.md", files=300)],
    ids=["inside", "partly outside", "more than is listed"],
)
def test_a_patch_that_is_at_least_partly_for_the_task_goes_on(given_patch: Patch) -> None:
    """Some paths outside are a risk for the review, no reason to send it back unseen."""
    assert judge(given_patch, task=TASK, agent_summary="done") == ""


def test_a_task_that_reads_must_not_write() -> None:
    """Nothing changed is right for it, anything changed is not."""
    assert judge(patch(), task=READER, agent_summary="looked") == ""
    problem = judge(patch("a.py"), task=READER, agent_summary="looked")
    assert "only reads" in problem


@pytest.mark.parametrize("summary", ["", "  \n", "\u200b\x1b[0m"])
def test_an_agent_must_say_what_it_did(summary: str) -> None:
    """A summary of blanks and invisible characters is none."""
    problem = judge(patch("src/a.py"), task=TASK, agent_summary=summary)

    assert "summary is empty" in problem


def test_a_patch_that_undoes_landed_work_needs_a_reason() -> None:
    """Its agent is shown whose lines are lost; with a reason the patch goes on to its reviewer."""
    lost = Undone(task="other", path="src/a.py", kind=UndoneKind.REMOVES, count=1, lines=("x = 1",))
    undoing = patch("src/a.py").model_copy(update={"undone": (lost,)})
    problem = judge(undoing, task=TASK, agent_summary="done")

    assert "src/a.py loses 1 line of other:\n  - x = 1" in problem
    assert judge(undoing, task=TASK, agent_summary="done", undoes="x is not used") == ""


def test_a_patch_of_another_task_is_not_taken() -> None:
    """Whose patch it is comes before everything else."""
    other = TASK.model_copy(update={"id": "other"})
    problem = judge(patch("src/a.py"), task=other, agent_summary="done")

    assert "belongs to task 'add-limit', not to 'other'" in problem
