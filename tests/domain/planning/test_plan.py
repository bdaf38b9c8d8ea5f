"""From a planner's words to a plan: what is refused in which words, what is ordered, what it
becomes.
"""

import json
from collections.abc import Sequence
from dataclasses import replace
from itertools import combinations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contracts.planning import Plan, PlanDraft, TaskSpec
from contracts.policy import PlanJudgement
from domain import limits, wire
from domain.planning.plan import parse, repair_message, single_task, validate
from domain.planning.write_patterns import meet, reach

PROPERTY = settings(deadline=None, max_examples=150)


def task(
    key: str, *needs: str, writes: Sequence[str] = (), acceptance: Sequence[str] = ("true",)
) -> TaskSpec:
    """A task by its id, what it needs and what it writes."""
    return TaskSpec(
        id=key,
        title=key,
        goal=key,
        depends_on=needs,
        writes=tuple(writes),
        acceptance=tuple(acceptance),
    )


def plan_of(*tasks: TaskSpec) -> Plan:
    """The plan that these tasks make, which must be valid."""
    plan = validate(PlanDraft(summary="s", tasks=tasks), limits.PLAN).plan
    assert plan
    return plan


def problems_of(*tasks: TaskSpec, max_tasks: int = 64) -> str:
    """All that is wrong with these tasks, which must be something."""
    problem = validate(PlanDraft(summary="s", tasks=tasks), replace(limits.PLAN, tasks=max_tasks))
    assert problem.plan is None
    assert problem.problems
    return "\n".join(problem.problems)


@st.composite
def drafts(draw: st.DrawFn) -> PlanDraft:
    """Acyclic drafts of up to nine tasks in any order, many of which write the same."""
    keys = draw(st.permutations([f"t{n}" for n in range(draw(st.integers(1, 9)))]))
    patterns = st.sampled_from(["src/", "src/a.py", "src/b.py", "docs/", "**/*.md", "tests/*"])
    made = [
        task(
            key,
            *draw(st.lists(st.sampled_from(keys[:index]), max_size=2) if index else st.just([])),
            writes=draw(st.lists(patterns, max_size=2)),
        )
        for index, key in enumerate(keys)
    ]
    return PlanDraft(summary="s", tasks=tuple(draw(st.permutations(made))))


def ancestors(plan: Plan) -> dict[str, frozenset[str]]:
    """For each task everything that must be done before it."""
    found: dict[str, frozenset[str]] = {}
    for each in plan.tasks:
        found[each.id] = frozenset(each.depends_on).union(*(found[k] for k in each.depends_on))
    return found


@PROPERTY
@given(drafts())
def test_in_a_valid_plan_no_two_unordered_tasks_write_one_path(draft: PlanDraft) -> None:
    """Whatever the draft: an order exists, and all that may collide is ordered by it."""
    plan = validate(draft, limits.PLAN).plan
    assert plan
    before = ancestors(plan)  # fails unless the order is topological

    for a, b in combinations(plan.tasks, 2):
        meets = any(meet(reach(x), reach(y)) for x in a.writes for y in b.writes)
        assert not meets or a.id in before[b.id]


@PROPERTY
@given(drafts())
def test_added_edges_follow_the_given_order_and_none_is_idle(draft: PlanDraft) -> None:
    """The task given first comes first; what the planner said is kept; edges stand in both."""
    plan = validate(draft, limits.PLAN).plan
    assert plan
    given_order = [each.id for each in draft.tasks]
    needs = {each.id: each.depends_on for each in plan.tasks}

    for edge in plan.added:
        assert given_order.index(edge.before) < given_order.index(edge.after)
        assert edge.before in needs[edge.after]
    for each in draft.tasks:
        own = tuple(dict.fromkeys(each.depends_on))
        assert needs[each.id] == own + tuple(e.before for e in plan.added if e.after == each.id)


@PROPERTY
@given(drafts())
def test_a_valid_plan_stays_as_it_is(draft: PlanDraft) -> None:
    """Validated again, it gets no further edge and the same order."""
    plan = validate(draft, limits.PLAN).plan
    assert plan
    again = validate(PlanDraft(summary="s", tasks=plan.tasks), limits.PLAN).plan

    assert again
    assert again.tasks == plan.tasks
    assert again.added == ()


def test_an_added_edge_is_order_only_but_for_old_requests() -> None:
    """Overlapping writes order two tasks and no more; histories from before needed the first."""
    draft = PlanDraft(summary="s", tasks=(task("a", writes=("p/",)), task("b", writes=("p/x.py",))))

    assert [edge.order_only for edge in plan_of(*draft.tasks).added] == [True]
    old = validate(draft, wire.PLAN).plan
    assert old
    assert [edge.order_only for edge in old.added] == [False]


def test_a_plan_of_too_many_tasks_is_told_the_one_limit() -> None:
    """A plan of 65 tasks is told that 64 is the most, in words."""
    tasks = [{"id": f"t{n}", "title": "t", "goal": "g"} for n in range(65)]
    found = parse(json.dumps({"summary": "s", "tasks": tasks}))

    assert isinstance(found, PlanJudgement)
    assert found.problems == ("The plan has 65 tasks: hand in at most 64, each a larger step.",)


def test_a_chain_of_writers_gets_one_edge_per_link() -> None:
    """Three tasks that write one file: two edges, not three."""
    plan = plan_of(*(task(key, writes=["a.py"]) for key in "cab"))

    assert [(edge.before, edge.after) for edge in plan.added] == [("c", "a"), ("a", "b")]
    assert plan.added[0].reason == "both write `a.py`"
    assert [each.id for each in plan.tasks] == ["c", "a", "b"]


def test_ties_go_by_id() -> None:
    """Of the tasks that could come next, the smallest id does."""
    plan = plan_of(task("z"), task("m", "z"), task("b"), task("a", "m"))

    assert [each.id for each in plan.tasks] == ["b", "z", "m", "a"]


def test_patterns_and_commands_are_tidied() -> None:
    """Doubles, blanks and leading `./` are gone."""
    made = task("a", writes=["./src/", "src/", " x.py "], acceptance=[" true ", "  "])
    plan = plan_of(made)

    assert plan.tasks[0].writes == ("src/", "x.py")
    assert plan.tasks[0].acceptance == ("true",)


@pytest.mark.parametrize(
    ("tasks", "words"),
    [
        ([task("a"), task("a")], "2 tasks are called 'a'"),
        ([task("a", "b")], "depends on 'b', which is not in the plan"),
        ([task("a", "a")], "depends on itself"),
        ([task("a", "b"), task("b", "c"), task("c", "a")], "in a circle"),
        ([task("a", writes=["x"], acceptance=[])], "has no acceptance command"),
        ([task("a", writes=["x"], acceptance=[" "])], "has no acceptance command"),
        ([task("a", writes=["/etc/"])], "'/etc/', which is absolute"),
        ([task("a", writes=["../x"])], "leaves the repository"),
        ([task("a", writes=[".git/hooks/"])], "git's own directory"),
        ([task("a", writes=[""])], "is empty"),
        ([task("a", writes=[f"f{n}" for n in range(33)])], "more than 32 patterns"),
        ([task("a", acceptance=["x" * 4_001])], "longer than 4000 characters"),
        ([task("a", acceptance=["true"] * 13)], "more than 12 acceptance commands"),
    ],
)
def test_what_is_wrong_is_said_with_what_to_change(tasks: list[TaskSpec], words: str) -> None:
    """Each refusal is a sentence that names the task and the remedy."""
    assert words in problems_of(*tasks)


def test_a_circle_is_named_with_its_path() -> None:
    """The path says which dependencies to look at."""
    words = problems_of(task("a", "c"), task("b", "a"), task("c", "b"), task("free"))

    assert "a -> b -> c -> a" in words or "b -> c -> a -> b" in words or "c -> a -> b -> c" in words


def test_all_problems_are_told_at_once_but_boundedly() -> None:
    """The planner has one repair: it hears of everything, and of the rest as a number."""
    assert problems_of(task("a", "a", "x"), task("b", "y")).count("\n") == 2
    many = problems_of(*(task(f"t{n}", "gone", writes=["/x"]) for n in range(20)))
    assert many.count("\n") == 12
    assert many.endswith("There are 28 more such problems.")


def test_a_task_that_only_reads_needs_no_acceptance() -> None:
    """Nothing to check where nothing changes."""
    assert plan_of(task("a", acceptance=[])).tasks[0].acceptance == ()


def test_a_plan_may_be_held_smaller() -> None:
    """The caller's limit is told with the count."""
    assert "has 3 tasks: hand in at most 2" in problems_of(*map(task, "abc"), max_tasks=2)


GOOD = {"summary": "s", "tasks": [{"id": "a", "title": "A", "goal": "G"}]}


@pytest.mark.parametrize("wrap", ["{}", "```json\n{}\n```", "\n```\n{}```\n"])
def test_a_plan_is_read_with_or_without_a_fence(wrap: str) -> None:
    """A code fence around the JSON is forgiven."""
    draft = parse(wrap.replace("{}", json.dumps(GOOD)))

    assert isinstance(draft, PlanDraft)
    assert draft.tasks[0].id == "a"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "not valid JSON"),
        ("Here is my plan: do it.", "hand in one JSON object with `summary` and `tasks`"),
        ("[]", "The plan is []"),
        ("{}", "`summary` is missing: add it."),
        (
            json.dumps({"summary": "s", "tasks": [{"id": "Bad Name", "title": "A"}]}),
            "`tasks[0].id` is 'Bad Name': a task id has only lower-case letters",
        ),
        (
            json.dumps({"summary": "s", "tasks": [{"id": "a", "title": "A", "goal": ""}]}),
            "`tasks[0].goal` is empty: fill it in.",
        ),
        (
            json.dumps({**GOOD, "tasks": [{**GOOD["tasks"][0], "risk": "none"}]}),  # type: ignore[dict-item]
            "`tasks[0].risk` is 'none': it must be 'low', 'normal' or 'high'.",
        ),
        (
            json.dumps({**GOOD, "tasks": [{**GOOD["tasks"][0], "size": "big"}]}),  # type: ignore[dict-item]
            "`tasks[0].size` is 'big', which cannot be used",
        ),
        (json.dumps({**GOOD, "summary": "x" * 2_001}), "`summary` is too long: keep it to at most"),
    ],
)
def test_what_cannot_be_read_is_said_in_words_for_a_model(text: str, words: str) -> None:
    """Every error of the shape names its place and what to do."""
    problem = parse(text)

    assert isinstance(problem, PlanJudgement)
    assert words in "\n".join(problem.problems)


@PROPERTY
@given(
    st.one_of(
        st.text(),
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.text(max_size=5),
            lambda inner: (
                st.lists(inner, max_size=30)
                | st.dictionaries(
                    st.sampled_from(["summary", "tasks", "id", "goal", "writes"]), inner
                )
            ),
            max_leaves=20,
        ).map(json.dumps),
    )
)
def test_whatever_comes_is_a_draft_or_a_bounded_problem(text: str) -> None:
    """No text of a model raises, and the answer to it stays short."""
    found = parse(text)

    if isinstance(found, PlanJudgement):
        assert 1 <= len(found.problems) <= 13
        assert all(len(each) <= 400 for each in found.problems)


def test_the_repair_lists_every_problem() -> None:
    """One turn, all points, and the demand for the whole plan."""
    words = repair_message(("First.", "Second."))

    assert "- First.\n- Second.\n" in words
    assert words.endswith("hand in the whole plan again.")


@pytest.mark.parametrize("request_text", ["fix it", "", "x\n" * 20_000, "\x1b[31m\u202e"])
def test_one_task_is_always_possible(request_text: str) -> None:
    """Any request becomes a single task that may write everything, marked as the fallback."""
    plan = single_task(request_text, ("make test",), why="no valid plan came")

    assert plan.fallback
    assert plan.summary == "no valid plan came"
    assert [each.id for each in plan.tasks] == ["task-1"]
    assert plan.tasks[0].writes == ("**",)
    assert plan.tasks[0].acceptance == ("make test",)
    assert validate(PlanDraft(summary="s", tasks=plan.tasks), limits.PLAN).plan


@given(answer=st.text(max_size=200), has_tasks=st.booleans())
def test_a_plan_has_tasks_or_an_answer(answer: str, *, has_tasks: bool) -> None:
    """Neither and both are sent back with what to do; an answer alone is a plan without tasks."""
    task = TaskSpec(id="a", title="A", goal="do a", writes=("x",), acceptance=("true",))
    draft = PlanDraft(summary="s", tasks=(task,) if has_tasks else (), answer=answer)
    judged = validate(draft, limits.PLAN)
    if has_tasks is bool(answer.strip()):
        assert judged.plan is None
        assert any("answer" in problem for problem in judged.problems)
    else:
        assert judged.plan is not None
        assert judged.plan.answer == answer.strip()
        assert bool(judged.plan.tasks) is has_tasks
