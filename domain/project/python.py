"""A Python project: who installs its packages, how it is tested."""

import re
from typing import Any, Final

from domain.project.facts import Facts, Findings, Step, joined, parsed_toml, table, words_of

_MANIFESTS: Final = (
    *("pyproject.toml", "setup.py", "setup.cfg", "requirements.txt", "Pipfile"),
    *("uv.lock", "poetry.lock", "pdm.lock", "Pipfile.lock", "requirements-dev.txt"),
)
_OF_TESTS: Final = ("test", "tests", "testing", "dev", "develop")
"""Extras and groups that bring what tests need, the first that is there counts."""
_TEST_FILE: Final = r"(?:tests?/)?test_[^/]*\.py|(?:tests?/)?[^/]*_test\.py"
_PYTEST_FILES: Final = r"(?:tests?/)?conftest\.py"
_PYTEST_SECTION: Final = re.compile(r"^\[(?:tool:)?pytest\]", re.MULTILINE)
_PYTEST_WORD: Final = re.compile(r"(?i)(?<![\w-])pytest(?![\w-])")
_MANAGERS: Final = (
    ("uv", "uv.lock", "uv sync --frozen"),
    ("poetry", "poetry.lock", "POETRY_VIRTUALENVS_IN_PROJECT=true poetry install --no-interaction"),
    ("pdm", "pdm.lock", "pdm sync --dev"),
    ("pipenv", "Pipfile.lock", "PIPENV_VENV_IN_PROJECT=1 pipenv sync --dev"),
)
"""Package managers by their lock files; each is told to make `.venv` of the repository."""


def python(facts: Facts) -> Findings:
    """Return what is found of a Python project; nothing where there is none."""
    if not facts.has(*_MANIFESTS) and not facts.matching(_TEST_FILE):
        return Findings()
    project, problems = parsed_toml(facts, "pyproject.toml")
    setup, manager = _setup(facts, project)
    pinned = [each for each in _MANAGERS if setup and setup[0].command == each[2]]
    environment = ".venv" if pinned else facts.environment or (".venv" if setup else "")
    runner, why = _runner(facts)
    rows = [("language", joined(("Python", *facts.matching(r"pyproject\.toml|setup\.(?:py|cfg)"))))]
    rows += [("packages", manager)] if manager else []
    python = f"{environment}/bin/python" if environment else "python3"
    checks = (Step(f"{python} {runner}", why),) if runner else ()
    return Findings(tuple(rows), setup, checks, problems)


def _setup(facts: Facts, project: dict[str, Any]) -> tuple[tuple[Step, ...], str]:
    """Return how the packages are installed, and who does it, in words."""
    for name, lock, command in _MANAGERS:
        if facts.has(lock):
            return (Step(command, f"{lock} is there"),), f"{name} ({lock})"
    if table(project, "tool", "poetry"):
        return (Step(_MANAGERS[1][2], "pyproject.toml is poetry's"),), "poetry, without a lock file"
    wanted, why = _pip_words(facts, project)
    if not wanted:
        return (), ""
    folder = facts.environment or ".venv"
    # A virtual environment's pip may be older than groups of dependencies.
    newest = f"{folder}/bin/pip install -q --upgrade pip && " if "--group" in wanted else ""
    command = f"python3 -m venv {folder} && {newest}{folder}/bin/pip install -q {wanted}"
    return (Step(command, why),), "pip, without a lock file"


def _pip_words(facts: Facts, project: dict[str, Any]) -> tuple[str, str]:
    files = facts.matching(r"requirements[\w.-]*\.txt|requirements/(?:dev|tests?)[\w.-]*\.txt")
    tests = [name for name in files if "test" in name] or [name for name in files if "dev" in name]
    files = [name for name in files if name == "requirements.txt" or name in tests]
    words = [f"-r {name}" for name in files]
    named = [facts.texts.get(name, "pytest" if name in tests else "") for name in files]
    installs = bool(table(project, "project") or table(project, "build-system"))
    installs = installs and table(project, "tool", "uv").get("package") is not False
    if installs or facts.has("setup.py"):
        extras, groups = _extras(facts, project), table(project, "dependency-groups")
        extra = _first(extras)
        words.append(f"-e '.[{extra}]'" if extra else "-e .")
        group = "" if extra else _first(groups)
        named += [*words_of(extras.get(extra)), *words_of(groups.get(group))]
        words += [f"--group {group}"] if group else []
        files.append(facts.has("pyproject.toml", "setup.py"))
    if not words:
        return "", ""
    runner = _runner(facts)[0]
    if "pytest" in runner and not any(map(_PYTEST_WORD.search, named)):
        words.append("pytest")
    return " ".join(words), f"{joined(dict.fromkeys(files))} without a lock file"


def _extras(facts: Facts, project: dict[str, Any]) -> dict[str, Any]:
    section = re.search(
        r"^\[options\.extras_require\]\n((?:[ \t\w].*\n?|\n)*)",
        facts.texts.get("setup.cfg", ""),
        re.MULTILINE,
    )
    of_cfg = re.findall(r"^([\w-]+)[ \t]*=", section[1], re.MULTILINE) if section else []
    return {**dict.fromkeys(of_cfg), **table(project, "project", "optional-dependencies")}


def _first(names: dict[str, Any]) -> str:
    return next((name for name in _OF_TESTS if name in names), "")


def _runner(facts: Facts) -> tuple[str, str]:
    """Return what follows the interpreter in the command that tests, and why."""
    if why := _pytest_named(facts):
        return "-m pytest -q", why
    tests = facts.matching(_TEST_FILE)
    if not tests:
        return "", ""
    folder = facts.folder("tests", "test")
    # Discovery goes into folders that are packages.
    start = (
        f" discover -q {folder}" if folder and f"{folder}/__init__.py" not in facts.files else ""
    )
    return f"-m unittest{start or ' -q'}", f"{tests[0]}, and pytest is not named"


def _pytest_named(facts: Facts) -> str:
    if name := facts.has("pytest.ini", ".pytest.ini"):
        return f"{name} is there"
    project, _ = parsed_toml(facts, "pyproject.toml")
    if table(project, "tool", "pytest"):
        return "pyproject.toml configures pytest"
    for name in ("setup.cfg", "tox.ini"):
        if _PYTEST_SECTION.search(facts.texts.get(name, "")):
            return f"{name} configures pytest"
    if found := facts.matching(_PYTEST_FILES):
        return f"{found[0]} is there"
    groups = (
        table(project, "project", "optional-dependencies"),
        table(project, "dependency-groups"),
    )
    wanted = [word for group in groups for value in group.values() for word in words_of(value)]
    if any(map(_PYTEST_WORD.search, wanted)) or "pytest" in _poetry_names(project):
        return "pyproject.toml names pytest"
    files = ("requirements.txt", "requirements-dev.txt", "Pipfile", "tox.ini", "setup.cfg")
    named = (name for name in files if _PYTEST_WORD.search(facts.texts.get(name, "")))
    return next((f"{name} names pytest" for name in named), "")


def _poetry_names(project: dict[str, Any]) -> set[str]:
    poetry = table(project, "tool", "poetry")
    groups = [table(group, "dependencies") for group in table(poetry, "group").values()]
    return {name for group in (table(poetry, "dev-dependencies"), *groups) for name in group}
