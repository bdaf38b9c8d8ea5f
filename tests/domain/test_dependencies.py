"""Where dependencies may be installed, and what says which they are."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.repository import Dependencies
from domain.dependencies import Place, home_caches, included, may_be_installed, places
from domain.installed import told_to_agents, told_to_people

PYTHON = [Place(".venv", python=True), Place("venv", python=True)]


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ([], PYTHON),
        (
            ["package.json", "yarn.lock", "package-lock.json"],
            [*PYTHON, Place("node_modules", "", ("package-lock.json", "yarn.lock"))],
        ),
        (
            ["package.json", "pnpm-lock.yaml", "packages/a/package.json"],
            [
                *PYTHON,
                Place("node_modules", "", ("pnpm-lock.yaml",)),
                Place("packages/a/node_modules", "packages/a", ("pnpm-lock.yaml",)),
            ],
        ),
        (["web/package.json"], [*PYTHON, Place("web/node_modules", "web", ("web/package.json",))]),
        (["package.json", "node_modules/a/index.js"], PYTHON),
        (["package.json", "node_modules"], PYTHON),
        (
            ["api/pyproject.toml", "api/uv.lock"],
            [
                *PYTHON,
                Place("api/.venv", "api", ("api/uv.lock",), python=True),
                Place("api/venv", "api", ("api/uv.lock",), python=True),
            ],
        ),
        (["composer.json", "vendor/autoload.php"], PYTHON),
        (["Gemfile", "Gemfile.lock"], [*PYTHON, Place("vendor/bundle", "", ("Gemfile.lock",))]),
    ],
)
def test_dependencies_lie_beside_what_names_them(files: list[str], expected: list[Place]) -> None:
    """In the folder of the manifest, unless the base has files there; lock files above count."""
    assert sorted(places(files), key=lambda each: each.path) == sorted(
        expected, key=lambda each: each.path
    )


@given(
    st.lists(st.text("ab/.", min_size=1), max_size=20), st.sampled_from(["package.json", "Gemfile"])
)
def test_no_place_is_one_of_the_base_s_files(names: list[str], manifest: str) -> None:
    """Whatever a repository holds, nothing is mounted over its own files."""
    files = {"/".join(filter(None, name.split("/"))) for name in names} - {""}
    files |= {f"{file}/{manifest}" for file in files}
    for place in places(files):
        assert not any(file == place.path or file.startswith(f"{place.path}/") for file in files)


def test_caches_belong_to_manifests() -> None:
    """A manifest anywhere in the repository counts, and only its own caches."""
    assert home_caches(["tools/gen/go.mod", "go.mod", "x.go.mod"]) == [Place("go/pkg/mod")]
    assert home_caches(["a/Cargo.toml"]) == [Place(".cargo/registry"), Place(".cargo/git")]
    assert home_caches(["package.json", "Cargo.toml.orig"]) == []


def test_a_path_into_installed_dependencies_is_known() -> None:
    """Only a whole name of a folder counts."""
    for path in (".venv/bin/python", "web/node_modules/.bin/jest", "vendor/bundle/x"):
        assert may_be_installed(path)
    for path in ("bin/python", "my.venv/bin/python", "vendors/x", "node_modules", "deps2/x"):
        assert not may_be_installed(path)


def test_an_include_file_names_folders_from_the_top() -> None:
    """Comments and blank lines are left out; what would lead elsewhere is not understood."""
    text = "# caches\n\n/build/cache/\n target/*/x \n../y\n!z\n**/w\n.git\na//b\n"
    assert included(text) == (
        ["build/cache", "target/*/x"],
        ["../y", "!z", "**/w", ".git", "a//b"],
    )


def test_people_and_agents_are_told_what_is_installed() -> None:
    """Which environment commands use, what else is there, and what may not fit."""
    venv = Dependencies(path=".venv", source="/x/.venv", contents="Python 3.12.1, 3 packages")
    modules = Dependencies(path="node_modules", source="/x/n", outdated_by=("yarn.lock",))
    doubt = (
        "node_modules may hold other packages than the base needs, because yarn.lock differs in "
        "the checkout"
    )
    assert told_to_people((venv, modules), environment=venv, unused="/other") == [
        "Commands use .venv of your checkout: Python 3.12.1, 3 packages.",
        "The active environment /other is not used: the repository has its own.",
        "Commands also find here what your checkout has: node_modules.",
        f"{doubt}: install again.",
    ]
    cache = Dependencies(path="go/pkg/mod", source="/x/go/pkg/mod", in_home=True)
    assert told_to_people((cache,), environment=None, unused=None) == [
        "Commands also find packages that were fetched to ~/go/pkg/mod."
    ]
    assert told_to_people((), environment=None, unused=None) == []
    assert told_to_agents((modules,)) == [
        "installed for commands, while views and searches do not look there: node_modules",
        doubt,
    ]
    assert told_to_agents(()) == []
