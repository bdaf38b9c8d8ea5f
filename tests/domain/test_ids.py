"""Names that land in histories, refs and branches."""

import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from contracts import roles
from domain import branches, ids

TEXT = st.text(max_size=200)
WORD = st.text(min_size=1, max_size=80)


@given(TEXT, st.integers(min_value=4, max_value=64))
def test_a_slug_is_short_plain_and_never_empty(text: str, limit: int) -> None:
    """Any text becomes letters, digits and single hyphens that fit everywhere."""
    made = ids.slug(text, limit)

    assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", made)
    assert len(made) <= max(limit, len("request"))


@pytest.mark.parametrize(
    ("text", "made"),
    [
        pytest.param("Fix the Parser!", "fix-the-parser", id="words"),
        pytest.param("Zähler größer", "zahler-groer", id="accents"),
        pytest.param("修正", "request", id="no letter of ours"),
        pytest.param("a" * 50, "a" * 32, id="one long word"),
        pytest.param(
            "add rate limiting to the public interface",
            "add-rate-limiting-to-the-public",
            id="cut between words",
        ),
    ],
)
def test_slugs(text: str, made: str) -> None:
    """The names that people see."""
    assert ids.slug(text) == made


@given(WORD, WORD, WORD)
@example("0", "\0", "0")
@example("", "\1\2", "\0")
def test_a_digest_keeps_its_parts_apart(first: str, second: str, third: str) -> None:
    """Moving a character from one part to the next is another name."""
    assert ids.digest(first, second + third) != ids.digest(first + second, third)
    assert len(ids.digest(first)) == 10


@given(WORD, WORD, WORD)
def test_every_ref_is_one_that_git_takes(request: str, task: str, call: str) -> None:
    """Whatever a person or a model says, the refs made from it are legal and below refs/oc."""
    key = ids.request_key(f"request/{request}", call)
    name = ids.slug(task)
    conversation = ids.conversation_id(request, task, 0)
    journal_key = ids.call_id(conversation, call)
    refs = [
        ids.base_ref(key), ids.began_ref(key), ids.checkpoint_ref(key, name, journal_key),
        ids.call_ref(key, name, journal_key), ids.patch_ref(key, name, 1),
        ids.rebase_ref(key, name, 1), ids.candidate_ref(key, "0" * 40),
        ids.checks_ref("0" * 40, ids.digest(task)), ids.conversation_ref(conversation),
        ids.target_ref(ids.target_name(request, task)), ids.claim_ref(request),
        ids.abandoned_ref(conversation, "0" * 40),
    ]  # fmt: skip

    assert all(ref.startswith("refs/oc/") for ref in refs)
    assert [branches.problem(ref.removeprefix("refs/")) for ref in refs] == [None] * len(refs)
    assert len(set(refs)) == len(refs)


@given(WORD, WORD)
def test_a_suggested_branch_is_a_branch(request: str, run: str) -> None:
    """What the system offers it can also deliver."""
    key = ids.request_key(f"request/{request}", run)

    assert branches.problem(ids.branch_name(request, key)) is None


@given(WORD, WORD, WORD)
def test_a_request_id_used_again_is_another_request(request: str, one: str, two: str) -> None:
    """Refs of two runs of one workflow id never meet."""
    workflow_id = ids.request_workflow_id(request, "abc123")

    assert workflow_id.startswith(ids.REQUEST_PREFIX)
    assert (ids.request_key(workflow_id, one) == ids.request_key(workflow_id, two)) == (one == two)


@given(WORD, WORD, WORD)
def test_the_owner_of_a_worktree_can_be_told(owner: str, request: str, purpose: str) -> None:
    """The reconciler finds the workflow by the holder's name."""
    plain = owner.replace("|", "")

    assert ids.owner_of(ids.holder(plain, request, purpose)) == plain
    assert ids.owner_of("checks/7") is None


def test_workflow_ids_tell_where_they_belong() -> None:
    """Children are named below their parent."""
    subtask = ids.subtask_id("request/x", "fix")

    assert subtask == "request/x/task/fix"
    assert ids.agent_id(subtask, roles.CODER, 2) == "request/x/task/fix/coder-2"
    assert ids.queue_id("shop-1", "main-2") == "merge/shop-1/main-2"


def test_two_repositories_of_one_name_have_two_stores() -> None:
    """The path counts, the name is for people; a bare one is called as its folder without .git."""
    one, two = ids.repository_key("/a/shop.git"), ids.repository_key("/b/shop.git/")

    assert one != two
    assert one.startswith("shop-")
    assert two.startswith("shop-")


def test_a_coder_keeps_its_worktree_over_all_rounds_a_reviewer_does_not() -> None:
    """The names are in histories: an agent leases again under the name its parent used."""
    named = [
        (role, ids.purpose(role, n))
        for role in (roles.PLANNER, roles.CODER, roles.REVIEWER)
        for n in (1, 2)
    ]
    assert named == [
        ("planner", "plan"), ("planner", "plan"), ("coder", "work"), ("coder", "work"),
        ("reviewer", "review-1"), ("reviewer", "review-2"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    "agent",
    [
        ids.agent_id("request/x-1", "planner", 1),
        ids.agent_id(ids.subtask_id("request/x-1", "cart"), "coder", 2) + "-again",
        ids.agent_id(ids.attempt_id("request/x-1", 2), "planner", 1),
        ids.agent_id(ids.subtask_id(ids.attempt_id("request/x-1", 2), "cart"), "coder", 1),
    ],
)
def test_an_agent_tells_its_request(agent: str) -> None:
    """Whatever it works on, and in which attempt."""
    assert ids.request_of(agent) == "request/x-1"
