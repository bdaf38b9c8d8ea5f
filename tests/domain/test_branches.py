"""Names of branches, held against git itself."""

import subprocess

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domain import branches

PIECES = [*"ab-._/@{~^: *?[\\", "ä", ".lock", "\t"]
PARTS = st.lists(st.sampled_from(PIECES), max_size=8).map("".join)


@pytest.mark.parametrize(
    "name",
    [
        "main", "feature/x", "orchestcode/mend-1a2b3c", "v1.2", "grüße", "a@b", "x-", "@x",
    ],
)  # fmt: skip
def test_names_that_git_takes(name: str) -> None:
    """Nothing is wrong with them."""
    assert branches.problem(name) is None


@pytest.mark.parametrize(
    "name",
    [
        "", "@", "-x", "a b", "a..b", "a@{1}", "a//b", "/a", "a/", "a.", ".a", "a/.b", "a.lock",
        "a.lock/b", "a~1", "a^", "a:b", "a?", "a*", "a[b", "a\\b", "a\x7f", "HEAD", "x" * 250,
    ],
)  # fmt: skip
def test_names_that_are_refused_with_a_reason(name: str) -> None:
    """The person is told what is wrong before anything is touched."""
    assert branches.problem(name)


@settings(max_examples=60, deadline=None)
@given(PARTS)
def test_whatever_is_taken_git_takes_too(name: str) -> None:
    """`git check-ref-format --branch` has the last word."""
    checked = subprocess.run(
        ["git", "check-ref-format", f"refs/heads/{name}"], check=False, capture_output=True
    )

    assert branches.problem(name) is not None or checked.returncode == 0
