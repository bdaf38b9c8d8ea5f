"""Codes: what each allows, and nothing else."""

from dataclasses import dataclass

import pytest

from contracts.agent import Note
from contracts.approvals import Approval, ApprovalKind, Choice
from contracts.request import RequestStart
from domain.approvals import codes
from domain.approvals.reading import without_code

SECRET = b"s" * 64
PLAN = Approval(
    id="plan", kind=ApprovalKind.PLAN, what="a plan", why="asked for", digest="d" * 64, asked=1
)
START = RequestStart(repository="/srv/shop", request="Fix the cart", checks=("make test",))
NOTE = Note(text="short, please", task="a")


@dataclass(frozen=True)
class Asked:
    """What an answer's code is made of."""

    secret: bytes = SECRET
    request: str = "request/mine"
    run: str = "run-1"
    plan: Approval = PLAN
    choice: str = Choice.APPROVE

    def code(self) -> str:
        """Return the code."""
        return codes.answer_code(self.secret, self.request, self.run, self.plan, self.choice)


@pytest.mark.parametrize(
    "other",
    [
        Asked(secret=b"t" * 64),
        Asked(request="request/yours"),
        Asked(run="run-2"),
        Asked(plan=PLAN.model_copy(update={"id": "delivery"})),
        Asked(plan=PLAN.model_copy(update={"digest": "e" * 64})),
        Asked(plan=PLAN.model_copy(update={"asked": 2})),
        Asked(choice=Choice.REJECT),
    ],
)
def test_the_code_of_an_answer_is_of_no_use_for_another(other: Asked) -> None:
    """Another home, request, run, question, content, the same question again, another choice."""
    assert other.code() != Asked().code()
    assert len(Asked().code()) == 20


def test_the_code_of_a_start_or_a_note_holds_for_exactly_this_one() -> None:
    """Each field counts, but the code's own; where a text ends and another begins does too."""
    start = codes.start_code(SECRET, "request/mine", START)
    note = codes.note_code(SECRET, "request/mine", "run", NOTE)

    signed = START.model_copy(update={"code": start})
    assert codes.start_code(SECRET, "request/mine", signed) == start
    for changed in ({"repository": "/etc"}, {"checks": ("cat /etc/passwd",)}, {"base": "x"}):
        assert codes.start_code(SECRET, "request/mine", START.model_copy(update=changed)) != start
    assert codes.start_code(SECRET, "request/other", START) != start
    assert codes.note_code(SECRET, "request/mine", "run", Note(text="short, pleasea")) != note
    assert codes.note_code(SECRET, "request/min", "erun", NOTE) != note


def test_a_code_is_read_as_people_type_it() -> None:
    """In capitals, with blanks; anything else is another code, whatever its characters."""
    code = Asked().code()

    assert codes.same(f" {code[:10].upper()} {code[10:]}", code)
    assert not codes.same("", code)
    assert not codes.same("\ud800ä", code)
    assert not codes.same(code[:-1], code)


def test_a_refused_answer_is_shown_without_its_code() -> None:
    """In whatever form it came; who reads the card must not be able to send the answer."""
    assert "secretcode" not in str(without_code({"approval": "plam", "code": "secretcode"}))
    assert "secretcode" not in str(without_code('{"approval": "plam", "code": "secretcode"}'))
    assert without_code({"approval": "plam"}) == {"approval": "plam"}
