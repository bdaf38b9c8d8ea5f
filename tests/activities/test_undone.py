"""Landed work of other tasks that a patch undoes is found, told, and never lands unseen."""

import pytest

from activities.landed_lines import undone_by
from contracts.review import Patch, UndoneKind
from tests.activities.test_patches import files, landed, rebased
from tests.infra.bench import Job

THEIRS = "one\ntwo\nthree\ndef theirs(value):\n    return value * 3\n"


async def lands(job: Job, text: str | None, *, on: str | None = None, task: str = "other") -> str:
    """Let another task's change of a.txt land, and return the target's tip."""
    tip = on or job.base
    patch = await job.patch(await job.changed({"a.txt": text}, on=tip), task=task, base=tip)
    found = await landed(job, tip, patch.commit)
    assert found
    return found


async def patched(job: Job, tip: str, text: str | None, path: str = "a.txt") -> Patch:
    """Return the patch of a task that writes one file on the tip."""
    return await job.patch(await job.changed({path: text}, on=tip), task="mine", base=tip)


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        pytest.param("one\ntwo\nthree\nmine\n", 2, id="own lines instead"),
        pytest.param("one\ntwo\nthree\n", 2, id="back to the base"),
        pytest.param("one\n2\nthree\ndef theirs(value):\n    return value\n", 1, id="one line"),
        pytest.param(None, 2, id="deleted"),
    ],
)
async def test_landed_lines_that_a_patch_removes_are_named(
    job: Job, text: str | None, lines: int
) -> None:
    """With the task that landed them; lines of the person's own base are not."""
    tip = await lands(job, THEIRS)

    patch = await patched(job, tip, text)

    (undone,) = patch.undone
    assert (undone.task, undone.path, undone.kind) == ("other", "a.txt", UndoneKind.REMOVES)
    assert undone.count == lines


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(THEIRS + "mine\n", id="beside it"),
        pytest.param(THEIRS.replace("two\n", ""), id="a line of the base"),
        pytest.param("mine\n" + THEIRS.replace("(value)", "(value, mine)"), id="longer"),
    ],
)
async def test_a_patch_that_keeps_landed_lines_undoes_nothing(job: Job, text: str) -> None:
    """Also where it moves or extends them."""
    tip = await lands(job, THEIRS)

    assert (await patched(job, tip, text)).undone == ()


async def test_lines_are_found_in_a_file_that_was_moved_since(job: Job) -> None:
    """A third task has moved the file; the lines are still of the second."""
    first = await lands(job, THEIRS)
    moved = await job.changed({"a.txt": None, "src/a.txt": THEIRS}, on=first)
    patch = await job.patch(moved, task="third", base=first)
    tip = await landed(job, first, patch.commit)
    assert tip

    (undone,) = (await patched(job, tip, "one\ntwo\nthree\n", "src/a.txt")).undone

    assert (undone.task, undone.path, undone.count) == ("other", "src/a.txt", 2)


async def test_a_deletion_that_a_patch_brings_back_is_named(job: Job) -> None:
    """A landed task removed a line; the patch has it again."""
    tip = await lands(job, "one\nthree\n")

    (undone,) = (await patched(job, tip, "one\ntwo\nthree\nmine\n")).undone

    assert (undone.kind, undone.lines) == (UndoneKind.RESTORES, ("two",))


FUNCTION = "def first(values):\n    for value in values:\n        print(value.name, value.size)\n"


async def test_a_landed_copy_of_base_lines_that_a_patch_removes_is_named(job: Job) -> None:
    """A task has copied a function under another name; that its lines stand elsewhere too does not
    make them the base's.
    """
    base = await lands(job, f"head\n{FUNCTION}tail\n", task="base")
    copied = FUNCTION.replace("first", "second")
    tip = await lands(job, f"head\n{FUNCTION}middle\n{copied}tail\n", on=base)

    undone = await undone_by(
        job.store, base, tip, await job.changed({"a.txt": f"head\n{FUNCTION}tail\n"}, on=tip)
    )

    assert [(each.task, each.kind, each.count) for each in undone] == [
        ("other", UndoneKind.REMOVES, 4)
    ]


async def test_base_lines_that_a_landed_task_only_moved_are_not_its_own(job: Job) -> None:
    """A patch that deletes them deletes the person's lines, as it might have before."""
    base = await lands(job, f"head\n{FUNCTION}tail\n", task="base")
    tip = await lands(job, f"head\ntail\n{FUNCTION}", on=base)

    gone = await job.changed({"a.txt": "head\ntail\n"}, on=tip)

    assert await undone_by(job.store, base, tip, gone) == ()


async def test_a_line_that_is_equal_to_a_removed_one_elsewhere_comes_not_back(job: Job) -> None:
    """A landed task removed a call from one function, the patch makes it in another."""
    filler = "".join(f"line {number}\n" for number in range(20))
    base = await lands(job, f"close(the, file)\n{filler}", task="base")
    tip = await lands(job, filler, on=base)

    patch = await job.changed({"a.txt": f"{filler}close(the, file)\n"}, on=tip)

    assert await undone_by(job.store, base, tip, patch) == ()


async def test_a_conflict_resolved_to_one_side_is_sent_back(job: Job) -> None:
    """Resolved to "mine" it names what is lost; resolved to both it undoes nothing."""
    tip = await lands(job, "one\ntheirs two words\nthree\n")
    mine = await job.patch(await job.changed({"a.txt": "one\nmine two words\nthree\n"}))
    back = await rebased(job, mine)
    assert back.tip == tip
    assert "<<<<<<<" in (await files(job, back.checkpoint))["a.txt"]

    one_side = await job.changed({"a.txt": "one\nmine two words\nthree\n"}, on=back.checkpoint)
    both = "one\ntheirs two words\nmine two words\nthree\n"
    united = await job.changed({"a.txt": both}, on=back.checkpoint)

    assert [each.lines for each in (await job.patch(one_side, base=tip, number=1)).undone] == [
        ("theirs two words",)
    ]
    assert (await job.patch(united, base=tip, number=2)).undone == ()


async def test_a_patch_on_the_base_of_the_request_undoes_nothing(job: Job) -> None:
    """Nothing has landed below it; the merge keeps what lands beside it."""
    await lands(job, THEIRS)

    assert (await patched(job, job.base, "mine\n")).undone == ()


MINE = "one\ntwo\nthree\ndef mine(value):\n    return value + 1\n"


async def sent_back(job: Job, text: str | None, path: str = "a.txt") -> Patch:
    """Return the patch of a task whose first one met a conflict and that then writes this."""
    first = await job.patch(await job.changed({"a.txt": MINE}), task="mine")
    tip = await lands(job, THEIRS)
    changes = {path: text} if path == "a.txt" else {path: text, "a.txt": None}
    return await job.patch(
        await job.changed(changes, on=tip), task="mine", number=1, base=tip, evicted=first.commit
    )


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        pytest.param(THEIRS, 2, id="their side"),
        pytest.param(THEIRS + "def mine(value):\n", 1, id="half of it"),
    ],
)
async def test_own_lines_that_a_patch_loses_in_a_conflict_are_named(
    job: Job, text: str, lines: int
) -> None:
    """Giving one's own side up is a decision that somebody must see."""
    patch = await sent_back(job, text)

    (lost,) = patch.undone
    assert (lost.task, lost.path, lost.kind, lost.count) == (
        "mine", "a.txt", UndoneKind.LOSES, lines,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("text", "path"),
    [
        pytest.param(THEIRS + MINE.partition("three\n")[2], "a.txt", id="both"),
        pytest.param(
            THEIRS + "def mine(value, more):\n    return value + 1\n", "a.txt", id="longer"
        ),
        pytest.param(THEIRS + MINE.partition("three\n")[2], "moved.txt", id="moved"),
    ],
)
async def test_own_lines_that_a_conflict_s_resolution_keeps_are_not_lost(
    job: Job, text: str, path: str
) -> None:
    """Wherever they stand in the file, and where it was moved to."""
    assert (await sent_back(job, text, path)).undone == ()
