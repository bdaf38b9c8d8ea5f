"""Checks: the system's own commands, each on a clean checkout, each outcome recorded once."""

import pytest
from temporalio.exceptions import ApplicationError

from activities import checks
from contracts.checks import FailedBefore
from contracts.failures import FailureKind
from contracts.repository import Environment
from infra import commands
from infra.sandbox import argv
from tests.infra.bench import ENVIRONMENT, SECRET, ActivityEnv, Agent, Job, alive, token


async def counted(job: Job) -> int:
    """Return how many recorded outcomes the store holds."""
    return len(await job.store.refs("refs/oc/checks"))


async def test_a_check_sees_the_commit_and_nothing_else(job: Job) -> None:
    """What an earlier check or an agent left behind, ignored or not, is not there."""
    ignoring = await job.changed({".gitignore": "*.cache\n"})
    agent = await job.agent(commit=ignoring)
    await agent.run("touch old.cache new.txt")
    lease = agent.lease
    pool = await job.pool()
    await pool.release(lease.worktree, lease.epoch)
    await job.check(ignoring, "touch mine.cache other.txt; mkdir -p d/e; git commit -qam x || true")

    report = await job.check(ignoring, "ls -A; git status --short --ignored; git log --format=%H")

    assert report.passed
    log = (await job.store.get_blob(report.log)).decode()
    shown = [line for line in log.splitlines() if line][1:]
    assert shown[:4] == [".git", ".gitignore", "a.txt", "b.txt"]
    assert shown[4:] == [ignoring, job.base, "[exit code 0]"]


async def test_the_end_of_a_checks_output_holds_no_secret(job: Job) -> None:
    """What people are shown of a check, and what stands in history, has its secrets replaced."""
    report = await job.check(
        job.base, f"echo key {SECRET}; printf 'gh\\033[0mp_{'a1B2' * 9}\\n'; exit 1"
    )

    assert report.results[0].tail == "key [redacted]\n[redacted]\n"


async def test_a_red_command_is_compared_test_by_test_with_how_it_failed_before(job: Job) -> None:
    """What its output names as failed is kept; a command that fails as before ends no run and is
    not red, also when it is answered from the record; one that fails in more is.
    """
    command = "cat failed; exit 1"
    old = await job.changed({"failed": "FAILED t.py::test_old\n"})
    new = await job.changed({"failed": "FAILED t.py::test_old\nFAILED t.py::test_new\n"})
    at_base = (await job.check(old, command)).results[0]
    before = FailedBefore(command=command, exit_code=1, failing=at_base.failing)

    for _ in range(2):
        same = await job.check(old, command, "echo more", failed_before=(before,))
        more = await job.check(new, command, "echo more", failed_before=(before,))

        assert same.passed
        assert [run.as_before for run in same.results] == [True, False]
        assert more.red is not None
        assert (more.red.failing, more.red.more) == (
            ("t.py::test_old", "t.py::test_new"),
            ("t.py::test_new",),
        )
        assert len(more.results) == 1
    assert not (await job.check(old, command, "echo more")).passed


async def test_checks_do_not_share_a_worktree_with_agents(job: Job) -> None:
    """A worktree that an agent holds is left alone, and the one of a check is free afterwards."""
    agent = await job.agent()
    await agent.edit("create", "mine.txt", file_text="x\n")

    report = await job.check(job.base, "! test -e mine.txt")

    assert report.passed
    pool = await job.pool()
    assert [record.name for record in pool.leases()] == [agent.lease.worktree]
    assert (await agent.run("cat mine.txt")).text == "x\n[exit code 0]"


async def test_an_outcome_is_recorded_and_not_run_again(env: ActivityEnv, job: Job) -> None:
    """The same command on the same tree is answered from the record: on another commit, for
    another request; not in another environment, nor with another time limit.
    """
    command = f"cat {env.shown}/now"
    (env.shown / "now").write_text("first\n")
    first = await job.check(job.base, command)
    (env.shown / "now").write_text("second\n")
    same_tree = await job.store.put_commit(first.tree, (job.base,), "again", when=1_700_000_900)
    other = await env.open(request="request/two", branch="second")
    elsewhere = await env.open(
        request="request/three",
        branch="third",
        environment=Environment(path=f"{ENVIRONMENT.path}:/opt"),
    )

    again = await job.check(same_tree, command)
    theirs = await other.check(other.base, command)
    anew = await elsewhere.check(elsewhere.base, command)
    longer = await job.check(job.base, command, timeout_seconds=5)

    assert (first.cached, again.cached, theirs.cached) == (False, True, True)
    assert again.results == first.results == theirs.results
    assert (again.commit, again.tree) == (same_tree, first.tree)
    assert (anew.cached, longer.cached) == (False, False)
    assert [report.results[0].tail.splitlines()[0] for report in (first, again, anew, longer)] == [
        *("first", "first"),
        *("second", "second"),
    ]


async def test_a_red_check_stops_the_run(job: Job) -> None:
    """What comes after the first failure is not run; the log names each command with its end."""
    report = await job.check(job.base, "echo fine", "echo broken; exit 7", "echo never")

    assert not report.passed
    assert [(result.exit_code, result.passed) for result in report.results] == [
        (0, True),
        (7, False),
    ]
    log = (await job.store.get_blob(report.log)).decode()
    assert log.splitlines()[:2] == ["$ echo fine", "fine"]
    assert "broken" in report.results[1].tail
    assert "[exit code 7]" in log
    assert "never" not in log


async def test_a_fresh_rerun_that_passes_replaces_the_red_one(env: ActivityEnv, job: Job) -> None:
    """A flaky check is believed green, and how it failed first stands beside that, also for whoever
    asks later; a red rerun is recorded for itself and changes nothing.
    """
    flag = env.shown / "flag"
    command = f"test -e {flag} || {{ echo still red; exit 1; }}"
    red = await job.check(job.base, command)
    still_red = await job.check(job.base, command, fresh=1)
    flag.touch()

    assert not (await job.check(job.base, command)).passed
    assert not (await job.check(job.base, command, fresh=1)).passed
    green = await job.check(job.base, command, fresh=2)
    flag.unlink()
    believed = await job.check(job.base, command)

    assert (red.passed, still_red.passed, still_red.cached) == (False, False, False)
    assert (green.passed, green.cached) == (True, False)
    assert (believed.passed, believed.cached) == (True, True)
    assert [report.results[0].flaked for report in (red, still_red, green, believed)] == [
        *("", ""),
        *["(exit code 1): still red"] * 2,
    ]


async def test_a_rerun_of_another_counter_is_no_answer(job: Job) -> None:
    """A task's second attempt, the merge queue and the request count their runs for themselves."""
    reports = [
        await job.check(job.base, "exit 3", fresh=4, by=by) for by in ("", "a", "merge queue", "a")
    ]

    assert [report.cached for report in reports] == [False, False, False, True]


async def test_a_check_may_need_what_one_before_it_made(job: Job) -> None:
    """A command that is red only because an earlier one was spared is run again with it; and red
    on its own is not red behind another.
    """
    build, use = "echo built > product", "cat product"

    alone = await job.check(job.base, use)
    together = await job.check(job.base, build, use)
    again = await job.check(job.base, build, use)

    assert not alone.passed
    assert (together.passed, again.passed, again.cached) == (True, True, True)
    other = "cat product && echo more"
    spared = await job.check(job.base, build, other)
    assert spared.passed
    assert not (await job.check(job.base, build, "cat product nothing")).passed


async def test_a_pipe_does_not_hide_a_red_check(job: Job, agent: Agent) -> None:
    """A pipe whose first command fails is red, for a check as for an agent; one that only stopped
    reading too early says so.
    """
    report = await job.check(job.base, "(echo 1 failed; exit 1) | tail -3")
    early = await job.check(job.base, "seq 1 1000000 | head -1")
    tried = await agent.run("(echo 1 failed; exit 1) | tail -3")
    looked = await agent.run("seq 1 1000000 | head -1")

    assert [report.passed, early.passed] == [False, False]
    assert report.results[0].exit_code == 1
    assert (
        "the next command of its pipe stopped reading"
        in (await job.store.get_blob(early.log)).decode()
    )
    assert (tried.outcome, tried.text) == ("failed", "1 failed\n[exit code 1]")
    assert (looked.outcome, looked.text.splitlines()[0]) == ("done", "1")


async def test_an_outcome_of_another_shell_is_not_taken_over(
    job: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was recorded of a command that ran without pipefail does not answer for it now."""
    command = "false | true"
    with monkeypatch.context() as before:
        before.setattr(checks, "SHELL", "bash")
        before.setattr(argv, "SHELL_OPTIONS", ())
        old = await job.check(job.base, command)

    now = await job.check(job.base, command)

    assert (old.passed, old.cached) == (True, False)
    assert (now.passed, now.cached) == (False, False)


async def test_a_check_past_its_limit_is_red_and_leaves_nothing(job: Job) -> None:
    """It is a result like any other, with no process left behind."""
    word = token()
    report = await job.check(job.base, f"exec -a {word} sleep 60", timeout_seconds=1)

    result = report.results[0]
    assert (result.passed, result.timed_out, result.exit_code) == (False, True, None)
    assert alive(word) == []


async def test_a_blocked_check_says_so(job: Job) -> None:
    """A check that wanted the network carries the sandbox's hint, also from the record."""
    command = "python3 -c \"import socket; socket.create_connection(('192.0.2.1', 80), 1)\""
    report = await job.check(job.base, command)
    again = await job.check(job.base, command)

    assert not report.passed
    assert "there is no network" in report.hint
    assert (again.cached, again.hint) == (True, report.hint)


async def test_no_commands_are_green(job: Job) -> None:
    """Nothing to run is nothing to fail: no worktree is taken, nothing is recorded."""
    report = await job.check(job.base)

    assert report.passed
    assert report.results == ()
    assert await counted(job) == 0
    assert (await job.pool())._records.all() == []


async def test_long_output_is_cut_for_people_and_kept_in_the_log(job: Job) -> None:
    """The tail is at most 1,000 characters of clean text and ends as the output did."""
    report = await job.check(job.base, "seq 1 5000; printf '\\033[31mend\\033[0m'; exit 1")

    tail = report.results[0].tail
    assert len(tail) <= 1_000
    assert tail.endswith("end")
    assert tail.startswith("…")
    assert b"\n1\n2\n" in await job.store.get_blob(report.log)


async def test_a_red_check_on_a_full_disk_is_no_outcome(
    job: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody knows whether it is red: it fails as DISK, nothing is recorded, and it
    is run again.
    """
    monkeypatch.setattr(commands, "free_bytes", lambda _place: 0)
    monkeypatch.setattr(commands, "low_space_reason", lambda *_places: "the disk is full")
    with pytest.raises(ApplicationError, match="the disk is full") as failure:
        await job.check(job.base, "false")
    assert failure.value.type == FailureKind.DISK
    assert await counted(job) == 0

    assert (await job.check(job.base, "true")).passed


async def test_a_check_that_filled_the_disk_itself_is_red(
    job: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once what it wrote is undone there is room again: it is red, and the report says why."""
    monkeypatch.setattr(commands, "free_bytes", lambda _place: 0)
    report = await job.check(job.base, "echo much > big.bin; false")

    assert not report.passed
    assert "it filled the disk" in report.hint
