"""Which files run code outside the sandbox, under whatever name, and when a person is asked."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.planning import WriteScope
from contracts.verdicts import Permission
from domain.approvals.paths import path_verdict
from domain.approvals.runs_code import TABLE, Links, link_runs, runs
from domain.planning import undeclared
from domain.review.risk import PatchFile, risks, sensitive


def of(*paths: str, links: dict[str, str] | None = None, writes: tuple[str, ...] = ()) -> str:
    """The risks of a patch of these paths, joined; a path that is a link leads there."""
    held = links or {}
    return "; ".join(
        risks(
            paths,
            added=1,
            deleted=0,
            outside=(),
            deleted_tests=(),
            files=[PatchFile(path=path, target=held.get(path)) for path in paths],
            links=Links(held),
            planned=lambda path: undeclared.planned(path, writes, None),
        )
    )


@pytest.mark.parametrize(
    ("path", "when"),
    [
        (".husky/pre-commit", "runs at git's hooks, such as a commit or a checkout"),
        (".pre-commit-config.yaml", "runs at git's hooks"),
        ("web/.lintstagedrc.json", "runs at git's hooks"),
        (".gitattributes", "tells git which programs to run"),
        (".envrc", "runs when somebody enters the folder with direnv"),
        ("deep/er/.envrc", "runs when somebody enters the folder with direnv"),
        (".env", "enters the folder with autoenv"),
        ("mise.toml", "enters the folder with mise"),
        ("home/.zshenv", "runs when a shell starts"),
        (".vscode/tasks.json", "runs when the folder is opened in an editor"),
        ("app.code-workspace", "runs when the folder is opened in an editor"),
        (".idea", "runs when the folder is opened in an editor"),
        (".exrc", "runs when the folder is opened in an editor"),
        (".devcontainer/devcontainer.json", "runs when the folder is opened in a container"),
        (".mcp.json", "runs when an agent is started in the folder"),
        (".claude/settings.json", "runs when an agent is started in the folder"),
        (".github/workflows/ci.yml", "runs in continuous integration once it is pushed"),
        (".cargo/config.toml", "decides what a package manager or build tool fetches and runs"),
        ("pkg/.npmrc", "decides what a package manager"),
        ("gradlew", "decides what a package manager"),
        ("node_modules/eslint/index.js", "decides what a package manager"),
        ("sitecustomize.py", "runs when Python starts there"),
        (".venv/bin/python", "runs when Python starts there"),
        (".gdbinit", "runs when a debugger, an interpreter or a tool starts"),
        (".orchestcode/settings.json", "decides what this system lets agents do"),
        ("conftest.py", "is loaded whenever tests start"),
        ("tests/unit/conftest.py", "is loaded whenever tests start"),
        ("web/eslint.config.mjs", "is loaded when an editor checks or formats a file"),
        ("crates/a/build.rs", "is loaded when an editor opens the project"),
    ],
)
def test_a_file_that_runs_by_itself_needs_a_person_who_is_told_when(path: str, when: str) -> None:
    """Whoever wrote it, the patch says of the file when it runs, outside the sandbox."""
    assert when in of("src/a.py", path)
    assert path in of("src/a.py", path)


@pytest.mark.parametrize(
    "path",
    [
        *("src/app.py", "tests/test_app.py", "tests/helpers.py", "Makefile", "justfile", "README"),
        *(".gitignore", ".editorconfig", "AGENTS.md", "tsconfig.json", "src/env.py", "envrc"),
        *(".github/x.md", ".config/x", "workflows/a", "src/settings/__init__.py", ".npmrc/x"),
        *("git/config", "scripts/run.sh", ".claude/worktrees/a/b.py", ".env.example", "mise/a.py"),
        *("docs/conftest.md", "src/build.rs.md", "vscode/a.ts", "", "husky/index.js"),
    ],
    ids=ascii,
)
def test_ordinary_files_need_nobody(path: str) -> None:
    """What runs only when a person starts the project's own code, and names that only resemble."""
    assert of(path) == ""
    assert runs(path) is None


@pytest.mark.parametrize(
    "path",
    [
        *(".VSCode/tasks.json", ".Husky/pre-commit", ".ENVRC", "CONFTEST.PY", "JENKINSFILE"),
        *(".envrc.", ".envrc ", ".envrc::$DATA", ".vscode /tasks.json", ".v\u200cscode/tasks.json"),
        *(".\u017fettings/x", ".hus\u212ay/x", unicodedata.normalize("NFD", ".env\uff52c")),
        *(".vscode\\tasks.json", "VSCODE~1/tasks.json", "./.envrc", "a//.envrc"),
    ],
    ids=ascii,
)
def test_another_spelling_is_the_same_file(path: str) -> None:
    """What a file system that knows no case, or folds letters, would read as the same name."""
    assert of(path)


def test_a_link_is_judged_by_its_own_name_and_by_what_it_gives_a_name_to() -> None:
    """A folder of the table that is a link, and one by which others become files of the table."""
    assert "runs at git's hooks" in of(".husky", links={".husky": "tools/hooks"})
    assert "continuous integration" in of(".github", links={".github": "ci"})
    assert link_runs("ci") is None
    assert of("ci", links={"ci": "tools"}) == ""


@pytest.mark.parametrize(
    ("path", "links", "shown"),
    [
        ("tools/hooks/run", {".husky": "tools/hooks"}, "tools/hooks/run (as .husky/run)"),
        ("env.sh", {"a/.envrc": "../env.sh"}, "env.sh (as a/.envrc)"),
        ("ci/workflows/x.yml", {".github": "ci"}, "(as .github/workflows/x.yml)"),
        ("c/run", {"b": "c", ".husky": "b"}, "c/run (as .husky/run)"),
        ("tasks.json", {".vscode": "."}, "tasks.json (as .vscode/tasks.json)"),
        ("TOOLS/Run", {".husky": "tools"}, "TOOLS/Run (as .husky/run)"),
    ],
)
def test_a_file_is_judged_by_every_name_that_links_give_it(
    path: str, links: dict[str, str], shown: str
) -> None:
    """The links of the tree, whoever made them, lead a tool to the file."""
    assert shown in of(path, links=links)


def test_links_that_lead_nowhere_or_in_circles_are_no_names() -> None:
    """Out of the repository, to each other, to themselves; too many names need a person."""
    held = {"a": "b", "b": "a", "x": "x", "out": "/etc", "up": "../..", "down": "sub"}
    assert of("src/a.py", links=held) == ""
    many = {f"l{number}": "." for number in range(60)}
    assert "so many names through links" in of("src/a.py", links=many)


@pytest.mark.parametrize(
    ("writes", "asks"),
    [
        (("tests/conftest.py",), False),
        (("tests/",), False),
        (("tests/**",), False),
        (("**/conftest.py",), False),
        (("**",), True),
        (("**/*.py",), True),
        (("src/",), True),
    ],
)
def test_what_tests_load_is_ordinary_where_the_task_declares_it(
    writes: tuple[str, ...],
    asks: bool,  # noqa: FBT001
) -> None:
    """By its name or its folder; a pattern that covers everything says nothing of it."""
    assert bool(of("tests/conftest.py", writes=writes)) is asks
    assert of("tests/.envrc", writes=("tests/.envrc",))


def test_what_the_person_names_is_ordinary_unless_it_runs_by_itself() -> None:
    """A conftest.py that the request names needs nobody; an .envrc needs a look even so."""
    scope = WriteScope(writes=("src/",), claims=(), asked=("tests/conftest.py", ".envrc"))
    other = scope.model_copy(update={"asked": ()})

    def judged(path: str, scope: WriteScope) -> Permission:
        return undeclared.judge(path, scope, risk=sensitive(path)).permission

    assert undeclared.planned("tests/conftest.py", scope.writes, scope)
    assert judged("tests/conftest.py", scope) is Permission.ALLOW
    assert judged("tests/conftest.py", other) is Permission.ASK
    assert judged(".envrc", scope) is Permission.ASK
    told = undeclared.judge("tests/conftest.py", other)
    assert "it is loaded whenever tests start" in undeclared.warning("tests/conftest.py", told)


def test_the_edit_tool_asks_by_the_same_table() -> None:
    """Before the file is written, with the same words; what may be planned waits for the patch."""
    asked = path_verdict("sub/.envrc")
    assert asked.permission is Permission.ASK
    assert asked.reason == (
        "sub/.envrc runs when somebody enters the folder with direnv, outside the sandbox"
    )
    assert path_verdict("tests/conftest.py").permission is Permission.ALLOW
    assert path_verdict(".orchestcode/x").permission is Permission.DENY


def test_the_table_says_each_thing_once() -> None:
    """Every pattern is lower case, stands once, and matches what it says."""
    patterns = [pattern for each in TABLE for pattern in each.paths]
    assert len(patterns) == len(set(patterns)) > 200
    assert all(pattern == pattern.casefold() for pattern in patterns)
    for each in TABLE:
        for pattern in each.paths:
            path = pattern.replace("[0-9]", "1").replace("*", "x")
            found = runs(f"{path}y" if path.endswith("/") else path)
            assert found is not None, pattern


@given(st.text(max_size=60), st.dictionaries(st.text(max_size=8), st.text(max_size=8), max_size=4))
def test_any_path_is_judged(path: str, links: dict[str, str]) -> None:
    """Nonsense, too, gets a sentence or none, the same each time."""
    assert of(path, links=links) == of(path, links=links)
