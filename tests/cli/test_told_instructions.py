"""`explain-instructions` on a real checkout: what counts, why, and what does not."""

import io
from pathlib import Path

import pytest

from cli.command import run_command
from cli.context import CliContext
from cli.exit_codes import ExitCode, UsageError
from tests.local_deployment import commit, git


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A repository with instructions of several folders, one of them changed since the commit."""
    files = {
        "AGENTS.md": "Use tabs. See @docs/style.md and @gone.md.\n",
        "CLAUDE.md": "@AGENTS.md\n",
        "docs/style.md": "Short lines.\n",
        "src/AGENTS.md": "",
        "src/CLAUDE.md": "Of src.\n",
        "src/app/AGENTS.md": "Of src.\n",
        "src/app/main.py": "",
        "other/AGENTS.md": "Of another folder.\n",
    }
    for path, text in files.items():
        (tmp_path / "shop" / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "shop" / path).write_text(text)
    git(tmp_path / "shop", "init", "-q", "-b", "main")
    commit(tmp_path / "shop", "begin")
    (tmp_path / "shop/AGENTS.md").write_text("Not committed.\n")
    return tmp_path / "shop"


async def _explained(folder: Path, *words: str, **environ: str) -> list[str]:
    out = io.StringIO()
    context = CliContext(
        environ={"PATH": "/usr/bin:/bin", "HOME": str(folder.parent), **environ},
        folder=folder,
        now=lambda: 0.0,
        program="orchestcode",
        stdout=out,
        stderr=io.StringIO(),
    )
    code = await run_command(("explain-instructions",), words, context)
    assert code is ExitCode.DELIVERED
    return out.getvalue().splitlines()


async def test_each_file_is_shown_with_its_id_its_size_and_why_it_counts(checkout: Path) -> None:
    """Of the commit, not of the working folder; those that are left out with the reason."""
    told = await _explained(checkout, "src/app/")

    base, root = git(checkout, "rev-parse", "HEAD"), git(checkout, "rev-parse", "HEAD:AGENTS.md")
    style, inner = (
        git(checkout, "rev-parse", f"HEAD:{path}") for path in ("docs/style.md", "src/CLAUDE.md")
    )
    assert told == [
        f"Instructions at {base[:12]} for: src/app/",
        f"  AGENTS.md  {root[:12]}  42 bytes, of the root",
        f"  docs/style.md  {style[:12]}  12 bytes, imported by AGENTS.md",
        f"  src/CLAUDE.md  {inner[:12]}  7 bytes, of src",
        "  not gone.md: imported by AGENTS.md: there is no such text",
        "  not CLAUDE.md: AGENTS.md counts there",
        "  not src/AGENTS.md: it is empty",
        "  not src/app/AGENTS.md: it says the same as src/CLAUDE.md",
    ]
    everything = await _explained(checkout, "--text")
    assert "Of another folder." in everything
    assert "Not committed." not in everything


async def test_the_person_s_own_come_first(checkout: Path) -> None:
    """The first file with a text counts; another can be named, or none."""
    own = checkout.parent / ".claude/CLAUDE.md"
    own.parent.mkdir()
    own.write_text("Be brief.\n")

    assert (await _explained(checkout, "src/"))[1] == f"  {own}  9 bytes, your own"
    named = await _explained(checkout, "src/", ORCHESTCODE_INSTRUCTIONS="none")
    assert not any("your own" in line for line in named)


async def test_a_commit_that_is_not_there_is_refused(checkout: Path) -> None:
    """In the sentence with which a request would be refused."""
    with pytest.raises(UsageError, match="there is no branch, tag or commit 'nope'"):
        await _explained(checkout, "--base", "nope")
