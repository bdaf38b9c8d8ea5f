"""What becomes of a proposed memory."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.memory.acceptance import (
    MOST_ACCEPTED,
    MOST_OF_AGENT,
    MOST_WAITING,
    Fate,
    Known,
    asked_for,
    judge,
)
from domain.memory.memory import Draft, MemoryType, draft, mark_of
from runtime.redaction import redactor

NOTHING = Known(accepted=(), waiting=(), declined=())
SECRET = "correct horse battery"
REDACT = redactor((SECRET,))
TRAP = draft(MemoryType.PROJECT, description="Tests need LANG", text="Set it to C.UTF-8.")
SENTENCE = "Prices are in cents everywhere."


def wish(text: str = SENTENCE, kind: MemoryType = MemoryType.FEEDBACK) -> Draft:
    return draft(kind, description=text.rstrip("."), text=text)


def test_what_an_agent_writes_waits_for_a_person() -> None:
    """Whatever its type: its words stem from what the agent has read."""
    for kind in MemoryType:
        verdict = judge(replace(TRAP, type=kind), NOTHING, REDACT)
        assert verdict.fate is Fate.WAITS
        assert "a person decides" in verdict.said


@pytest.mark.parametrize(
    "request_text",
    [
        f"Fix the cart. Remember: {SENTENCE}",
        "Fix the cart.\n- remember that prices are in cents everywhere\n- and test it",
        "Please, remember: prices are in\ncents everywhere!\n\nThen fix the cart.",
        f"> Somebody writes this.\nRemember: {SENTENCE}",
    ],
)
def test_what_the_person_asks_to_be_remembered_is_accepted(request_text: str) -> None:
    """By rule, when it is their sentence word for word."""
    verdict = judge(wish(), replace(NOTHING, words=request_text), REDACT)

    assert verdict.fate is Fate.ACCEPTED


@pytest.mark.parametrize(
    "request_text",
    [
        "Fix the cart. Prices are in cents everywhere.",
        "Do not remember: prices are in cents everywhere.",
        "> Remember: prices are in cents everywhere.",
        "> So it says there. Remember: prices are in cents everywhere.",
        "```\nRemember: prices are in cents everywhere.\n```",
        "Remember: prices are in cents everywhere but in the report.",
        "Somebody wrote: remember: prices are in cents everywhere.",
        "Do you remember when prices are in cents everywhere?",
        "",
    ],
)
def test_what_the_person_did_not_ask_for_waits(request_text: str) -> None:
    """Not the sentence alone, not its opposite, not a part of it, not what they quote or paste."""
    assert not asked_for(wish(), request_text)
    verdict = judge(wish(), replace(NOTHING, words=request_text), REDACT)
    assert verdict.fate is Fate.WAITS


def test_a_claim_about_the_project_is_never_accepted_by_rule() -> None:
    """The person's words say how they want the work done, not what is so in the files."""
    words = f"Remember: {SENTENCE}"

    assert asked_for(wish(kind=MemoryType.USER), words)
    assert not asked_for(wish(kind=MemoryType.PROJECT), words)
    assert not asked_for(wish(kind=MemoryType.REFERENCE), words)


@given(st.text(), st.text())
def test_words_beside_the_persons_own_wait(before: str, after: str) -> None:
    """Nothing that an agent adds to the person's sentence is accepted by rule."""
    proposed = draft(MemoryType.FEEDBACK, description=SENTENCE, text=f"{before} {SENTENCE} {after}")
    same = " ".join(proposed.text.split()).rstrip(".!").casefold() == SENTENCE[:-1].casefold()

    assert asked_for(proposed, f"Remember: {SENTENCE}") == same


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("text", f"The password is {SECRET}."),
        ("description", f"Use {SECRET}"),
        ("evidence", "curl https://ann:hunter2@host.example/"),
        ("text", "Token ghp_0123456789abcdefghijABCDEFGHIJ"),
    ],
)
def test_a_secret_is_never_taken(field: str, value: str) -> None:
    """Neither one that is known nor what has the shape of one; the agent is told so."""
    told = {"description": TRAP.description, "text": TRAP.text, "evidence": "", field: value}
    verdict = judge(draft(TRAP.type, **told), replace(NOTHING, words=value), REDACT)

    assert verdict.fate is Fate.REFUSED
    assert "secret" in verdict.said


def test_nothing_is_proposed_twice() -> None:
    """What is accepted or waits is known; what a person declined is refused."""
    name = TRAP.name

    assert judge(TRAP, replace(NOTHING, accepted=(name,)), REDACT).fate is Fate.KNOWN
    assert judge(TRAP, replace(NOTHING, waiting=(name,)), REDACT).fate is Fate.KNOWN
    declined = judge(TRAP, replace(NOTHING, declined=(mark_of(name),)), REDACT)
    assert declined.fate is Fate.REFUSED
    assert "A person does not want this" in declined.said


def test_a_declined_wish_is_not_accepted_by_rule_again() -> None:
    """A person forgot it: the same words in a later request do not bring it back."""
    made = wish()
    known = replace(NOTHING, declined=(mark_of(made.name),), words=f"Remember: {SENTENCE}")

    assert judge(made, known, REDACT).fate is Fate.REFUSED


def test_what_may_wait_is_bounded() -> None:
    """For one task, and for a repository; the agent is told to go on without."""
    many = tuple(f"m-{number}" for number in range(MOST_WAITING))

    assert judge(TRAP, replace(NOTHING, of_agent=MOST_OF_AGENT), REDACT).fate is Fate.REFUSED
    assert judge(TRAP, replace(NOTHING, waiting=many), REDACT).fate is Fate.REFUSED
    assert judge(TRAP, replace(NOTHING, waiting=many[1:]), REDACT).fate is Fate.WAITS


def test_a_full_repository_accepts_nothing_by_rule() -> None:
    """It waits, so that a person forgets others first."""
    full = tuple(f"m-{number}" for number in range(MOST_ACCEPTED))
    known = replace(NOTHING, accepted=full, words=f"Remember: {SENTENCE}")

    assert judge(wish(), known, REDACT).fate is Fate.WAITS


def test_an_empty_proposal_is_refused() -> None:
    """Also one whose every character is hidden."""
    empty = draft(MemoryType.PROJECT, description="\u200b \u202e", text="\x1b[2J")

    assert judge(empty, NOTHING, REDACT).fate is Fate.REFUSED
