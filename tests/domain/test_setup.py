"""Which commands install what a project depends on, and what decides their result."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.setup import INSTALLERS, installers, layer_name, missing, names_any, stated_in
from domain.setup_words import ran_sentence

NPM = ("package.json", "package-lock.json")


@pytest.mark.parametrize(
    ("files", "there", "commands"),
    [
        (NPM, [], ["npm ci"]),
        (NPM, ["node_modules"], []),
        ((*NPM, "node_modules/a/index.js"), [], []),
        (("web/package.json", "web/package-lock.json"), [], ["(cd web && npm ci)"]),
        ((*NPM, "web/package.json", "web/package-lock.json"), [], ["npm ci"]),
        (("a/b/package.json", "a/b/package-lock.json"), [], []),
        (("pyproject.toml", "doc/requirements.txt", "examples/package-lock.json"), [], []),
        (("a b/package-lock.json",), [], ["(cd 'a b' && npm ci)"]),
        (("package-lock.json", "yarn.lock"), [], ["npm ci"]),
        (("pyproject.toml", "uv.lock", "requirements.txt"), [], ["uv sync --frozen"]),
        (("pyproject.toml", "uv.lock"), ["venv"], []),
        (("pyproject.toml",), [], []),
        (("go.mod", "go.sum"), [], ["go mod download"]),
        (("go.mod", "go.sum"), ["~/go/pkg/mod"], []),
        (("go.mod", "go.sum", "vendor/modules.txt"), [], []),
        (("Cargo.toml", "Cargo.lock", *NPM), [], ["npm ci", "cargo fetch --locked"]),
    ],
)
def test_a_lock_file_whose_packages_are_not_there_names_a_command(
    files: tuple[str, ...], there: list[str], commands: list[str]
) -> None:
    """At the top, or one folder below where there is none of its kind at the top; not what serves
    documentation or examples alone.
    """
    assert [each.command for each in missing(files, there)] == commands


@pytest.mark.parametrize(
    ("lock", "content", "named"),
    [
        ("package-lock.json", '{"packages": {"": {}}}', False),
        ("package-lock.json", '{"packages": {"node_modules/a": {}}}', True),
        ("Cargo.lock", '[[package]]\nname = "mine"\n', False),
        ("Cargo.lock", 'source = "registry+x"\n', True),
        ("go.sum", "", False),
        ("go.sum", "example.org/m v1.0.0 h1:x\n", True),
        ("yarn.lock", " \n", False),
    ],
)
def test_a_lock_file_that_names_nothing_needs_no_setup(
    lock: str, content: str, named: object
) -> None:
    """A project without dependencies is not asked about."""
    installer = next(each for each in INSTALLERS if each.lock == lock)
    assert names_any(installer, content) is named


def test_lock_files_versions_and_named_files_decide_what_a_setup_comes_to() -> None:
    """Manifests count where there is no lock file; sources do not."""
    files = (*NPM, ".nvmrc", "go.mod", "go.sum", "tools/dev.txt", "src/a.py", "pyproject.toml")
    assert stated_in(files, ["sh -c 'pip install -r ./tools/dev.txt'"]) == (
        *(".nvmrc", "go.mod", "go.sum", "package-lock.json", "pyproject.toml", "tools/dev.txt"),
    )


@given(
    st.lists(st.text(max_size=5), min_size=1, max_size=3),
    st.dictionaries(st.text(max_size=4), st.text(max_size=4), max_size=3),
    st.text(max_size=3),
    st.sampled_from(["command", "file", "content", "host"]),
)
def test_a_layer_has_another_name_for_each_content(
    commands: list[str], stated: dict[str, str], host: str, change: str
) -> None:
    """And the same for the same, in whatever order files are listed."""
    name = layer_name(commands, stated, host)
    assert name == layer_name(commands, dict(reversed(stated.items())), host)
    assert name.isalnum()
    match change:
        case "command":
            other = layer_name([*commands, "x"], stated, host)
        case "file":
            other = layer_name(commands, {**stated, "longer": "x"}, host)
        case "content":
            other = layer_name(commands, {key: f"{value}x" for key, value in stated.items()}, host)
            if not stated:
                return
        case _:
            other = layer_name(commands, stated, f"{host}x")
    assert name != other


@given(st.sets(st.sampled_from([i.lock for i in INSTALLERS] + ["a/" + i.lock for i in INSTALLERS])))
def test_no_two_commands_install_into_the_same_folders(files: set[str]) -> None:
    """Of several lock files for one folder the first counts."""
    places = [(each.folder, each.installer.folders) for each in installers(files)]
    assert len(places) == len(set(places))


def test_people_are_told_whether_a_setup_ran() -> None:
    """With how long it took and how much it installed."""
    assert ran_sentence(["npm ci"], seconds=12.3, size=38_000_000, now=True) == (
        "The setup `npm ci` ran in 12 s and installed 38 MB."
    )
    assert ran_sentence(["npm ci"], seconds=12.3, size=3, now=False) == (
        "The setup `npm ci` did not have to run: its 1 MB are there from an earlier request."
    )
