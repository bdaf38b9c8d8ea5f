"""Results on a terminal of any width: prose is broken between words, a command can be pasted."""

import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cli import doctor
from cli.clean_up import gone_lines
from cli.views.log import LogView
from cli.views.report import closing, commands_in
from cli.wrapping import prose, wrapped
from contracts.clean_up import GoneRequest
from contracts.endings import RequestEnding
from contracts.task import TaskState
from contracts.visibility import RunState
from infra.kept.turns import Called, UserBlock
from runtime.redaction import redactor
from tests.cli.builders import status, task
from tests.cli.test_looking import logged

WIDTHS = pytest.mark.parametrize("width", [40, 80, 200])
PROGRAM = "ORCHESTCODE_HOME=/somewhere/else orchestcode"
LISTS = "git -C '/a folder/of mine/shop.git' for-each-ref refs/oc/mend-the-shop-1a2b3c-123456/"


@given(st.text("ab ", max_size=200), st.integers(0, 80))
def test_prose_is_broken_between_words(text: str, width: int) -> None:
    """No word is lost or cut; a line is longer than the terminal only for one long word."""
    lines = wrapped(text, width)
    assert " ".join(lines).split() == text.split()
    assert all(len(line) <= width or " " not in line for line in lines) or width == 0


def _words(command: str) -> list[str]:
    """Return the words that a shell makes of a command's lines."""
    said = subprocess.run(
        ["sh", "-c", f"set -- {command}\nprintf '%s\\n' \"$@\""],
        capture_output=True,
        text=True,
        check=True,
    )
    return said.stdout.splitlines()


@WIDTHS
def test_a_command_at_the_end_of_a_line_can_be_pasted(width: int) -> None:
    """It stands on lines of its own where the whole does not fit, and is the same to a shell."""
    line = f"  Its work so far is in the store; list it with: {LISTS}"
    first, *rest = lines = prose([line], width, commands=[LISTS])
    if width == 200:
        assert lines == [line]
        return
    start = next(place for place, each in enumerate(lines) if each.lstrip().startswith("git"))
    assert first.startswith("  Its work")
    assert _words("\n".join(lines[start:])) == _words(LISTS)
    assert " ".join(each.strip() for each in [first, *rest[: start - 1]]).endswith("list it with:")


def test_quoted_output_keeps_its_mark_and_its_indentation() -> None:
    """Also where a line of it is broken."""
    lines = prose(["     |     return the price less the discount, in cents"], 40)

    assert lines == ["     |     return the price less the", "     |     discount, in cents"]


@WIDTHS
def test_findings_of_the_doctor_fit_the_terminal(width: int) -> None:
    """A text goes on below itself where there is room, and a command in a remedy stays whole."""
    remedy = f"see the log; start it again: {PROGRAM} stop && {PROGRAM} up --detach"
    found = [
        doctor.Probe("other users", "advice", "1 can log in: ada; they reach it", "close it"),
        doctor.Probe("server", "problem", "no service answers at 127.0.0.1:7233", remedy),
    ]
    lines = doctor.shown(found, width=width, program=PROGRAM)
    told = " ".join(" ".join(lines).replace(" \\ ", " ").split())

    assert max(len(line) for line in lines if "=" not in line) <= width
    for each in found:
        assert each.text in told
        assert f"-> {each.remedy}" in told


@WIDTHS
def test_a_log_fits_the_terminal(width: int) -> None:
    """Each part of a broken line has the mark of the whole: whose words, output or call it is."""
    said = "I look at the cart and think at length of what it needs. " * 4
    turn = logged(
        UserBlock("def total(self): return sum(cents for _, cents, _ in self.lines)", "view a.py"),
        says=said,
        calls=(Called("run_command", "python3 -m unittest -q tests.test_cart", {}),),
    )
    narrow = LogView(whole=False, redact=redactor(()), width=width).lines(turn)
    whole = LogView(whole=False, redact=redactor(())).lines(turn)

    assert max(map(len, narrow)) <= width
    output = [line for line in narrow if line.startswith("     |")]
    assert len(output) == (2 if width < 80 else 1)
    assert " ".join(" ".join(narrow).replace("|", "").split()) == " ".join(
        " ".join(whole).replace("|", "").split()
    )


@WIDTHS
def test_a_report_breaks_cause_and_notes_and_leaves_commands_whole(width: int) -> None:
    """As of a request that failed at its last checks; only the address is one long line."""
    ended = status(
        task("a", TaskState.FAILED, reason="the reviewer still asks for: a test of the discount"),
        state=RunState.FAILED,
        ending=RequestEnding.BROKEN,
        reason="`python3 -m unittest -q` fails (exit code 1) on the merged tree, so nothing landed",
        base_problems=("`python3 -m unittest -q` fails before we started (exit code 1)",),
        work_command=LISTS,
    )
    lines = closing(ended, seconds=9, link="", width=width)
    told = " ".join("\n".join(lines).replace(" \\\n", " ").split())

    assert commands_in(ended) == [LISTS]
    assert LISTS in told
    assert str(ended.reason) in told
    assert max(len(line) for line in lines if "refs/" not in line) <= width


@WIDTHS
def test_what_would_be_deleted_fits_the_terminal(width: int) -> None:
    """First the reason goes, then the repository; name and size stay."""
    gone = [
        GoneRequest(
            id="request/mend-1a2b3c",
            repository="/home/me/src/a/longer/name/shop",
            ended=1.0,
            why="it ended 45 days ago and is kept 30",
            stored_bytes=1_500_000,
        )
    ]
    lines = gone_lines(gone, 45 * 86_400.0, width=width)

    assert max(map(len, lines)) <= width
    assert lines[1].split()[0] == "mend-1a2b3c"
    assert "1.5 MB" in lines[1]
    assert ("is kept 30" in lines[1]) == (width == 200)
