"""The card: it says what waits and how to answer, and nobody's words become markup in it."""

import json
import re
import subprocess

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contracts.approvals import AnswerRecord, Approval, ApprovalKind
from contracts.checks import CheckResult
from contracts.permissions import AllowedRule
from contracts.request import RequestStatus
from contracts.task import TaskState, TaskStatus
from contracts.visibility import RunState
from domain.approvals.questions import REVISABLE
from domain.request.markdown import card
from domain.text import visible

PROPERTY = settings(deadline=None, max_examples=150)
WORDS = st.text(
    alphabet=st.one_of(st.characters(), st.sampled_from("`*_[]()<>!&$#|~-\\\n {}\"'")),
    max_size=200,
)
PLAN = Approval(
    id="plan",
    kind=ApprovalKind.PLAN,
    what="a plan of 2 tasks",
    why="the request asks for it (approve: plan)",
    detail="Two steps.\n\n- one: the first; writes a.py\n- two (after one): the second",
    digest="0123456789abcdef" * 4,
)
TASKS = (
    TaskStatus(id="one", title="The first", state=TaskState.DONE, turns=3, tokens=12_345),
    TaskStatus(id="two", title="The second", depends_on=("one",)),
)


def status(**changes: object) -> RequestStatus:
    """A request that waits for its plan's approval."""
    base = RequestStatus(
        id="request/x",
        state=RunState.WAITING_APPROVAL,
        reason="waits for a person: a plan of 2 tasks",
        request="do two things",
        approvals=(PLAN,),
        tasks=TASKS,
    )
    return base.model_copy(update=changes)


@pytest.mark.parametrize(
    "name",
    ["request/'; touch x; '", "request/a```\ntouch x\n```", "request/`x`", "request/\x1b[2J\u202e"],
    ids=ascii,
)
def test_no_name_breaks_out_of_the_commands(name: str) -> None:
    """A workflow id is whatever somebody typed: in the card's commands it is one word, and the
    code block ends where it should.
    """
    asked = PLAN.model_copy(update={"id": "plan'\"; x `"})
    text = card(status(id=name, approvals=(asked,), codes=True))
    block = text.split("**Or in a terminal:**\n\n")[1].split("\n```\n")[0]
    command = block.removeprefix("```text\n").split("temporal")[1]
    command = f"printf '%s\\n' {command.strip()}"
    done = subprocess.run(["bash", "-c", command], capture_output=True, check=True)

    assert text.count("```") % 2 == 0
    assert visible(text) == text
    assert name in done.stdout.decode()
    assert json.dumps({"approval": asked.id}) in done.stdout.decode()


def test_the_commands_name_the_service_where_the_temporal_cli_does_not_find_it() -> None:
    """As a line of its own that the shell joins; without need nothing is named."""
    named = card(status(service=("--address", "127.0.0.1:7999", "--namespace", "my own")))
    joined = named.replace(" \\\n  ", " ")

    assert (
        "temporal workflow signal --name approve --address 127.0.0.1:7999 --namespace 'my own' -w"
        in joined
    )
    assert "--address" not in card(status())


@pytest.mark.parametrize(
    "said",
    [
        "### WAITING_APPROVAL: waits for a person: a plan of 2 tasks",
        "**Request:** do two things",
        "#### Waits for you: a plan of 2 tasks",
        "- two (after one): the second",
        '`{"approval": "plan"}`',
        "temporal workflow signal --name approve \\\n  -w 'request/x' \\\n  --input",
        '`"digest": "0123456789abcdef"`',
        "#### Tasks: 1 of 2 done",
        "- ✓ **one** (The first): done; 3 turns, 12,345 tokens, 0.0000 USD",
        "- ○ **two** (The second): pending, after one",
    ],
)
def test_a_waiting_request_says_what_waits_and_how_to_answer(said: str) -> None:
    """Each of these stands in the card as it is."""
    assert said in card(status())


def test_an_answer_that_was_not_taken_is_shown_with_an_example_to_copy() -> None:
    """JSON stands in a code span, where the web UI leaves its quotes straight."""
    refused = AnswerRecord(
        received='{"answer": 1}', problem='The field is unknown. Answer with {"approval": "plan"}.'
    )

    shown = card(status(refused_answers=(refused,)))

    assert "#### Answers that were not taken" in shown
    assert '- `{"answer": 1}`: The field is unknown. Answer with `{"approval": "plan"}`.' in shown


@pytest.mark.parametrize("state", [RunState.CANCELLED, RunState.FAILED, RunState.DONE])
def test_a_request_that_has_ended_asks_for_nothing(state: RunState) -> None:
    """A question that was open at the end is not put to a person any more."""
    assert "Waits for you" not in card(status(state=state, reason=""))


def test_a_patch_is_named_by_its_object() -> None:
    """What is too long for a card can be read in the store."""
    patch = PLAN.model_copy(update={"artefact": "c" * 40})

    assert f"object `{'c' * 40}` of the request's store" in card(status(approvals=(patch,)))


def test_the_end_shows_branch_checks_and_cost() -> None:
    """A failed check stands out, and a pipe in a command stays what it is."""
    shown = card(
        status(
            state=RunState.DONE,
            approvals=(),
            branch="orchestcode/x",
            commit="a" * 40,
            diffstat=" a.py | 2 +-",
            checks=(
                CheckResult(command="grep x a.py | wc -l", exit_code=0, seconds=0.12),
                CheckResult(command="false", exit_code=1, seconds=3),
            ),
            model="some-model (rehearsed)",
            cost_usd=0.5,
            budget_usd=10,
        )
    )

    assert "Branch `orchestcode/x` at `aaaaaaaaaaaa`\n\n```text\n a.py | 2 +-\n```" in shown
    assert "- passed: `grep x a.py | wc -l` (0.1 s)" in shown
    assert "- **FAILED**: `false` (3.0 s)" in shown
    assert "Model: some-model (rehearsed). Cost: 0.5000 of 10.00 USD." in shown


@pytest.mark.parametrize(
    ("words", "shown"),
    [
        ("![x](http://a/b.png)", r"!\[x\](http://a/b.png)"),
        ("<img src=x> &amp;", r"\<img src=x\> \&amp;"),
        ("*a* _b_ snake_case ~~c~~", r"\*a\* \_b\_ snake_case \~\~c\~\~"),
        ("$1 and $2, see --check", r"\$1 and \$2, see \--check"),
        ("a\n# b", "a # b"),
        ("`code`", r"\`code\`"),
    ],
)
def test_words_of_others_form_no_markup(words: str, shown: str) -> None:
    """No link, image, HTML, emphasis, formula or heading comes from a request, plan or reason."""
    told = card(status(request=words, reason=words))

    assert f"**Request:** {shown}\n" in told
    assert f"### WAITING_APPROVAL: {shown}\n" in told


def test_code_is_short_enough_for_half_a_window() -> None:
    """The web UI does not wrap code: long lines of a detail are wrapped, with their indent."""
    detail = "  - " + "word " * 60 + "x" * 200
    told = card(status(approvals=(PLAN.model_copy(update={"detail": detail}),)))

    block = re.findall(r"```text\n(.*?)\n```", told, re.DOTALL)[0].split("\n")

    assert max(map(len, block)) <= 64
    assert block[0].startswith("  - word")
    assert all(line.startswith("    ") for line in block[1:])


def test_a_detail_cannot_leave_its_code_block() -> None:
    """Whatever stands in a detail stays code."""
    hostile = PLAN.model_copy(update={"detail": "a\n```\n# Approved\n```text\nb"})

    told = card(status(approvals=(hostile,)))

    assert told.count("```") == 4


@given(words=WORDS, many=st.integers(1, 12), tasks=st.integers(0, 64))
@PROPERTY
def test_a_card_is_never_too_long_and_every_waiting_thing_can_be_answered(
    words: str, many: int, tasks: int
) -> None:
    """However much is said, the card keeps its limit and names how to answer each question."""
    long = (words * 60)[:3_900]
    waiting = tuple(
        PLAN.model_copy(update={"id": f"review/t{place}/1", "detail": long})
        for place in range(many)
    )
    rows = tuple(TaskStatus(id=f"t{place}", title=words[:100]) for place in range(tasks))

    told = card(status(approvals=waiting, tasks=rows, request=words, reason=words))

    assert len(told.encode()) <= 18_000
    if all(map(str.isascii, words)):
        assert all(f'{{"approval": "{each.id}"}}' in told for each in waiting)


@pytest.mark.parametrize("kind", list(ApprovalKind))
def test_a_card_offers_what_a_question_can_be_answered_with(kind: ApprovalKind) -> None:
    """Only what an agent can do again is sent back, and only a budget takes dollars."""
    told = card(status(approvals=(PLAN.model_copy(update={"kind": kind}),)))
    again = kind in REVISABLE
    assert ("`revise`" in told) == again
    assert ("or `budget` with the dollars" in told) == (kind is ApprovalKind.BUDGET)


def test_a_card_names_the_requests_that_start_once_it_has_ended() -> None:
    """As long as it has not: then they have begun, or never will."""
    follow_ups = ("request/then-1a2b3c: document *it*",)
    told = card(status(follow_ups=follow_ups))
    assert "#### Starts once this has ended\n\n- request/then-1a2b3c: document \\*it\\*" in told
    ended = card(status(state=RunState.DONE, approvals=(), follow_ups=follow_ups))
    assert "then-1a2b3c" not in ended


def test_a_card_says_how_a_call_is_allowed_for_the_rest_of_a_request() -> None:
    """With the input for the web UI; then by whom it was, its words without any markup."""
    asked = PLAN.model_copy(update={"rules": ("Bash(make)",), "detail": "Bash(make)"})
    assert '{"approval": "plan", "for_request": true}' in card(status(approvals=(asked,)))
    assert "for_request" not in card(status())
    rule = AllowedRule(text="Bash(make `x`)", by="*Ann*", approval="tool/a/1")
    text = card(status(allowed=(rule,)))

    assert "- `Bash(make 'x')` by \\*Ann\\*" in text
