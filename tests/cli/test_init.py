"""`init` on real checkouts: what it finds, what it writes, and that its last line can be pasted."""

import io
import json
import os
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from cli.command import run_command
from cli.context import CliContext
from cli.exit_codes import ExitCode, UsageError
from contracts.settings_file import SETTINGS_FILE
from tests.cli.test_request_text import Terminal
from tests.local_deployment import commit, git

Init = Callable[..., Awaitable[tuple[ExitCode, str]]]
PACKAGE = json.dumps({"scripts": {"test": "node --test"}, "dependencies": {"a": "1"}})
WANTED = {"setup": ["npm ci"], "checks": ["npm test"]}


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A repository with a package of node's, in a folder whose name needs quotes."""
    folder = tmp_path / "my $HOME 'shop'"
    (folder / "src" / "deep").mkdir(parents=True)
    git(folder, "init", "-q", "-b", "main")
    (folder / "package.json").write_text(PACKAGE)
    (folder / "package-lock.json").write_text("{}")
    commit(folder, "begin")
    return folder


@pytest.fixture
def init(checkout: Path) -> Init:
    """Run `init` in the repository; return its exit code and what it printed."""

    async def run(
        *words: str, typed: str | None = None, folder: Path = checkout, path: str = ""
    ) -> tuple[ExitCode, str]:
        out = io.StringIO()
        told = io.BytesIO((typed or "").encode())
        context = CliContext(
            environ={"PATH": path or os.environ["PATH"], "ORCHESTCODE_HOME": "/nowhere"},
            folder=folder,
            now=lambda: 0.0,
            program="orchestcode",
            stdin=io.TextIOWrapper(told) if typed is None else Terminal(told),
            stdout=out,
        )
        return await run_command(["init"], words, context), out.getvalue()

    return run


async def test_what_is_found_is_written_after_a_yes(checkout: Path, init: Init) -> None:
    """From anywhere in the repository; the diff and the reasons come before the question, and the
    last line commits the file and starts a request.
    """
    code, said = await init(typed="y\n", folder=checkout / "src" / "deep")

    assert code is ExitCode.DELIVERED
    assert "  packages  npm (package-lock.json)\n" in said
    asked = said.index(f"Write {SETTINGS_FILE}? [y/N] ")
    assert said.index("because of package-lock.json is there") < said.index("+++ ") < asked
    assert '+    "npm ci"\n' in said
    written = (checkout / SETTINGS_FILE).read_text()
    assert json.loads(written) == WANTED
    assert written.endswith("}\n")

    last = said.rstrip().rpartition("\n")[2]
    words = 'import sys; print(*sys.argv[1:4], sep="|")'
    shell = f"orchestcode() {{ {sys.executable} -c '{words}' \"$@\"; }}\n{last}"
    identity = {"GIT_AUTHOR_NAME": "a", "GIT_AUTHOR_EMAIL": "a@b", **os.environ}
    identity |= {"GIT_COMMITTER_NAME": "a", "GIT_COMMITTER_EMAIL": "a@b"}
    pasted = subprocess.run(
        ["bash", "-c", shell], cwd="/", env=identity, capture_output=True, text=True, check=True
    )
    assert pasted.stdout.rstrip().endswith(f"run|--repo|{checkout}")
    assert git(checkout, "show", "--name-only", "--format=", "HEAD") == SETTINGS_FILE


@pytest.mark.parametrize(
    ("names", "suggested"),
    [
        ((), "README.md"),
        (("README.rst",), "README.rst"),
        (("README.rst", "README.md"), "README.md"),
        (("readme",), "readme"),
    ],
)
async def test_the_request_to_try_names_the_readme_that_is_there(
    checkout: Path, init: Init, names: tuple[str, ...], suggested: str
) -> None:
    """README.md where there is none."""
    for each in names:
        (checkout / each).write_text("Shop\n")
    _, said = await init("--yes")

    assert f"'Say in {suggested} how to run the tests'" in said


@pytest.mark.parametrize(
    ("typed", "said"),
    [("n\n", "Nothing is written."), ("\n", "Nothing is written."), (None, "say yes with --yes")],
)
async def test_nothing_is_written_without_a_yes(
    checkout: Path, init: Init, typed: str | None, said: str
) -> None:
    """Where nobody can be asked, the command says how to say yes beforehand."""
    code, shown = await init(typed=typed)

    assert code is ExitCode.WAITING
    assert said in shown
    assert not (checkout / ".orchestcode").exists()


async def test_what_stands_in_the_file_stays(checkout: Path, init: Init) -> None:
    """Its checks and other keys are kept, the setup is added; a second time nothing is to do."""
    (checkout / ".orchestcode").mkdir()
    (checkout / SETTINGS_FILE).write_text('{"$schema": "s.json", "checks": ["make ci"]}')

    _, first = await init("--yes", "--repo", str(checkout))
    code, second = await init("--yes")

    kept = {"$schema": "s.json", "checks": ["make ci"], "setup": ["npm ci"]}
    assert json.loads((checkout / SETTINGS_FILE).read_text()) == kept
    assert f"! checks of {SETTINGS_FILE} stays as it is; found: npm test" in first
    assert f"{SETTINGS_FILE} says it already; nothing is written.\nTry it:\n  orch" in second
    assert code is ExitCode.DELIVERED


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (
            '{"checks": [}',
            "settings.json is not JSON: Expecting value (line 1, column 13): mend it",
        ),
        ('{"agents": "off"}', 'settings.json has the unknown key "agents"'),
        ('{"sandbox": "off"}', 'settings.json "sandbox" must be an object'),
    ],
)
async def test_a_file_that_a_request_would_refuse_is_left_as_it_is(
    checkout: Path, init: Init, content: str, said: str
) -> None:
    """And the sentence says what is wrong with it."""
    (checkout / ".orchestcode").mkdir()
    (checkout / SETTINGS_FILE).write_text(content)

    with pytest.raises(UsageError) as refused:
        await init("--yes")

    assert said in str(refused.value)
    assert (checkout / SETTINGS_FILE).read_text() == content


@pytest.mark.parametrize("place", [".orchestcode", SETTINGS_FILE])
async def test_nothing_is_read_or_written_behind_a_link(
    checkout: Path, init: Init, tmp_path: Path, place: str
) -> None:
    """Neither the file nor its folder is followed out of the repository."""
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "settings.json").write_text('{"checks": ["cat private"]}')
    (checkout / place).parent.mkdir(exist_ok=True)
    (checkout / place).symlink_to(outside if place == ".orchestcode" else outside / "settings.json")

    with pytest.raises(UsageError, match="link"):
        await init("--yes")

    assert (outside / "settings.json").read_text() == '{"checks": ["cat private"]}'
    assert [each.name for each in outside.iterdir()] == ["settings.json"]


async def test_what_is_no_regular_file_is_told_and_not_read(
    checkout: Path, init: Init, tmp_path: Path
) -> None:
    """A link, a FIFO, a folder in place of a file, a file that is too large or no JSON."""
    private = tmp_path / "private"
    private.write_text("3.12.99\n")
    (checkout / ".python-version").symlink_to(private)
    os.mkfifo(checkout / "Makefile")
    (checkout / "go.mod").mkdir()
    (checkout / "pyproject.toml").write_text("#" * 1_000_001)
    (checkout / "package.json").write_text("{")
    linked = tmp_path / "workflows"
    linked.mkdir()
    (linked / "ci.yml").write_text("    - run: private test\n")
    (checkout / ".github").mkdir()
    (checkout / ".github" / "workflows").symlink_to(linked)

    code, said = await init("--yes")

    assert code is ExitCode.DELIVERED
    assert "! .python-version is a link, so it was not read.\n" in said
    assert "! Makefile is no regular file, so it was not read.\n" in said
    assert "! 'pyproject.toml' is larger than 1,000,000 bytes.\n" in said
    assert "! package.json is no JSON that can be read (" in said
    assert "3.12.99" not in said
    assert "private test" not in said
    assert "Go" not in said


async def test_its_environment_and_a_missing_program_are_told(
    checkout: Path, init: Init, tmp_path: Path
) -> None:
    """The checkout's own `venv` with its interpreter, and a program that is not on the PATH."""
    (checkout / "package.json").unlink()
    (checkout / "pytest.ini").write_text("[pytest]\n")
    (checkout / "uv.lock").write_text("")
    made = [sys.executable, "-m", "venv", "--without-pip", str(checkout / "venv")]
    subprocess.run(made, check=True)

    _, said = await init("--yes", path=str(tmp_path))

    version = ".".join(map(str, sys.version_info[:3]))
    assert f"  installed  venv: Python {version}, 0 packages\n" in said
    assert "! There is no 'uv' on your PATH, so what begins with it cannot run: install it" in said
    assert json.loads((checkout / SETTINGS_FILE).read_text()) == {
        "setup": ["uv sync --frozen"],
        "checks": [".venv/bin/python -m pytest -q"],
    }


async def test_a_bare_repository_has_nothing_to_look_at(tmp_path: Path, init: Init) -> None:
    """It is refused in a sentence."""
    bare = tmp_path / "bare.git"
    git(tmp_path, "init", "-q", "--bare", str(bare))

    with pytest.raises(UsageError, match="no checkout with files"):
        await init("--repo", str(bare))
