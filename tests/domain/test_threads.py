"""What a follow-up is told of the runs before, from where it starts, and which can wait."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.request import RequestStatus
from contracts.task import TaskState, TaskStatus
from contracts.threads import MOST_LEDGER, MOST_PAST, MOST_QUEUED, FollowUp, PastRun
from contracts.visibility import RunState
from domain import threads

OID = "a" * 40


def run(number: int, *, commit: str | None = None, text: str = "x") -> PastRun:
    """Return a run that has ended."""
    return PastRun(
        id=f"request/r{number}",
        request=f"ask {number} {text}",
        state=RunState.DONE,
        outcome=f"came {number}",
        ledger=f"Decisions:\n- [a] decided {number}" + " y" * 2_000,
        branch=f"b{number}" if commit else None,
        commit=commit,
    )


@given(st.lists(st.text(max_size=3_000), max_size=12))
def test_the_newest_runs_are_told_and_never_too_much(texts: list[str]) -> None:
    """What is left out is the oldest; what is told keeps its number and its order."""
    past = [run(number, text=text) for number, text in enumerate(texts, start=1)]
    told = threads.told(past)
    assert len(told) <= MOST_PAST
    shown = [each for each in past if f"Came to: {each.outcome}\n" in told]
    assert shown == past[len(past) - len(shown) :]
    if past and len(past[-1].request) < MOST_PAST - MOST_LEDGER:
        assert past[-1] in shown
        assert f"Its ledger:\n{past[-1].ledger}" in told
    assert all(f"- [a] decided {each.id.removeprefix('request/r')} y" in told for each in shown)


@given(st.lists(st.booleans(), max_size=8))
def test_the_next_run_starts_from_the_last_that_delivered(delivered: list[bool]) -> None:
    """By its branch, else by its commit; from nothing of the thread's when none has."""
    past = [run(n, commit=f"{n:040x}" if has else None) for n, has in enumerate(delivered)]
    with_result = [each for each in past if each.commit]
    found = threads.bases(past)
    assert found == ((with_result[-1].branch, with_result[-1].commit) if with_result else ())


def test_a_run_is_told_by_its_answers_its_branch_and_why_it_failed() -> None:
    """A question's answer is what it came to; a failure is not told as a result."""
    answered = TaskStatus(id="a", title="Which?", state=TaskState.DONE, answer="The second.")
    done = RequestStatus(
        id="request/x", state=RunState.DONE, request="Which?", summary="One look.",
        tasks=(answered,), branch="out",
    )  # fmt: skip
    assert threads.past_run(done).outcome == "One look.\nWhich?: The second."
    assert threads.past_run(done).branch is None
    failed = done.model_copy(
        update={"state": RunState.FAILED, "reason": "a is red", "commit": OID, "diffstat": "1 file"}
    )
    told = threads.past_run(failed)
    assert "Delivered on branch out:\n1 file" in told.outcome
    assert told.outcome.endswith("It ended as FAILED: a is red")
    assert (told.branch, told.commit) == ("out", OID)


def follow_up(number: int = 1, **changes: object) -> FollowUp:
    """Return a follow-up."""
    start = {"repository": "/r", "request": "more", "thread": "first", **changes}
    return FollowUp(request_id=f"request/f{number}", start=start)


@pytest.mark.parametrize(
    ("wanted", "queued", "said"),
    [
        (follow_up(), 0, ""),
        (follow_up(colour="red"), 0, "not usable"),
        (follow_up(thread=None), 0, "names its thread"),
        (FollowUp(request_id="request/own", start=follow_up().start), 0, "its own"),
        (FollowUp(request_id="other/x", start=follow_up().start), 0, "begins with"),
        (follow_up(), MOST_QUEUED, "wait already"),
    ],
)
def test_what_cannot_wait_is_refused_with_a_sentence(
    wanted: FollowUp, queued: int, said: str
) -> None:
    """Before it reaches the history of the request for which it would wait."""
    waiting = [follow_up(number) for number in range(queued)]
    problem = threads.problem(wanted, waiting, "request/own")
    assert (said in problem) if said else problem == ""
