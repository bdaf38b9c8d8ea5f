"""Undeclared paths: which a task may write, on which a person decides, which are refused."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contracts.planning import Claim, Plan, TaskSpec, WriteScope
from contracts.verdicts import Permission
from domain.planning import scope as scopes
from domain.planning.undeclared import asked_about, judge, problem, requested, warning
from domain.review.risk import sensitive

PROPERTY = settings(deadline=None, max_examples=150)
CLI = Claim(task="cli", writes=("pkg/cli.py", "tests/", "docs/", "CHANGELOG.md"))
ALLOW, ASK, DENY = Permission.ALLOW, Permission.ASK, Permission.DENY


def scope(
    *writes: str, request: str = "", note: str = "", claims: tuple[Claim, ...] = (CLI,)
) -> WriteScope:
    """The scope of a task beside the task `cli`."""
    made = WriteScope(writes=writes, claims=claims, asked=scopes.paths_named(request))
    return scopes.with_notes(made, (note,))


OWN = scope("pkg/core.py")


@pytest.mark.parametrize(
    ("given_scope", "path", "permission", "rule"),
    [
        (OWN, "pkg/core.py", ALLOW, "declared"),
        (OWN, "pkg/util.py", ALLOW, "unclaimed"),
        (OWN, "README.md", ALLOW, "belongs"),
        (OWN, "CHANGELOG.md", ALLOW, "belongs"),
        (OWN, "tests/test_core.py", ALLOW, "belongs"),
        (OWN, "docs/core.rst", ALLOW, "belongs"),
        (scope("src/pkg/"), "tests/pkg/test_it.py", ALLOW, "belongs"),
        (scope("pkg/__init__.py"), "tests/test_pkg.py", ALLOW, "belongs"),
        (OWN, "tests/test_cli.py", ASK, "claimed"),
        (OWN, "docs/cli.rst", ASK, "claimed"),
        (OWN, "pkg/cli.py", ASK, "claimed"),
        (OWN, "pyproject.toml", ASK, "risky"),
        (OWN, ".github/workflows/ci.yml", ASK, "risky"),
        (scope("a.py", request="Say it in pkg/cli.py as well."), "pkg/cli.py", ALLOW, "asked"),
        (scope("a.py", request="Leave cli.py alone."), "pkg/cli.py", ASK, "claimed"),
        (scope("a.py", note="please also change cli.py"), "pkg/cli.py", ALLOW, "noted"),
        (scope("a.py", note="update the docs, too"), "docs/cli.rst", ALLOW, "noted"),
        (scope("a.py", note="bump pyproject.toml"), "pyproject.toml", ALLOW, "noted"),
        (scope(note="add it to the README"), "README.md", ALLOW, "noted"),
        (scope(request="Look at README.md"), "README.md", DENY, "reads only"),
        (OWN, "../x", DENY, "unsafe"),
        (scope("a.py", note="change .git/config"), ".git/config", DENY, "unsafe"),
    ],
)
def test_an_undeclared_path_is_judged_by_whose_it_is_and_who_asks(
    given_scope: WriteScope, path: str, permission: Permission, rule: str
) -> None:
    """Allowed where no other task claims it, somebody asks for it, or it belongs to what is
    declared; a person decides only where it overlaps or is risky; a note is never contradicted.
    """
    found = judge(path, given_scope, risk=sensitive(path))

    assert (found.permission, found.rule) == (permission, rule)


def test_a_test_a_readme_and_a_changelog_need_no_person() -> None:
    """What stopped unattended requests goes through: no risk is named, nothing is sent back."""
    paths = ("README.md", "CHANGELOG.md", "tests/test_core.py")

    assert asked_about(paths, OWN, sensitive) == ()
    assert problem(paths, OWN, sensitive, whole=False) == ""


def test_a_person_is_told_who_else_writes_a_path() -> None:
    """The risk of an overlap names path and task."""
    assert asked_about(("pkg/cli.py", "new.py"), OWN, sensitive) == (
        "pkg/cli.py (task 'cli' writes it too)",
    )


@pytest.mark.parametrize(
    ("paths", "whole", "words"),
    [
        (("pkg/cli.py",), True, "pkg/cli.py (task 'cli' writes it too). Undo it and do the task"),
        (("pkg/cli.py",), False, ""),
        (("pkg/cli.py", "new.py"), True, ""),
        (("new.py",), True, ""),
        (("x/../y",), False, "x/../y (it could reach outside of the repository). Undo these"),
    ],
    ids=["others' alone", "others' beside its own", "others' and free", "free", "unsafe"],
)
def test_a_patch_goes_back_when_it_is_another_tasks_work_alone(
    paths: tuple[str, ...], *, whole: bool, words: str
) -> None:
    """A forecast that missed the file is no fault; doing another task's work instead is."""
    found = problem(paths, OWN, sensitive, whole=whole)

    assert (words in found) if words else (found == "")


def test_the_agent_is_warned_by_what_follows() -> None:
    """Nothing for a declared path; else what will come of it, with the reason."""
    told = [
        warning(path, judge(path, OWN, risk=sensitive(path)))
        for path in ("pkg/core.py", "new.py", "pkg/cli.py", "../x")
    ]

    assert told[0] == ""
    assert "may change all the same: no other task claims it" in told[1]
    assert "task 'cli' writes it too: a person will have to approve" in told[2]
    assert "must not change" in told[3]


def test_claims_are_those_of_tasks_that_may_still_write() -> None:
    """What ended before the task started claims nothing of it any more."""

    def task(key: str, *after: str) -> TaskSpec:
        return TaskSpec(id=key, title=key, goal=key, depends_on=after, writes=(f"{key}.py",))

    plan = Plan(summary="s", tasks=(task("a"), task("b", "a"), task("c", "b"), task("d")))

    assert [each.task for each in scopes.claims(plan, "b")] == ["c", "d"]


@PROPERTY
@given(
    st.sampled_from(["a/b.py", "README.md", "docs/x.md", "tests/test_b.py", "q.txt", "../z"]),
    st.lists(st.sampled_from(["a/", "docs/**", "*.md", "tests/", "q.txt"]), max_size=3),
    st.sampled_from(["", "change q.txt", "see the docs", "do not touch README", "a/b.py!"]),
    st.sampled_from(["", "also tests/test_b.py", "the changelog and *.md"]),
)
def test_what_speaks_of_a_path_is_enough_to_judge_it(
    path: str, claimed: list[str], request: str, note: str
) -> None:
    """A call carries only what concerns its path, and the verdict is the same."""
    claims = tuple(Claim(task=f"t{n}", writes=(each,)) for n, each in enumerate(claimed))
    whole = scope("a/c.py", request=request, note=note, claims=claims)
    part = scopes.about(whole, path)
    assert part

    assert judge(path, part) == judge(path, whole)
    assert len(part.claims) <= len(claims)


@PROPERTY
@given(st.text(max_size=3_000))
def test_no_text_makes_a_scope_large(text: str) -> None:
    """However much a person writes, the words that name paths are few and short."""
    words = scopes.paths_named(text)

    assert len(words) <= 50
    assert all(0 < len(word) <= 100 for word in words)


@pytest.mark.parametrize(
    ("path", "permission", "rule"),
    [
        ("./pkg/util.py", ALLOW, "unclaimed"),
        ("tests/test_core.py", ALLOW, "belongs"),
        ("pkg/cli.py", ASK, "claimed"),
        ("docs/", ASK, "claimed"),
        ("pkg/*.py", ASK, "claimed"),
        ("lib/", ASK, "broad"),
        ("scripts", ASK, "broad"),
        (".github/workflows/ci.yml", ASK, "risky"),
    ],
)
def test_paths_that_an_agent_asks_for_are_judged_as_those_that_it_writes(
    path: str, permission: Permission, rule: str
) -> None:
    """One rule for both; a pattern is claimed when it may meet a claim, and a folder that nobody
    named, which may hold anything, is for a person.
    """
    (found,) = requested((path,), OWN, sensitive) or ()
    assert (found.permission, found.rule) == (permission, rule)


def test_what_the_request_or_a_note_names_may_be_asked_for_without_a_person() -> None:
    """Paths that a note or the request names are granted, also those of another task."""
    named = scope("a.py", request="Say it in docs/cli.rst.", note="please also change cli.py")
    found = requested(("docs/cli.rst", "pkg/cli.py"), named, sensitive) or ()
    assert [each.rule for each in found] == ["asked", "noted"]
    assert requested(("b.py",), None, sensitive) is None
