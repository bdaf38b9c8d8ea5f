"""A person watches a request on a real terminal: its words as they come, its questions by key."""

import asyncio
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from contracts.visibility import RunState
from domain.request.markdown import card
from runtime.services.binary import find_binary
from tests.local_deployment import ROOT, LocalDeployment, until
from tests.model_scripts import Task, approves, done, finish, play, turn, writes_file
from tests.terminal import Terminal, terminal

pytestmark = pytest.mark.minutes

SMALL = {"README.md": "A small thing.\n"}
LONG = " ".join(f"word{number}" for number in range(400))
SLOW = {"kind": "slow", "ms": 150}
SPEAKS = Task(
    id="only",
    writes=("x.txt",),
    coder=(
        turn(
            {"tool": "edit", "input": {"command": "create", "path": "x.txt", "file_text": "x\n"}},
            say=f"I think aloud: {LONG}",
            fault=[{"kind": "cut_clean", "after": 3}, SLOW],
        ),
        done("It is written."),
    ),
    reviewer=(approves(),),
)
REVISED = Task(
    id="only",
    writes=("b.txt",),
    coder=(
        turn({"tool": "edit", "input": {"command": "create", "path": "b.txt", "file_text": "b\n"}}),
        done("First try."),
        done("Second try."),
    ),
)
PLAYS = [
    play("watched-slow", SPEAKS),
    play("watched-asks", writes_file("only", "a.txt", "a\n")),
    play(
        "watched-revised",
        writes_file("only", "a.txt", "a\n"),
        planner=[
            turn(
                finish(summary="Not yet right.", tasks=[writes_file("only", "a.txt", "a\n").spec()])
            ),
            turn(
                finish(
                    summary="Now with a README.",
                    tasks=[writes_file("only", "a.txt", "a\n").spec()],
                )
            ),
        ],
    ),
    play("watched-two", writes_file("one", "a.txt", "a\n"), writes_file("two", "c.txt", "c\n")),
    play("watched-logged", writes_file("only", "l.txt", "l\n", delay_ms=1_000)),
    play("watched-left", writes_file("only", "a.txt", "a\n")),
    play("watched-stale", writes_file("only", "a.txt", "a\n")),
]


@contextmanager
def watching(
    deployment: LocalDeployment, *words: str, columns: int = 100, rows: int = 30, **environ: str
) -> Iterator[Terminal]:
    """Have `watch` on a terminal."""
    command = [sys.executable, str(ROOT / "starter.py"), "watch", *words]
    variables = {**deployment.environ, "PAGER": "cat", **environ}
    with terminal(
        command, environ=variables, folder=deployment.folder, columns=columns, rows=rows
    ) as shown:
        yield shown
        if shown.process.poll() is not None:
            assert shown.modes() == shown.before, "the terminal is not as it was"
            assert shown.written.endswith("\x1b[?25h") or "\x1b[?25h" in shown.written


def _asks_again(screen: str) -> bool:
    return "Now with a README." in screen and "a approve" in screen


def _speaks(screen: str) -> bool:
    """Whether some words of the long reply stand there, and not yet its last one."""
    return re.search(r"word\d", screen) is not None and "word399" not in screen


async def _in_thread(wait: Callable[..., object], *given: object) -> str:
    return str(await asyncio.to_thread(wait, *given))


async def test_words_of_a_running_reply_are_seen_before_it_ends(
    deployment: LocalDeployment,
) -> None:
    """Word by word, with how much came, and that the reply began again after its stream was cut;
    on a narrow terminal too, and in a pipe as lines once it is there.
    """
    folder = deployment.repository("watched-slow", SMALL)
    handle = await deployment.start_request("watched-slow", folder)
    log = deployment.folder / "watched-slow.log"
    piped = deployment.open_starter("watch", handle.id, log=log)
    with (
        watching(deployment, handle.id, columns=80, rows=24) as wide,
        watching(deployment, handle.id, "--task", "only", columns=40, rows=24) as narrow,
    ):
        seen = await _in_thread(wide.until_true, _speaks, "words")
        assert "only coder turn 1, began again" in seen
        assert "● only" in seen
        await _in_thread(narrow.until_true, _speaks, "words")
        await deployment.delivered(handle)
        await _in_thread(wide.ends)
        await _in_thread(narrow.ends)
    assert "Delivered: branch" in wide.written
    assert "\n".join(wide.screen.lines).count("exit 0") == 1
    await piped.wait()
    lines = log.read_text()
    assert "only coder -> edit x.txt" in lines
    assert "only reviewer => approve: It does what was asked." in lines
    assert "only coder turn 1, began again" in lines
    assert "\x1b" not in lines
    await until(lambda: not list((deployment.settings.home / "live").iterdir()))


async def test_a_plan_is_approved_by_key_once_it_is_confirmed(deployment: LocalDeployment) -> None:
    """It is seen with its goals; another key than y sends nothing; the terminal is as before."""
    folder = deployment.repository("watched-asks", SMALL)
    handle = await deployment.start_request(
        "watched-asks", folder, approve=["plan", "delivery"], checks=["true"]
    )
    await deployment.waiting(handle)
    with watching(deployment, handle.id) as shown:
        await _in_thread(shown.until, "a approve")
        assert "goal: Do what only says." in shown.seen()
        shown.press("a")
        await _in_thread(shown.until, "Approve? y sends it")
        shown.press("n")
        await _in_thread(shown.until, "nothing was sent")
        assert (await deployment.status(handle)).approvals
        shown.press("?")
        await _in_thread(shown.until, "close this help")
        shown.press("?")
        shown.press("a")
        await _in_thread(shown.until, "Approve? y sends it")
        shown.press("y")
        await _in_thread(shown.until, "? deliver branch")
        assert "passed: true" in shown.seen()
        shown.press("v")
        await _in_thread(lambda: shown.until_true(lambda _: "+++ b/a.txt" in shown.written))
        shown.press("a")
        await _in_thread(shown.until, "Approve? y sends it")
        shown.press("y")
        await deployment.delivered(handle)
        assert await asyncio.to_thread(shown.ends) == 0
    assert "Delivered: branch" in shown.written


async def test_a_plan_goes_back_with_a_line_or_the_words_of_an_editor(
    deployment: LocalDeployment,
) -> None:
    """What was written reaches the planner, and the new plan is asked about."""
    folder = deployment.repository("watched-revised", SMALL)
    handle = await deployment.start_request("watched-revised", folder, approve=["plan"])
    await deployment.waiting(handle)
    editor = deployment.folder / "editor"
    editor.write_text('#!/bin/sh\nprintf "also the README\\nand tests\\n" | cat - "$1" > "$1.n"\n')
    with editor.open("a") as more:
        more.write('mv "$1.n" "$1"\n')
    editor.chmod(0o755)
    with watching(deployment, handle.id, VISUAL=str(editor)) as shown:
        await _in_thread(shown.until, "Not yet right.")
        shown.press("e")
        await _in_thread(shown.until, "what is to change?")
        shown.press("no\x7f\x7fwith é")
        await _in_thread(shown.until, "> with é")
        shown.press("\x1b")
        await _in_thread(shown.until, "nothing was sent")
        shown.press("E")
        await _in_thread(shown.until, "Send back? y sends it")
        assert "also the README and tests" in shown.seen()
        shown.press("y")
        await _in_thread(shown.until_true, _asks_again, "the new plan")
        shown.press("r")
        await _in_thread(shown.until, "Reject: why?")
        shown.press("not today\r")
        await _in_thread(shown.until, "Reject? y sends it")
        shown.press("y")
        ending = await deployment.ending(handle)
        await _in_thread(shown.ends)
    assert ending.state is RunState.FAILED
    assert "not today" in ending.reason
    told = await deployment.starter("log", handle.id, "--full")
    assert "also the README" in told.stdout


async def test_of_several_questions_the_one_that_is_shown_is_answered(
    deployment: LocalDeployment,
) -> None:
    """The key n goes to the next; both stay in sight by their number, and so does the plan."""
    folder = deployment.repository("watched-two", SMALL)
    handle = await deployment.start_request("watched-two", folder, approve=["review"])
    await deployment.waiting(handle, count=2)
    with watching(deployment, handle.id, columns=80, rows=24) as shown:
        seen = await _in_thread(shown.until, "1 of 2")
        assert all(word in seen for word in (" one", " two", "review"))
        first = seen.partition("1 of 2: the patch of ")[2].partition(":")[0]
        shown.press("n")
        await _in_thread(shown.until, "2 of 2")
        shown.press("a")
        await _in_thread(shown.until, "Approve? y sends it")
        shown.press("y")
        await _in_thread(shown.until_true, lambda screen: "of 2" not in screen, "one question")
        left = [one.id for one in (await deployment.status(handle)).approvals]
        assert left == [f"review/{first}/0"]
        shown.press("a")
        await _in_thread(shown.until, "Approve? y sends it")
        shown.press("y")
        await deployment.delivered(handle)
        await _in_thread(shown.ends)


async def test_what_another_terminal_has_answered_is_not_answered_again(
    deployment: LocalDeployment,
) -> None:
    """The person is told, whatever they were about to send; long pasted text answers nothing."""
    folder = deployment.repository("watched-stale", SMALL)
    handle = await deployment.start_request("watched-stale", folder, approve=["plan", "delivery"])
    await deployment.waiting(handle)
    with watching(deployment, handle.id) as shown:
        await _in_thread(shown.until, "a approve")
        shown.press("ayayay")
        await _in_thread(shown.until, "pasted text is no answer")
        shown.press("r")
        await _in_thread(shown.until, "Reject: why?")
        shown.press("because")
        assert (await deployment.starter("approve", handle.id, "plan")).returncode == 0
        await _in_thread(shown.until, "plan waits no longer; nothing was sent")
        await deployment.waiting(handle)
        assert (await deployment.starter("approve", handle.id, "delivery")).returncode == 0
        await deployment.delivered(handle)
        await _in_thread(shown.ends)


async def test_the_terminal_is_as_before_however_watching_ends(
    deployment: LocalDeployment,
) -> None:
    """By q, Ctrl-C, SIGTERM, also while a pager is open, and while it is stopped by Ctrl-Z; the
    request goes on.
    """
    folder = deployment.repository("watched-left", SMALL)
    handle = await deployment.start_request("watched-left", folder, approve=["plan"])
    await deployment.waiting(handle)
    for leave in (_by_interrupt, _in_a_pager, _after_a_stop):
        with watching(deployment, handle.id, PAGER="sh -c 'echo paged; sleep 60'") as shown:
            await _in_thread(shown.until, "a approve")
            assert shown.modes() != shown.before
            shown.resize(60, 20)
            await asyncio.sleep(0.3)
            await leave(shown)
            assert await asyncio.to_thread(shown.ends) == 3
            assert shown.modes() == shown.before, leave
            assert shown.written.rstrip().endswith(f"cancel {handle.id.removeprefix('request/')}")
    assert (await deployment.status(handle)).approvals
    await handle.cancel()


async def _by_interrupt(shown: Terminal) -> None:
    shown.press("\x03")


async def _in_a_pager(shown: Terminal) -> None:
    shown.press("v")
    await _in_thread(lambda: shown.until_true(lambda _: "paged" in shown.written))
    assert shown.modes() == shown.before
    shown.process.send_signal(signal.SIGTERM)


async def _after_a_stop(shown: Terminal) -> None:
    shown.press("\x1a")
    await until(lambda: _is_stopped(shown))
    assert shown.modes() == shown.before
    shown.process.send_signal(signal.SIGCONT)
    await until(lambda: _changed(shown))
    shown.press("q")


async def _is_stopped(shown: Terminal) -> bool:
    stat = Path(f"/proc/{shown.process.pid}/stat").read_text()
    return stat.rpartition(")")[2].split()[0] == "T"


async def _changed(shown: Terminal) -> bool:
    return shown.modes() != shown.before


async def test_a_log_that_is_followed_ends_with_its_request(deployment: LocalDeployment) -> None:
    """It begins before anything was said, goes on by itself, and has each turn once."""
    folder = deployment.repository("watched-logged", SMALL)
    handle = await deployment.start_request("watched-logged", folder, approve=["plan"])
    log = deployment.folder / "followed.log"
    following = deployment.open_starter("log", handle.id, "--follow", log=log)
    asked = await deployment.waiting(handle)
    await until(lambda: _stands(log, "=> a plan of 1 task"))
    assert "coder" not in log.read_text()
    # The card's own command, as it stands there, on a server that is not where the CLI looks.
    command = card(asked).split("**Or in a terminal:**")[1].split("temporal ")[1]
    temporal = str(find_binary(deployment.settings))
    pasted = f"{temporal} {command}"
    assert "--address" in pasted
    await asyncio.to_thread(subprocess.run, ["bash", "-c", pasted], check=True, capture_output=True)
    await deployment.delivered(handle)
    assert await following.wait() == 0

    lines = log.read_text()
    for once in ("planner begins", "only coder begins", "-> edit l.txt", "=> verdict: approve"):
        assert lines.count(once) == 1, lines


async def _stands(file: Path, text: str) -> bool:
    return text in file.read_text()
