"""What a checkout is found to be, and the settings that are proposed for it."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.project.facts import READ, Facts
from domain.project.proposal import difference, examine, proposal
from domain.repository_settings import parsed

POETRY = "POETRY_VIRTUALENVS_IN_PROJECT=true poetry install --no-interaction"
PYTEST = ".venv/bin/python -m pytest -q"
PIP = "python3 -m venv .venv && .venv/bin/pip install -q"
PROJECT = '[project]\nname = "x"\n'
EXTRAS = f'{PROJECT}[project.optional-dependencies]\ndocs = ["sphinx"]\ntest = ["pytest>=8"]\n'
GROUPS = f'{PROJECT}[dependency-groups]\nlint = ["ruff"]\ndev = ["pytest"]\n'
OF_POETRY = '[tool.poetry]\nname = "x"\n[tool.poetry.group.dev.dependencies]\npytest = "^8"\n'


def facts(*names: str, environment: str = "", **texts: str) -> Facts:
    """Return a checkout with files; a text's name has `_` for a dot and `__` for a slash."""
    read = {name.replace("__", "/").replace("_", "."): text for name, text in texts.items()}
    return Facts(files=frozenset({*names, *read}), texts=read, environment=environment)


def package(**keys: Any) -> str:
    """Return a package.json."""
    return json.dumps(keys)


PYTHON = [
    # A lock file says who installs; pytest is named somewhere, or tests are found as unittest does.
    (facts("uv.lock", pyproject_toml="[tool.pytest.ini_options]"), "uv sync --frozen", PYTEST),
    (facts("uv.lock", "tests/conftest.py", pyproject_toml=PROJECT), "uv sync --frozen", PYTEST),
    (facts("uv.lock", pyproject_toml=GROUPS), "uv sync --frozen", PYTEST),
    (facts("poetry.lock", pyproject_toml=OF_POETRY), POETRY, PYTEST),
    (facts(pyproject_toml=OF_POETRY), POETRY, PYTEST),
    (facts("pdm.lock", "pytest.ini", pyproject_toml=PROJECT), "pdm sync --dev", PYTEST),
    (
        facts("Pipfile.lock", Pipfile='[dev-packages]\npytest = "*"\n'),
        "PIPENV_VENV_IN_PROJECT=1 pipenv sync --dev",
        PYTEST,
    ),
    # Without one, pip installs into an environment of the repository's own.
    (facts(pyproject_toml=EXTRAS), f"{PIP} -e '.[test]'", PYTEST),
    (
        facts(pyproject_toml=GROUPS),
        f"{PIP.replace(' -q', ' -q --upgrade pip && .venv/bin/pip install -q')} -e . --group dev",
        PYTEST,
    ),
    (facts("tests/conftest.py", pyproject_toml=PROJECT), f"{PIP} -e . pytest", PYTEST),
    (
        facts(pyproject_toml=f"{PROJECT}[tool.pytest.ini_options]\n"),
        f"{PIP} -e . pytest",
        PYTEST,
    ),
    (
        facts("conftest.py", "requirements/dev.txt", "requirements/tests.txt", "setup.py"),
        f"{PIP} -r requirements/tests.txt -e .",
        PYTEST,
    ),
    (facts("setup.py", "conftest.py"), f"{PIP} -e . pytest", PYTEST),
    (
        facts("setup.py", setup_cfg="[options.extras_require]\ndev =\n  pytest\n[tool:pytest]\n"),
        f"{PIP} -e '.[dev]' pytest",
        PYTEST,
    ),
    (
        facts(
            "tests/conftest.py", requirements_txt="flask\n", **{"requirements-dev_txt": "pytest\n"}
        ),
        f"{PIP} -r requirements-dev.txt -r requirements.txt",
        PYTEST,
    ),
    (
        facts("conftest.py", "requirements/dev.txt", "requirements/docs.txt", requirements_txt=""),
        f"{PIP} -r requirements.txt -r requirements/dev.txt",
        PYTEST,
    ),
    # Also where nothing says how it is installed.
    (facts("tests/test_a.py", "tests/__init__.py", "shop/cart.py"), "", "python3 -m unittest -q"),
    (facts("test_a.py"), "", "python3 -m unittest -q"),
    (
        facts("tests/test_a.py", requirements_txt="flask\n"),
        f"{PIP} -r requirements.txt",
        ".venv/bin/python -m unittest discover -q tests",
    ),
    (
        facts("tests/test_a.py", "tests/__init__.py", requirements_txt="flask\n"),
        f"{PIP} -r requirements.txt",
        ".venv/bin/python -m unittest -q",
    ),
    (
        facts(pyproject_toml=f"{PROJECT}[tool.uv]\npackage = false\n[tool.pytest.ini_options]\n"),
        "",
        "python3 -m pytest -q",
    ),
    # The environment that the checkout has keeps its name.
    (
        facts(environment="venv", pyproject_toml=EXTRAS),
        "python3 -m venv venv && venv/bin/pip install -q -e '.[test]'",
        "venv/bin/python -m pytest -q",
    ),
    # Those that make `.venv` do so beside another one.
    (facts("uv.lock", "pytest.ini", environment="venv"), "uv sync --frozen", PYTEST),
    (facts("uv.lock", pyproject_toml=PROJECT), "uv sync --frozen", ""),
]
NODE = [
    (facts(package_json=package(scripts={"test": "node --test"})), "", "npm test"),
    (
        facts(package_json=package(scripts={"test": "jest"}, devDependencies={"jest": "1"})),
        "npm install",
        "npm test",
    ),
    (
        facts("package-lock.json", package_json=package(scripts={"test": "jest"})),
        "npm ci",
        "npm test",
    ),
    (
        facts("npm-shrinkwrap.json", package_json=package(scripts={"test": "jest"})),
        "npm ci",
        "npm test",
    ),
    (
        facts("pnpm-lock.yaml", package_json=package(scripts={"test": "vitest run"})),
        "pnpm install --frozen-lockfile",
        "pnpm test",
    ),
    (
        facts(
            package_json=package(scripts={"test": "a"}, yarn=1), yarn_lock="# yarn lockfile v1\n"
        ),
        "yarn install --frozen-lockfile",
        "yarn test",
    ),
    (
        facts(package_json=package(scripts={"test": "a"}), yarn_lock="__metadata:\n  version: 8\n"),
        "yarn install --immutable",
        "yarn test",
    ),
    (
        facts("bun.lock", package_json=package(scripts={"test": "bun test"})),
        "bun install --frozen-lockfile",
        "bun run test",
    ),
    (
        # What the manifest names counts before a lock file that was left over.
        facts(
            *("package-lock.json", "pnpm-lock.yaml"),
            package_json=package(packageManager="pnpm@9.1.0", scripts={"test": "a"}),
        ),
        "pnpm install --frozen-lockfile",
        "pnpm test",
    ),
    (
        facts(package_json=package(workspaces=["a"], scripts={"test": "a"})),
        "npm install",
        "npm test",
    ),
    (facts(package_json=package(scripts={"test": 'echo "Error: no test specified"'})), "", ""),
    (facts(package_json=package(scripts={"test": "jest --watch"})), "", ""),
    (facts(package_json=package(scripts={"test": "jest --watchAll=false"})), "", "npm test"),
    (facts(package_json=package(scripts={"test": 7})), "", ""),
    (facts(package_json=package(scripts=["test"])), "", ""),
    (
        facts("package-lock.json", package_json=package(scripts={"typecheck": "tsc", "lint": "x"})),
        "npm ci",
        "npm run typecheck",
    ),
    (
        facts("pnpm-lock.yaml", package_json=package(scripts={"check-types": "tsc"})),
        "pnpm install --frozen-lockfile",
        "pnpm check-types",
    ),
]
OTHERS = [
    (facts("go.sum", go_mod="module x\n"), "go mod download", "go test ./..."),
    (facts(go_mod="module x\n"), "", "go test ./..."),
    (
        facts("go.sum", go_mod="module x\n", go_work="use ./a\n"),
        "go mod download",
        "go test $(go list -f '{{.Dir}}/...' -m)",
    ),
    (facts("Cargo.lock", Cargo_toml="[package]\n"), "cargo fetch --locked", "cargo test"),
    (facts(Cargo_toml="[package]\n"), "cargo fetch", "cargo test"),
    (facts(Cargo_toml="[workspace]\nmembers=[]\n"), "cargo fetch", "cargo test --workspace"),
    (
        facts("pom.xml", "mvnw"),
        "mvn -q -B dependency:go-offline test-compile",
        "./mvnw -q -B -o test",
    ),
    (
        facts("Gemfile.lock", "spec/a_spec.rb", Gemfile=""),
        "BUNDLE_PATH=vendor/bundle bundle install",
        "bundle exec rspec",
    ),
    (facts("Rakefile", Gemfile=""), None, "bundle exec rake test"),
    (facts("composer.lock", "phpunit.xml", composer_json="{}"), None, "vendor/bin/phpunit"),
    (facts("mix.lock", "test/a_test.exs", mix_exs=""), "mix deps.get", "mix test"),
    (facts(Makefile="all:\n\tcc x.c\ntest: all\n\t./a.out\n"), "", "make test"),
    (facts(Makefile="check:\n\t./a.out\n"), "", "make check"),
    (facts(Makefile="test := 1\ntests::\n\ttrue\n"), "", "make tests"),
    (facts(Makefile="test = 1\nlatest:\n\ttrue\n"), "", ""),
    (facts("README.md"), "", ""),
    (facts(), "", ""),
]


@pytest.mark.parametrize(("found", "setup", "check"), [*PYTHON, *NODE, *OTHERS])
def test_setup_and_check_are_proposed_by_what_is_there(
    found: Facts, setup: str | None, check: str | None
) -> None:
    """A row each: the files, the first setup, the first check; "" = none, None = not looked at."""
    shown = examine(found)

    for steps, command in ((shown.setup, setup), (shown.checks, check)):
        if command is not None:
            assert [step.command for step in steps[:1]] == [command] * bool(command)
    assert all(step.why for step in (*shown.setup, *shown.checks))


def test_every_language_of_a_repository_is_proposed() -> None:
    """A makefile's target is only shown where a language's own command is known."""
    both = examine(
        facts(
            *("uv.lock", "go.sum", "package-lock.json"),
            pyproject_toml="[tool.pytest.ini_options]",
            package_json=package(scripts={"test": "jest", "typecheck": "tsc"}),
            go_mod="module x",
            Makefile="test:\n\ttrue\n",
        )
    )

    assert [s.command for s in both.setup] == ["uv sync --frozen", "npm ci", "go mod download"]
    assert [s.command for s in both.checks] == [
        *(PYTEST, "npm test", "npm run typecheck", "go test ./..."),
    ]
    assert ("tests", "the target 'test' of Makefile") in both.rows


def test_what_was_found_is_told() -> None:
    """Languages, package managers, versions, what is installed, what CI runs, what is elsewhere."""
    ci = "jobs:\n  a:\n    steps:\n      - run: npm ci\n      - run: npm test -- --ci\n"
    read = {
        "package.json": package(type="module", scripts={"test": "vitest run"}),
        ".nvmrc": "v20\n",
        ".tool-versions": "python 3.12.1 3.11\nnodejs 18\n",
        ".github/workflows/ci.yml": f"{ci}      - run: |\n          make\n          tox -e py",
    }
    shown = examine(
        Facts(
            files=frozenset({*read, "package-lock.json", "tsconfig.json", "web/package.json"}),
            texts=read,
            installed=(("node_modules", ""), (".venv", "Python 3.12.1, 7 packages")),
            problems=("x is a link, so it was not read.",),
        )
    )

    assert shown.rows == (
        ("language", "TypeScript, ES modules (package.json)"),
        ("packages", "npm (package-lock.json)"),
        ("versions", "node v20 (.nvmrc), python 3.12.1 (.tool-versions)"),
        ("installed", "node_modules"),
        ("installed", ".venv: Python 3.12.1, 7 packages"),
        ("CI runs", "npm test -- --ci"),
        ("CI runs", "tox -e py"),
    )
    link, elsewhere = shown.problems
    assert link == "x is a link, so it was not read."
    assert elsewhere == (
        "Projects of their own lie in folders (web/package.json), for which nothing is proposed: "
        'a check may begin with "cd FOLDER && ".'
    )


@pytest.mark.parametrize(
    ("found", "problem"),
    [
        (facts(package_json="{"), "package.json is no JSON that can be read (Expecting property"),
        (facts(package_json="[1]"), "package.json holds no JSON object, so it says nothing here."),
        (facts(package_json="[" * 50_000), "package.json is no JSON that can be read ("),
        (facts(pyproject_toml="[project"), "pyproject.toml is no TOML that can be read (Expected"),
        (facts(Cargo_toml="[["), "Cargo.toml is no TOML that can be read ("),
        (
            facts(package_json=package(scripts={"test": "jest --watch"})),
            "The script 'test' of package.json watches files and never ends, so it is not proposed",
        ),
        (facts(), "No command that tests this repository was found: name one as a check in"),
    ],
)
def test_a_broken_file_is_told_and_the_rest_goes_on(found: Facts, problem: str) -> None:
    """In a sentence that names the file."""
    assert any(each.startswith(problem) for each in examine(found).problems)


def test_what_stands_in_the_settings_stays() -> None:
    """Other keys too; what is proposed beside it is added, what differs from it is told."""
    found = examine(facts("package-lock.json", package_json=package(scripts={"test": "jest"})))
    present = {"$schema": "x.json", "checks": ["make ci"]}

    proposed = proposal(found, present)

    assert json.loads(proposed.text) == {**present, "setup": ["npm ci"]}
    assert proposed.checks == ()
    assert proposed.kept == (
        "checks of .orchestcode/settings.json stays as it is; found: npm test",
    )
    again = proposal(found, json.loads(proposed.text))
    assert (again.setup, again.checks, again.text) == ((), (), proposed.text)


def test_the_change_is_shown_as_a_diff() -> None:
    """Of a new file, and of one that is there."""
    assert difference("", "{}\n") == [
        *("--- /dev/null", "+++ .orchestcode/settings.json", "@@ -0,0 +1 @@", "+{}"),
    ]
    assert difference('{"a": 1}\n', '{"b": 1}\n')[2:] == ["@@ -1 +1 @@", '-{"a": 1}', '+{"b": 1}']


TEXTS = st.dictionaries(
    st.sampled_from(READ),
    st.text(max_size=60)
    | st.sampled_from([EXTRAS, GROUPS, OF_POETRY, package(scripts={"test": "x"}), "test:\n"]),
    max_size=6,
)


@given(TEXTS, st.sets(st.sampled_from(["uv.lock", "go.sum", "tests/test_a.py", "a/go.mod"])))
def test_whatever_files_hold_a_request_takes_what_is_proposed(
    texts: dict[str, str], names: set[str]
) -> None:
    """The proposed file is one that the reader of settings accepts, and every text is one line."""
    shown = examine(Facts(files=frozenset({*texts, *names}), texts=texts))
    proposed = proposal(shown, {})

    if proposed.text:
        taken = parsed(proposed.text.encode())
        assert taken.setup == tuple(step.command for step in proposed.setup)
        assert taken.checks == tuple(step.command for step in proposed.checks)
    said = [text for row in shown.rows for text in row]
    assert all("\n" not in each for each in (*said, *shown.problems))
