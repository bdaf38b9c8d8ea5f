"""The inbox: what people type is understood or refused in words; each question is decided once."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contracts.approvals import Answer, Approval, ApprovalKind, Choice, Decide, Decision
from contracts.permissions import AllowedRule
from domain.approvals.inbox import ApprovalInbox
from domain.approvals.reading import parse_answer

PROPERTY = settings(deadline=None, max_examples=200)
DIGEST = "0123456789abcdef" * 4


def approval(key: str = "plan", digest: str = DIGEST, asked_by: str | None = None) -> Approval:
    """A question by its id."""
    return Approval(
        id=key,
        kind=ApprovalKind.PLAN,
        what=f"Look at {key}",
        why="you asked for it",
        digest=digest,
        asked_by=asked_by,
        deadline_seconds=100,
    )


PLAN, REVIEW = approval(), approval("review/add-limit/0", "f" * 64)
APPROVED = Decision(approval="plan", choice=Choice.APPROVE, by="a person", digest=DIGEST)


@pytest.mark.parametrize(
    "payload",
    [
        "plan",
        " Plan ",
        '"plan"',
        {"approval": "plan"},
        {"id": "plan"},
        {"request_id": "plan"},
        {"approval_id": "PLAN", "reason": None},
        {"Approval": "plan", "id": "plan"},
        '{"approval": "plan"}',
        '"{\\"id\\": \\"plan\\"}"',
        ["plan"],
        [{"id": "plan"}],
        Answer(approval="plan"),
        Decide(choice=Choice.APPROVE, approval="plan"),
        {"approval": "plan", "digest": DIGEST},
        {"approval": "plan", "digest": DIGEST[:12].upper()},
    ],
    ids=repr,
)
def test_an_answer_is_found_however_it_names_its_question(payload: object) -> None:
    """Bare, in an object, quoted twice, in a list, or as a model."""
    assert parse_answer(payload, Choice.APPROVE, pending=(PLAN, REVIEW)) == APPROVED


@pytest.mark.parametrize(
    "payload",
    [
        None,
        True,
        "",
        "  ",
        "yes",
        "OK",
        "true",
        {},
        {"approval": ""},
        "{}",
        "null",
        [None],
        Answer(),
    ],
    ids=repr,
)
def test_with_one_question_its_name_may_be_left_out(payload: object) -> None:
    """Nothing at all means the only one; with two it means nothing."""
    assert parse_answer(payload, Choice.APPROVE, pending=(PLAN,)) == APPROVED

    problem = parse_answer(payload, Choice.APPROVE, pending=(PLAN, REVIEW))
    assert isinstance(problem, str)
    assert "Say which approval you mean. Waiting: 'plan' (Look at plan)" in problem
    assert 'Answer with {"approval": "plan"}.' in problem


def test_reason_and_name_come_along() -> None:
    """Also under the words that people use for them."""
    payload = {"id": "plan", "comment": " too big ", "user": "Ada"}
    found = parse_answer(payload, Choice.REJECT, pending=(PLAN,))

    assert found == Decision(
        approval="plan", choice=Choice.REJECT, reason="too big", by="Ada", digest=DIGEST
    )


@pytest.mark.parametrize(
    ("payload", "words"),
    [
        ("plna", "Nothing called 'plna' waits for an answer. Waiting: 'plan'"),
        ("\x1b[31mx\u202e", "Nothing called 'x' waits"),
        (False, "`false` is not clear"),
        (7, "cannot be a value of type int"),
        (["plan", "plan"], "cannot be a value of type list"),
        ({"aproval": "plan"}, "The field 'aproval' is unknown; known are approval, digest"),
        ({"approval": 3}, "The field 'approval' must be a text."),
        ({"approval": "plan", "id": "other"}, "gives its approval twice, and not the same"),
        ({"approval": "plan", "digest": "f" * 64}, "'plan' has changed since you looked"),
        ({"approval": "plan", "digest": DIGEST[:11]}, "'plan' has changed since you looked"),
        ('{"approval": ', "Nothing called '{\"approval\":' waits"),
    ],
    ids=repr,
)
def test_what_cannot_be_taken_is_told_in_a_sentence(payload: object, words: str) -> None:
    """The sentence names the trouble, and what waits where that helps."""
    problem = parse_answer(payload, Choice.APPROVE, pending=(PLAN,))

    assert isinstance(problem, str)
    assert words in problem


def test_an_answer_to_an_empty_desk_is_told_so() -> None:
    """Nothing waits, whatever was meant."""
    payloads: tuple[object, ...] = (None, "plan", {})
    for payload in payloads:
        problem = parse_answer(payload, Choice.APPROVE, pending=())
        assert isinstance(problem, str)
        assert problem.endswith("Nothing waits for an answer now.")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["approval", "id", "digest", "by", "x"]), inner, max_size=3
        )
    ),
    max_leaves=8,
)


@PROPERTY
@given(st.lists(st.tuples(JSON, st.sampled_from(list(Choice))), max_size=30))
def test_no_answer_is_lost_and_the_first_one_wins(
    given_answers: list[tuple[object, Choice]],
) -> None:
    """Each answer decides one waiting question or is kept with a problem; nothing raises."""
    inbox = ApprovalInbox().open(PLAN, now=0).open(REVIEW, now=0)
    first: dict[str, Choice] = {}
    for payload, choice in given_answers:
        problem = inbox.problem(payload, choice)
        taken = inbox.take(payload, choice)
        assert (taken.decision is None) == (problem is not None)
        if taken.decision is None:
            assert taken.message == problem
            assert taken.inbox.refused[-1].problem
            assert taken.inbox.decided == inbox.decided
        else:
            assert taken.decision.approval not in first
            first[taken.decision.approval] = choice
        inbox = taken.inbox

    assert {each.approval: each.choice for each in inbox.decided} == first
    assert len(inbox.pending) + len(first) == 2
    assert len(inbox.refused) <= 20
    assert ApprovalInbox.model_validate_json(inbox.model_dump_json()) == inbox


def test_the_second_answer_hears_who_was_first() -> None:
    """A late answer is refused with the name and the outcome, and kept."""
    inbox = ApprovalInbox().open(PLAN, now=0).open(REVIEW, now=0)
    inbox = inbox.take({"id": "plan", "by": "Ada"}, Choice.APPROVE).inbox
    late = inbox.take({"id": "plan", "by": "Bob"}, Choice.REJECT)

    assert late.decision is None
    assert late.message == "'plan' was already approved by Ada."
    assert late.inbox.refused[-1].received == '{"id": "plan", "by": "Bob"}'
    decided = inbox.decision("plan")
    assert decided is not None
    assert decided.choice is Choice.APPROVE


def test_a_decision_carries_what_it_was_about() -> None:
    """Who, what and the digest, whatever the person gave; and who waits for it."""
    inbox = ApprovalInbox().open(approval(asked_by="task/1"), now=0)
    taken = inbox.take("", Choice.APPROVE)

    assert taken.decision == Decision(
        approval="plan", choice=Choice.APPROVE, by="a person", digest=DIGEST
    )
    assert taken.message == "'plan' is approved by a person."
    assert taken.asked_by == "task/1"
    assert taken.inbox.pending == ()


def test_a_revision_needs_words() -> None:
    """An agent cannot work on "do it again"."""
    inbox = ApprovalInbox().open(PLAN, now=0)

    assert inbox.take("plan", Choice.REVISE).message == (
        'Say what to change, with a reason: {"approval": "plan", "reason": "..."}.'
    )
    taken = inbox.take({"id": "plan", "reason": "smaller"}, Choice.REVISE)
    assert taken.decision is not None
    assert taken.decision.reason == "smaller"


def test_a_question_that_changed_refuses_the_answer_to_the_old_one() -> None:
    """The digest seen must be the one that waits; the same question changes nothing."""
    inbox = ApprovalInbox().open(PLAN, now=0)
    assert inbox.open(PLAN, now=50) == inbox
    changed = inbox.open(approval(digest="e" * 64), now=50)

    assert changed.take({"id": "plan", "digest": DIGEST}, Choice.APPROVE).decision is None
    assert [each.digest for each in changed.pending] == ["e" * 64]
    assert changed.due() == 125


def test_a_question_asked_again_after_its_answer_waits_again() -> None:
    """The old decision no longer counts."""
    inbox = ApprovalInbox().open(PLAN, now=0).take("plan", Choice.REJECT).inbox
    again = inbox.open(approval(digest="e" * 64), now=10)

    assert again.decision("plan") is None
    assert again.take("plan", Choice.APPROVE).decision is not None


def test_a_person_is_reminded_once_with_a_quarter_of_the_time_left() -> None:
    """Of what is due by then; after that its deadline is what is waited for."""
    inbox = ApprovalInbox().open(PLAN, now=0).open(REVIEW, now=60)
    assert inbox.remind(74.9) == (inbox, ())
    after, reminded = inbox.remind(75)

    assert reminded == (PLAN,)
    assert [each.approval.id for each in after.urgent] == ["plan"]
    assert after.due() == 100
    assert after.remind(90) == (after, ())
    assert after.expire(100)[0].due() == 135
    later, both = inbox.remind(500)
    assert both == (PLAN, REVIEW)
    assert later.due() == 100


def test_silence_means_no() -> None:
    """What is overdue is denied, in order; the rest waits on."""
    inbox = ApprovalInbox().open(PLAN, now=0).open(REVIEW, now=60)
    assert inbox.due() == 75
    assert inbox.expire(99.9) == (inbox, ())
    after, denials = inbox.expire(100)

    assert [each.decision and each.decision.choice for each in denials] == [Choice.REJECT]
    assert denials[0].message == "'plan' is denied: nobody answered within 100 seconds"
    assert after.pending == (REVIEW,)
    assert after.take("plan", Choice.APPROVE).message == (
        "'plan' was already rejected by the deadline."
    )
    assert ApprovalInbox().due() is None


def test_questions_of_a_workflow_that_ended_are_taken_back() -> None:
    """Nobody is asked for nobody."""
    inbox = ApprovalInbox().open(PLAN, now=0).open(approval("tool/1", asked_by="agent/1"), now=0)

    assert inbox.withdraw_of("agent/1").pending == (PLAN,)


def test_only_the_last_refused_answers_are_kept_and_they_are_short() -> None:
    """History does not grow with somebody's persistence."""
    inbox = ApprovalInbox().open(PLAN, now=0)
    for number in range(30):
        inbox = inbox.take({"approval": f"wrong {number} " + "x" * 1_000}, Choice.APPROVE).inbox

    assert [each.received[:21] for each in inbox.refused] == [
        json.dumps({"approval": f"wrong {number} "})[:21] for number in range(10, 30)
    ]
    assert all(len(each.received) <= 300 for each in inbox.refused)


# ---- questions that share their answer


def setup(task: str, digest: str = DIGEST, same: str = "bow") -> Approval:
    """A question whether a task's setup may run."""
    return approval(f"setup/{task}/1", digest, f"agent/{task}").model_copy(
        update={"shared": same, "commit": task * 40}
    )


A, B, C = setup("a"), setup("b", "f" * 64), setup("c", same="tie")


def test_questions_of_the_same_content_are_one_and_have_one_answer() -> None:
    """The first is shown and names the others; each asker hears what the person saw."""
    inbox = ApprovalInbox().open(A, now=0).open(B, now=5).open(C, now=6).open(B, now=7)
    assert [each.id for each in inbox.pending] == [A.id, C.id]
    assert inbox.pending[0].why == (
        "you asked for it Your answer also counts for b, which asks for the same."
    )
    taken = inbox.take({"approval": A.id, "digest": DIGEST}, Choice.APPROVE)
    decision = taken.decision
    assert decision is not None
    assert (decision.shared, decision.commit) == ("bow", "a" * 40)
    assert taken.others == ((B.asked_by, decision.model_copy(update={"approval": B.id})),)
    assert taken.inbox.decision(B.id) == taken.others[0][1]
    assert [each.id for each in taken.inbox.pending] == [C.id]


def test_a_shared_question_whose_first_asker_has_ended_is_that_of_the_next() -> None:
    """Its own, with its digest; nobody else waits for it."""
    inbox = ApprovalInbox().open(A, now=0).open(B, now=5).withdraw_of("agent/a")
    assert inbox.pending == (B,)
    assert inbox.withdraw_of("agent/b").pending == ()
    assert ApprovalInbox().open(A, now=0).open(B, now=5).withdraw(A.id).pending == (B,)


def test_a_deadline_denies_a_shared_question_for_all_who_wait() -> None:
    """Each hears of it, and a later question of the same is asked."""
    inbox, (denied,) = ApprovalInbox().open(A, now=0).open(B, now=99).expire(100)
    assert [asker for asker, _ in denied.others] == [B.asked_by]
    assert inbox.pending == ()
    assert inbox.answered_before(setup("d")) is None


@pytest.mark.parametrize("choice", [Choice.APPROVE, Choice.REJECT])
def test_an_answer_counts_for_other_tasks_that_ask_later_and_not_for_its_own(
    choice: Choice,
) -> None:
    """A task that asks again has changed something, or was told to."""
    inbox = ApprovalInbox().open(A, now=0).take("", choice).inbox
    earlier = inbox.answered_before(B)
    assert earlier is not None
    assert (earlier.approval, earlier.choice, earlier.commit) == (B.id, choice, A.commit)
    assert inbox.answered_before(A.model_copy(update={"id": "setup/a/2"})) is None
    assert inbox.answered_before(C) is None
    assert inbox.reuse(earlier).answered_before(B.model_copy(update={"id": "setup/b/2"})) is None


def test_questions_without_a_shared_content_stay_apart() -> None:
    """Also those of equal digest."""
    apart = (approval("x"), approval("y"))
    assert ApprovalInbox().open(apart[0], now=0).open(apart[1], now=0).pending == apart


QUESTIONS = st.sampled_from([setup(task, same=same) for task in "abcd" for same in ("", "x", "y")])
STEPS = st.lists(
    st.tuples(st.just("open"), QUESTIONS)
    | st.tuples(st.sampled_from(["approve", "withdraw", "ended", "expire"]), QUESTIONS),
    max_size=30,
)


@PROPERTY
@given(STEPS)
def test_every_question_waits_in_one_place_and_is_decided_or_withdrawn_once(
    steps: list[tuple[str, Approval]],
) -> None:
    """Whatever joins, is answered, ends or expires; no two that share an answer are shown."""
    inbox, expected = ApprovalInbox(), set[str]()
    for now, (step, each) in enumerate(steps):
        if step == "open":
            inbox = inbox.open(each, now=now)
            expected.add(each.id)
        elif step == "approve" and each.id in {one.id for one in inbox.pending}:
            taken = inbox.take(each.id, Choice.APPROVE)
            inbox = taken.inbox
            assert taken.decision is not None
            expected -= {each.id, *(other.approval for _, other in taken.others)}
        elif step == "withdraw":
            inbox = inbox.withdraw(each.id)
            expected.discard(each.id)
        elif step == "ended":
            inbox = inbox.withdraw_of(str(each.asked_by))
            expected.discard(each.id)
        elif step == "expire":
            inbox, _ = inbox.expire(1e9)
            expected.clear()
        waiting = [one for held in inbox.waiting for one in (held.approval, *held.joined)]
        assert sorted(one.id for one in waiting) == sorted(expected)
        shown = [held.approval.shared for held in inbox.waiting if held.approval.shared]
        assert len(shown) == len(set(shown))
    assert ApprovalInbox.model_validate_json(inbox.model_dump_json()) == inbox


# ---- what an answer allows for the rest of the request


def call(name: str, *rules: str) -> Approval:
    """A question about a tool call, whose answer can allow these rules."""
    return approval(f"tool/{name}/1", asked_by=f"agent/{name}").model_copy(update={"rules": rules})


MAKE, BOTH, TEST = (
    call("a", "Bash(make)"),
    call("b", "Bash(make)", "Bash(test)"),
    call("c", "Bash(test)"),
)


@pytest.mark.parametrize(
    "payload",
    [
        {"approval": MAKE.id, "for_request": True, "by": "Ann"},
        {"approval": MAKE.id, "always": "yes", "by": "Ann"},
        Answer(approval=MAKE.id, for_request=True, by="Ann"),
        Decide(choice=Choice.APPROVE, approval=MAKE.id, for_request=True, by="Ann"),
    ],
    ids=repr,
)
def test_an_answer_for_the_request_adds_its_rules_and_says_who_and_when(payload: object) -> None:
    """And what else waits of which the rules speak is settled with it, nothing else."""
    same = MAKE.model_copy(update={"id": "tool/d/1", "asked_by": "agent/d"})
    inbox = ApprovalInbox()
    for each in (MAKE, BOTH, TEST, same, PLAN):
        inbox = inbox.open(each, now=0)
    taken = inbox.take(payload, Choice.APPROVE, now=7.0)

    rule = AllowedRule(text="Bash(make)", by="Ann", approval=MAKE.id, at=7.0)
    assert taken.inbox.allowed == (rule,)
    assert taken.message == (
        f"'{MAKE.id}' is approved by Ann. Allowed for the rest of the request: `Bash(make)`."
    )
    assert taken.inbox.pending == (BOTH, TEST, PLAN)
    ((asker, decision),) = taken.others
    assert (asker, decision.approval, decision.choice) == ("agent/d", same.id, Choice.APPROVE)
    assert (decision.digest, decision.by) == (same.digest, "Ann")
    assert taken.inbox.answered_before(call("e", "Bash(make)")) is not None
    assert taken.inbox.answered_before(BOTH) is None
    assert taken.inbox.answered_before(PLAN) is None


def test_an_approval_for_once_adds_no_rule() -> None:
    """The next such call is asked about."""
    for payload in (MAKE.id, {"approval": MAKE.id, "for_request": False}):
        taken = ApprovalInbox().open(MAKE, now=0).take(payload, Choice.APPROVE)
        assert taken.decision is not None
        assert (taken.decision.rules, taken.inbox.allowed) == ((), ())


@pytest.mark.parametrize(
    ("asked", "choice", "why"),
    [
        (MAKE, Choice.REJECT, "Only an approval can count for the rest of the request"),
        (PLAN, Choice.APPROVE, "'plan' can be approved for this once alone"),
    ],
)
def test_what_cannot_count_for_the_request_is_refused(
    asked: Approval, choice: Choice, why: str
) -> None:
    """And kept: the question waits on."""
    payload = {"approval": asked.id, "for_request": True, "reason": "r"}
    taken = ApprovalInbox().open(asked, now=0).take(payload, choice)

    assert taken.decision is None
    assert taken.message.startswith(why)
    assert taken.inbox.pending == (asked,)


def test_rules_of_earlier_attempts_count_and_those_that_were_not_pinned_do_not() -> None:
    """What stands in the store is what is in force."""
    earlier = AllowedRule(text="Bash(test)", by="Bob", approval="tool/z/1")
    inbox = ApprovalInbox().begun([earlier]).open(MAKE, now=0)
    assert inbox.answered_before(TEST) is not None
    after = inbox.take({"id": MAKE.id, "for_request": True}, Choice.APPROVE).inbox

    assert after.in_force(["Bash(make)"], [earlier]).allowed == (earlier,)
    assert after.in_force(["Bash(make)"], after.allowed) == after


def test_a_question_says_since_when_it_waits_and_until_when() -> None:
    """In seconds since the epoch, once it waits."""
    (waits,) = ApprovalInbox().open(PLAN, now=50).asked

    assert (waits.since, waits.until) == (50, 150)
    assert PLAN.until == 0
