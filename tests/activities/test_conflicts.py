"""A patch that conflicts comes back on the landed tip: each conflict in its words, none undone."""

import os
from collections.abc import Mapping

import pytest

from contracts.merge_queue import MergeVerdict, RebasedPatch
from infra.worktrees.private_git import BRANCH
from tests.activities.test_patches import chained, files, landed, rebased
from tests.infra.bench import Agent, Job

Files = Mapping[str, str | bytes | None]
OLD = {"old.txt": "".join(f"old {number}\n" for number in range(20))}


async def conflicting(job: Job, *, theirs: Files, mine: Files, base: Files) -> RebasedPatch:
    """Land `theirs` on a base with these files, then rebase `mine` of the same base."""
    start = job.base
    if base:
        first = await job.patch(await job.changed(base), task="first")
        start = await landed(job, job.base, first.commit) or ""
    other = await job.patch(await job.changed(theirs, on=start), task="other", base=start)
    assert await landed(job, start, other.commit)
    patch = await job.patch(await job.changed(mine, on=start), task="mine", base=start)
    return await rebased(job, patch)


async def test_markers_say_who_landed_and_what_is_yours(job: Job) -> None:
    """No commit ids: the task that landed the other side is named, in the file and in words."""
    back = await conflicting(
        job, base={}, theirs={"a.txt": "one\nTHEIRS\nthree\n"}, mine={"a.txt": "one\nMINE\nthree\n"}
    )

    assert (await files(job, back.checkpoint))["a.txt"] == (
        "one\n<<<<<<< landed by other\nTHEIRS\n=======\nMINE\n>>>>>>> yours\nthree\n"
    )
    assert "a.txt: both changed the same lines" in back.feedback
    assert "`<<<<<<< landed by other` begins what landed" in back.feedback
    patch = await job.patch(back.checkpoint, base=back.tip, number=1)
    assert patch.markers == ("a.txt",)


@pytest.mark.parametrize(
    ("base", "theirs", "mine", "words", "kept"),
    [
        pytest.param(
            {}, {"a.txt": None}, {"a.txt": "one\ntwo\nmine\n"},
            "a.txt: landed work deleted it and you changed it", {"a.txt": "one\ntwo\nmine\n"},
            id="deleted there",
        ),
        pytest.param(
            {}, {"a.txt": "one\ntwo\ntheirs\n"}, {"a.txt": None},
            "a.txt: you deleted it and landed work changed it", {"a.txt": "one\ntwo\ntheirs\n"},
            id="deleted here",
        ),
        pytest.param(
            {}, {"d/x.txt": "x\n"}, {"d": "file\n"},
            "d: a file on one side and a folder on the other. The folder is there; your file is",
            {"d/x.txt": "x\n"}, id="folder there",
        ),
        pytest.param(
            {}, {"d": "file\n"}, {"d/x.txt": "x\n"},
            "The folder is there; the landed file is `git show", {"d/x.txt": "x\n"},
            id="folder here",
        ),
        pytest.param(
            OLD, {"old.txt": None, "theirs.txt": OLD["old.txt"]},
            {"old.txt": None, "mine.txt": OLD["old.txt"]},
            "old.txt: landed work renamed it to theirs.txt and you to mine.txt",
            {"theirs.txt": OLD["old.txt"], "mine.txt": OLD["old.txt"]}, id="renamed twice",
        ),
        pytest.param(
            {"b.bin": b"\0\1"}, {"b.bin": b"\0\2"}, {"b.bin": b"\0\3"},
            "b.bin: a binary file that both changed. It holds what landed", {"b.bin": "\0\2"},
            id="binary",
        ),
    ],
)  # fmt: skip
async def test_each_conflict_without_markers_has_its_own_words(
    job: Job, base: Files, theirs: Files, mine: Files, words: str, kept: Files
) -> None:
    """The choices are named, and no name that git invented is in the worktree."""
    back = await conflicting(job, base=base, theirs=theirs, mine=mine)

    assert words in back.feedback
    assert back.feedback.count("\n- ") == 1
    assert "marker" not in back.feedback
    there = await files(job, back.checkpoint)
    assert {path: there.get(path) for path in kept} == kept
    assert not [path for path in there if "~" in path]
    assert (await job.patch(back.checkpoint, base=back.tip, number=1)).markers == ()


async def test_a_conflict_in_a_file_with_an_odd_name_is_told_like_any_other(job: Job) -> None:
    """Git reads such a name as a pattern where it may."""
    name = ":(odd)a.txt"
    back = await conflicting(
        job,
        base={name: "one\ntwo\n"},
        theirs={name: "one\nTHEIRS\n"},
        mine={name: "one\nMINE\n"},
    )

    assert "<<<<<<< landed by other\n" in (await files(job, back.checkpoint))[name]


@pytest.mark.parametrize("label", ["landed by other", "landed work", "landed by other:old.txt"])
async def test_a_label_with_or_without_a_path_is_a_marker(job: Job, label: str) -> None:
    """Git adds the path to it where a side has renamed the file."""
    text = f"<<<<<<< {label}\na\n=======\nb\n"

    assert (await job.patch(await job.changed({"x.txt": text}))).markers == ("x.txt",)
    only_mine = "b\n>>>>>>> yours:new.txt\n"
    assert (await job.patch(await job.changed({"x.txt": only_mine}))).markers == ("x.txt",)


async def test_a_document_that_explains_conflict_markers_can_be_delivered(job: Job) -> None:
    """Only the labels of our own merge are markers."""
    text = "Resolve it:\n<<<<<<< HEAD\nours\n=======\ntheirs\n>>>>>>> feature\n"
    patch = await job.patch(await job.changed({"conflicts.md": text}))

    assert patch.markers == ()


async def test_after_a_conflict_head_and_index_are_the_landed_tip(job: Job, agent: Agent) -> None:
    """`git checkout HEAD -- FILE` gives what landed, `git log` shows it, the diff shows mine."""
    theirs = "one\nTHEIRS\nthree\n"
    other = await job.patch(await job.changed({"a.txt": theirs}), task="other")
    await landed(job, job.base, other.commit)
    mine = await job.patch(await job.changed({"a.txt": "one\nMINE\nthree\n"}), task="a")
    back = await rebased(job, mine)

    agent.at = back.checkpoint
    agent.lease = agent.lease.model_copy(update={"commit": back.tip})
    told = await agent.run("git log --format=%s -1; git status --short; git diff --cached --stat")
    restored = await agent.run("git checkout -q HEAD -- a.txt; cat a.txt")

    assert told.text == "Do other\n M a.txt\n[exit code 0]"
    assert restored.text == f"{theirs}[exit code 0]"
    assert (await agent.run("git rev-parse HEAD")).text.startswith(back.tip)
    assert (await agent.run("git branch --show-current")).text.startswith(BRANCH)


async def test_what_an_agent_commits_stays_until_its_base_changes(job: Job, agent: Agent) -> None:
    """HEAD is brought to the base once, not at every call."""
    await agent.run("echo x > x.txt; git add x.txt; git commit -qm mine")

    assert (await agent.run("git log --format=%s -1")).text == "mine\n[exit code 0]"


ODD = os.fsdecode(b"odd\xe9.txt")
"""A name that is not UTF-8."""


async def test_a_conflict_in_a_file_whose_name_is_not_utf8_is_told_and_kept(job: Job) -> None:
    """The queue answers, the agent gets markers, and what it makes of them can land."""
    first = await job.patch(await job.changed({ODD: "one\n"}), task="first")
    start = await landed(job, job.base, first.commit) or ""
    other = await job.patch(await job.changed({ODD: "theirs\n"}, on=start), task="b", base=start)
    assert await landed(job, start, other.commit)
    mine = await job.patch(await job.changed({ODD: "mine\n"}, on=start), task="mine", base=start)

    chain = await chained(job, mine)
    back = await rebased(job, mine)

    assert chain.links[0].conflicts == ("odd\\xe9.txt",)
    verdict = MergeVerdict(id="mine", conflicts=chain.links[0].conflicts)
    assert MergeVerdict.model_validate_json(verdict.model_dump_json()) == verdict
    assert back.conflicts == ("odd\ufffd.txt",)
    assert "both changed the same lines" in back.feedback
    assert "<<<<<<< landed by b\ntheirs\n" in (await files(job, back.checkpoint))[ODD]
    united = await job.changed({ODD: "theirs\nmine\n"}, on=back.checkpoint)
    again = await job.patch(united, task="mine", base=back.tip, number=1)
    assert (again.undone, again.problem) == ((), "")
    assert await landed(job, back.tip, again.commit)
