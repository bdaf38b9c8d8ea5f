"""A repository's own instructions: which files count for a task, and what is told of them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.agent import instructions
from domain.agent.instructions import BUDGET_BYTES, InstructionFile


def test_the_folders_from_the_root_to_every_declared_path_count() -> None:
    """Outer folders come first; of a pattern counts what precedes its first wildcard."""
    scope = ("src/app/main.py", "docs/**/*.md", "src/lib/", "*.toml")

    assert instructions.folders(scope) == [
        *("", "docs", "src"),
        *("src/app", "src/lib", "src/app/main.py"),
    ]
    assert instructions.folders(()) == [""]


@pytest.mark.parametrize(
    ("pattern", "found"),
    [
        ("src/**/x.py", ["src", "src/a", "src/a/deep"]),
        ("pkg/*", ["pkg", "pkg/inner"]),
        ("pkg/", ["pkg", "pkg/inner"]),
        ("*.toml", ["tools"]),
        ("src/b/new.py", ["src", "src/b", "src/b/new.py"]),
        ("lib/**", ["lib"]),
    ],
)
def test_below_a_pattern_count_the_folders_with_a_file_that_it_covers(
    pattern: str, found: list[str]
) -> None:
    """Those that hold instructions, however deep the file lies; siblings do not."""
    paths = (
        *("AGENTS.md", "src/AGENTS.md", "src/a/CLAUDE.md", "src/a/deep/.claude/CLAUDE.md"),
        *("src/a/deep/er/x.py", "src/b/AGENTS.md", "src/b/y.py", "src/MYAGENTS.md"),
        *("pkg/inner/AGENTS.override.md", "pkg/inner/z.py", "tools/AGENTS.md", "tools/a/b.toml"),
        *("lib/plain/w.py", "lib/other/v.py"),
    )

    assert instructions.folders((pattern,), paths) == ["", *found]


def test_block_comments_are_not_told() -> None:
    """What only people see stays out; in fenced code a comment is code."""
    text = "Use tabs.\n<!-- for\npeople -->\n```html\n<!-- kept -->\n```\n"

    assert instructions.prose(text) == "Use tabs.\n```html\n<!-- kept -->\n```"


def test_imports_are_paths_beside_the_file() -> None:
    """Relative to the file that imports; not in code, not absolute, not out of the repository."""
    text = (
        "See @rules.md and @./more.md, not `@code.md`, me@x.org, @/etc/passwd or @~/x.\n"
        "@../shared/a.md\n@../../out.md\n```\n@fenced.md\n```\n"
    )

    assert instructions.imports("docs/AGENTS.md", text) == [
        *("docs/rules.md", "docs/more.md"),
        "shared/a.md",
    ]


def test_the_closest_instructions_are_kept_whole() -> None:
    """Beyond 32 KiB the outermost file is cut at a line, and the cut is visible."""
    root = InstructionFile("AGENTS.md", "outer rule\n" * 4_000)
    leaf = InstructionFile("src/AGENTS.md", "inner rule\n" * 100)

    told = instructions.assembled([root, leaf])

    assert told.endswith("# src/AGENTS.md\n\n" + leaf.text)
    assert told.startswith("# AGENTS.md\n\nouter rule\n")
    assert "outer rule\n[cut: " in told
    assert len(told.encode()) < BUDGET_BYTES + 200
    assert instructions.assembled([]) == ""


@given(st.lists(st.integers(0, 4_000), min_size=1, max_size=6))
def test_what_is_told_of_each_file_is_counted(lines: list[int]) -> None:
    """The files keep their order; what is beyond the limit is cut from the outermost on."""
    files = [InstructionFile(f"{n}.md", "a rule\n" * count) for n, count in enumerate(lines)]

    told = instructions.fitted(files)

    assert [each.file for each in told] == files
    assert all(each.kept_bytes <= each.whole_bytes == len(each.file.text) for each in told)
    assert sum(each.kept_bytes for each in told) <= BUDGET_BYTES
    cut = [number for number, each in enumerate(told) if each.kept_bytes < each.whole_bytes]
    assert all(each.kept_bytes == 0 for each in told[: max(cut, default=0)])


@given(st.text(st.sampled_from("`~<!->@a/\n. "), max_size=80))
def test_any_text_is_read(text: str) -> None:
    """No text breaks the reading, and every import lies in the repository."""
    instructions.prose(text)
    for path in instructions.imports("a/b.md", text):
        assert not path.startswith(("/", ".."))
