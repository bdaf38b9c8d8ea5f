"""Path patterns: what they cover, when two may meet, and which are refused."""

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from domain.planning.write_patterns import covers, meet, normal, reach, refusal, unsafe

PROPERTY = settings(deadline=None, max_examples=600)
PIECES = st.sampled_from(["a", "b", "a.py", "B.py", "*", "**", "*.py", "?", "[ab]", "[id].py"])
PATTERNS = st.builds(
    lambda parts, end: "/".join(parts) + end,
    st.lists(PIECES, min_size=1, max_size=4),
    st.sampled_from(["", "", "/"]),
)
FILES = st.lists(
    st.sampled_from(["a", "b", "a.py", "B.py", "[id].py", "i.py"]), min_size=1, max_size=4
).map("/".join)


def overlap(a: str, b: str) -> bool:
    """Whether two patterns may cover a common path."""
    return meet(reach(a), reach(b))


@pytest.mark.parametrize(
    ("pattern", "path", "covered"),
    [
        ("src/", "src/a/b.py", True),
        ("src/", "src2/a.py", False),
        ("src/", "src", False),
        ("src", "src/a.py", True),
        ("./src/", "src/a.py", True),
        (".github", ".github/workflows/ci.yml", True),
        ("Makefile", "Makefile", True),
        ("src/a.py", "src/a.py", True),
        ("src/a.py", "src/a.pyc", False),
        ("src/a.py", "src/a.py/x", False),
        ("src/*.py", "src/a.py", True),
        ("src/*.py", "src/deep/a.py", True),
        ("src/**/a.py", "src/a.py", True),
        ("src/**/a.py", "src/x/y/a.py", True),
        ("src/**/a.py", "src/xa.py", False),
        ("**/*.md", "README.md", True),
        ("src*/", "src2/a.py", True),
        ("**", "anything/at/all", True),
        (".", "anything/at/all", True),
        ("pages/[id].tsx", "pages/[id].tsx", True),
        ("src/A.py", "src/a.py", False),
        ("", "a", False),
    ],
)
def test_what_a_pattern_covers(pattern: str, path: str, covered: bool) -> None:  # noqa: FBT001
    """As fnmatch does, and what people mean by folders, `**/` and names in brackets."""
    assert covers((pattern,), path) is covered
    assert covers((), path) is False


@pytest.mark.parametrize(
    ("a", "b", "may_meet"),
    [
        ("src/a.py", "src/a.py", True),
        ("src/a.py", "src/b.py", False),
        ("src/a.py", "SRC/A.py", True),
        ("src/", "src/a.py", True),
        ("src/", "src2/a.py", False),
        ("src/a/", "src/", True),
        ("src", "src/a.py", True),
        ("src", "src2", False),
        ("src/*.py", "src/a.py", True),
        ("src/*.py", "src/a.md", False),
        ("README.md", "*.py", False),
        ("src/*.py", "docs/*.py", False),
        ("src/*.py", "src/*.md", False),
        ("src/*.py", "src/deep/*", True),
        ("src/*", "src/deep/", True),
        ("src/deep/*.py", "src/", True),
        ("sr?", "src", True),
        ("src2/*", "src/", False),
        ("**/a.py", "a.py", True),
        ("src/**/a.py", "src/a.py", True),
        ("**", "x", True),
        ("tests/*_a.py", "tests/*_b.py", False),
        ("pages/[id].tsx", "pages/[id].tsx", True),
    ],
)
def test_when_two_patterns_may_meet(a: str, b: str, may_meet: bool) -> None:  # noqa: FBT001
    """Plain cases are decided exactly, in both directions; doubtful ones count as meeting."""
    assert overlap(a, b) is overlap(b, a) is may_meet


@PROPERTY
@example("**/*.py", "a.py", "a.py")
@example("a/**/b", "a/b", "a/b")
@given(PATTERNS, PATTERNS, FILES)
def test_no_path_is_covered_by_two_patterns_that_are_said_not_to_meet(
    a: str, b: str, path: str
) -> None:
    """Overlap errs to yes, never to no."""
    if covers((a,), path) and covers((b,), path):
        assert overlap(a, b)
    assert overlap(a, a)


@PROPERTY
@given(st.text(max_size=30), st.text(max_size=30))
def test_any_text_can_be_asked_about(a: str, b: str) -> None:
    """Nonsense is answered, not an error; normal form is stable."""
    assert overlap(a, b) in (True, False)
    assert covers((a,), b) in (True, False)
    assert normal(normal(a)) == normal(a)
    refusal(a)


@pytest.mark.parametrize(
    ("pattern", "words"),
    [
        ("", "empty"),
        ("  ", "empty"),
        ("/etc/passwd", "absolute"),
        ("~/x", "absolute"),
        ("../x", "leaves the repository"),
        ("a/../../x", "leaves the repository"),
        (".git/config", "git's own directory"),
        ("sub/.GIT/hooks/", "git's own directory"),
        ("src\\a.py", "backslash"),
        ("src/{a,b}.py", "braces"),
        ("a\nb", "control character"),
        ("x" * 301, "longer than 300"),
    ],
)
def test_a_pattern_that_cannot_be_meant_is_refused(pattern: str, words: str) -> None:
    """The end of the sentence says what to write instead."""
    assert words in (refusal(pattern) or "")


@pytest.mark.parametrize("pattern", [".gitignore", ".github/", "a..b", "src/**", "[id].tsx", "{x}"])
def test_a_pattern_that_only_looks_odd_is_fine(pattern: str) -> None:
    """Names that merely resemble something refused are not."""
    assert refusal(pattern) is None


@pytest.mark.parametrize("path", ["/etc/x", "a/../b", ".git/config", "a/.Git/x", "a//b", "./a"])
def test_a_path_that_no_tree_should_hold_is_unsafe(path: str) -> None:
    """Absolute, climbing, or inside git's own directory."""
    assert unsafe(path)
    assert not unsafe("src/.github/a.py")
