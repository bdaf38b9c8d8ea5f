"""What decided a review in histories from before 2026-12: a finding had to point into the patch."""

import pytest

from contracts.review import Finding, ReviewFinish, Verdict
from domain import wire
from tests.domain.review.test_verdict import patch


def review(*findings: tuple[int, str | None]) -> ReviewFinish:
    """A review that wants changes, with findings by priority and path."""
    return ReviewFinish(
        verdict=Verdict.REVISE,
        summary="I looked.",
        findings=tuple(Finding(priority=p, title="Wrong", path=path) for p, path in findings),
    )


@pytest.mark.parametrize(
    "path",
    [
        "src/a.py",
        "./src/a.py",
        "a/src/a.py",
        "b/src/a.py",
        "/worktree/src/a.py",
        "src\\a.py",
        "src/a.py:12",
        "src/a.py:12:3",
        "src/a.py#L12-L20",
        "`src/a.py`",
        "SRC/A.py",
        "a.py",
    ],
)
def test_a_path_is_recognised_however_it_is_written(path: str) -> None:
    """Reviewers copy paths from diffs, tracebacks and editors."""
    assert wire.objections(review((0, path)), patch("src/a.py"))


@pytest.mark.parametrize(
    ("priority", "path"),
    [(2, "src/a.py"), (3, "src/a.py"), (0, None), (1, "src/b.py"), (0, "ra.py"), (0, " ")],
)
def test_remarks_and_findings_elsewhere_do_not_block(priority: int, path: str | None) -> None:
    """Only priority 0 and 1 that point into the patch."""
    assert wire.objections(review((priority, path)), patch("src/a.py")) is None


def test_in_a_patch_too_large_to_list_a_finding_gets_the_benefit_of_the_doubt() -> None:
    """Of 300 changed files only the first are known by name."""
    assert wire.objections(review((0, "far/away.py")), patch("src/a.py", files=300))
