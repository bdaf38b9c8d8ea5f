"""The list of a repository's files."""

from hypothesis import given
from hypothesis import strategies as st

from domain.memory.repo_map import repository_map

LARGE = [
    *(f"src/pkg{n:02}/module{m:03}.py" for n in range(40) for m in range(100)),
    *(f"docs/page{n}.md" for n in range(12)),
    "README.md",
    "pyproject.toml",
    *(f"vendor/deep/{'x/' * 6}f{n}.c" for n in range(8_000)),
]


def test_a_small_repository_is_listed_whole() -> None:
    """Every path, sorted, when all of them fit."""
    assert repository_map(["b/c.py", "a.py"], 100) == "a.py\nb/c.py"


def test_a_large_repository_is_listed_as_folders_with_counts() -> None:
    """12,000 files come as the folders of the first levels, each with how many files it holds."""
    lines = repository_map(LARGE, 1_500).splitlines()

    assert {"README.md", "pyproject.toml", "docs/page0.md"} <= set(lines)
    assert "src/pkg00/ (100 files)" in lines
    assert any(line.startswith("vendor/") and line.endswith("(8,000 files)") for line in lines)
    assert not any("more" in line for line in lines)


def test_a_folder_too_large_to_open_stands_as_one_line() -> None:
    """A root of many files gives what fits and counts the rest; no folder is lost to it."""
    lines = repository_map([*(f"f{n:05}.txt" for n in range(5_000)), "src/a.py"], 400).splitlines()

    assert "src/ (1 file)" in lines or "src/a.py" in lines
    assert lines[-1].startswith("… and 4,9")


NAMES = st.text(st.sampled_from("ab/"), min_size=1, max_size=8).map(
    lambda text: "/".join(part for part in text.split("/") if part) or "a"
)


@given(st.lists(NAMES, max_size=60, unique=True), st.integers(40, 300))
def test_every_file_is_named_or_counted_and_the_limit_holds(paths: list[str], limit: int) -> None:
    """Files are named or counted, once, and the list is never longer than its limit."""
    files = [path for path in paths if not any(other.startswith(f"{path}/") for other in paths)]
    lines = repository_map(files, limit).splitlines()

    counted = sum(int(line.split(" (")[1].split(" ")[0]) for line in lines if line.endswith(")"))
    named = sum(not line.endswith(")") and not line.startswith("…") for line in lines)
    more = [line for line in lines if line.startswith("…")]
    if not more:
        assert counted + named == len(files)
    assert len("\n".join(line for line in lines if line not in more).encode()) <= limit
