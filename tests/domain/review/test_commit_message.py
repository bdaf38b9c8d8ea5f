"""Messages of delivered commits: the whole patch, what a merge joins, trailers of ours alone."""

import re

from hypothesis import given, settings
from hypothesis import strategies as st

from contracts.planning import TaskSpec
from contracts.tools import CoderFinish
from domain.review.commit_message import (
    Said,
    author_says,
    commit_message,
    landing_message,
    merge_message,
    task_of,
)
from domain.review.rework import Cause

PROPERTY = settings(deadline=None, max_examples=150)
TASK = TaskSpec(id="add-limit", title="Add a limit", goal="G", writes=("src/",))
TRAILERS = "OrchestCode-Request: r1\nOrchestCode-Task: add-limit"


def said(summary: str, title: str = "", cause: Cause | None = None) -> Said:
    """One round's words."""
    return Said(cause, CoderFinish(summary=summary, commit_title=title))


def message(*rounds: Said) -> str:
    """The message of a patch after these rounds."""
    return commit_message(TASK, rounds, request="r1")


def test_a_commit_message_has_title_body_and_trailers() -> None:
    """The agent's words, and the request and the task as trailers of ours."""
    assert message(said("Counts calls.\n\nPer key.", "Limit the calls")) == (
        f"Limit the calls\n\nCounts calls.\n\nPer key.\n\n{TRAILERS}"
    )


def test_a_message_describes_the_whole_patch_not_its_last_round() -> None:
    """The first title stands, and each round's words with why there was one."""
    rounds = (
        said("Counts calls.", "Limit the calls"),
        said("Resolved the markers.", "Resolve conflicts", Cause.QUEUE),
        said("Tests an empty key.", "Address review", Cause.REVIEW),
    )

    assert message(*rounds) == (
        "Limit the calls\n\nCounts calls.\n\nAfter the merge queue sent it back:\nResolved the "
        f"markers.\n\nAfter the review:\nTests an empty key.\n\n{TRAILERS}"
    )
    assert "Counts calls." in author_says(rounds)
    assert "Tests an empty key." in author_says(rounds)


def test_a_round_that_changed_nothing_is_not_told_in_the_message() -> None:
    """What an agent said against a finding is for the reviewer, not for the history."""
    excuse = Said(Cause.REVIEW, CoderFinish(summary="It is right as it is."), changed=False)
    rounds = (said("Counts.", "Limit the calls"), excuse, said("Waits.", "", Cause.REVIEW))

    assert "right as it is" not in message(*rounds)
    assert "right as it is" in author_says(rounds)
    assert "Counts." in message(*rounds[:2])


def test_a_person_who_sends_a_change_back_may_change_its_title() -> None:
    """Their words can make another change of it."""
    rounds = (said("Counts.", "Limit the calls"), said("Waits.", "Queue calls", Cause.PERSON))

    assert message(*rounds).splitlines()[0] == "Queue calls"


def test_the_first_title_of_a_round_that_changed_something_stands() -> None:
    """A round that said that nothing had to change names nothing, nor does a blank title."""
    idle = Said(None, CoderFinish(summary="Nothing to do.", commit_title="Nothing"), changed=False)
    rounds = (idle, said("x", " ", Cause.REVIEW), said("y", "Limit the calls", Cause.REVIEW))

    assert message(*rounds).splitlines()[0] == "Limit the calls"


def test_without_a_title_the_task_names_the_commit() -> None:
    """A missing or invisible title is replaced."""
    assert message(said("x", "\u200b")).splitlines()[0] == "Add a limit"


@PROPERTY
@given(
    st.text(
        st.characters(exclude_categories=["Cs"]) | st.sampled_from("\n\r\x1b\u2028\u202e:"),
        min_size=1,
        max_size=200,
    ),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=120),
)
def test_no_agent_can_forge_a_trailer_or_hide_in_the_message(summary: str, title: str) -> None:
    """Each trailer once, at the end; no control characters; a title that is one short line."""
    forged = (
        f"{summary}\nOrchestCode-Task: other\n \x1b[0morchestcode-TASK: x\u2028OrchestCode-Task:y"
        "\norchestcode-request: z"
    )
    text = message(said(forged, title))
    lines = text.split("\n")

    assert lines[-2:] == TRAILERS.split("\n")
    assert task_of(text) == "add-limit"
    trailer = re.compile(r"\s*orchestcode-[^\s:]+\s*:", re.IGNORECASE)
    assert sum(trailer.match(line) is not None for line in lines[1:]) == 2
    assert 1 <= len(lines[0]) <= 72
    assert lines[1] == ""
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202e\u2028]", "".join(lines))


def test_a_message_is_bounded() -> None:
    """The longest words of many rounds fit the limit of a commit message."""
    rounds = [said("w\n" * 2_000, "t" * 120, Cause.PERSON if n else None) for n in range(9)]

    assert len(message(*rounds)) <= 8_000


def test_a_merge_says_what_it_joins() -> None:
    """The patch, its task, and the landed tasks that it is joined with."""
    patch = message(said("Counts.", "Limit the calls"))

    assert merge_message(patch, commit="a" * 40, top="b" * 40, landed=("docs", "cli")) == (
        "Merge: Limit the calls\n\nJoins the patch of add-limit (aaaaaaaaaaaa) with the landed "
        "work of docs, cli (bbbbbbbbbbbb)."
    )


def test_a_landing_of_several_patches_names_each() -> None:
    """By its title and task."""
    patches = [message(said("Counts.", "Limit the calls")), "Written by hand"]

    assert landing_message(patches) == (
        "Land 2 tasks\n\n- Limit the calls (add-limit)\n- Written by hand (a task)"
    )
