"""Why a patch did not land: the partner, the command and the test are named."""

from contracts.checks import CheckResult, ChecksReport
from contracts.merge_queue import ChainLink, Eviction, MergeVerdict
from contracts.planning import Promise
from domain.review import evictions, rework

OID = "0" * 40
PROMISES = (
    Promise(task="parse", commands=("pytest tests/test_parse.py",)),
    Promise(task="print", commands=("pytest tests/test_print.py",)),
)
TAIL = "E   assert 1 == 2\nFAILED tests/test_parse.py::test_empty - assert 1 == 2\n1 failed\n"


def red(command: str, *met: str, own: tuple[str, ...] = ()) -> MergeVerdict:
    """The verdict on a patch with which a command is red, on a base since which tasks landed."""
    result = CheckResult(command=command, exit_code=1, seconds=1, tail=TAIL)
    report = ChecksReport(commit=OID, tree=OID, results=(result,), log=OID)
    return evictions.red(ChainLink(id="k/mine/0", met=met), report, PROMISES, own)


def test_a_pair_that_is_red_together_names_partner_command_and_test() -> None:
    """The person and the agent learn what met whom, and which test shows it."""
    verdict = red("make test", "parse", "print", own=("make test",))

    assert verdict.reason == (
        "`make test` fails (exit code 1, tests/test_parse.py::test_empty) together with what "
        "tasks 'parse', 'print' landed meanwhile"
    )
    told = rework.eviction_feedback(verdict)
    assert "fails on top of what landed meanwhile: parse, print." in told
    assert "\n    make test\nThe test that fails: tests/test_parse.py::test_empty\n" in told


def test_a_serial_task_is_not_told_of_work_that_landed_meanwhile() -> None:
    """Where nothing else landed, the patch fails by itself, and whose promise broke is named."""
    verdict = red("pytest tests/test_parse.py", own=("make test",))
    told = rework.eviction_feedback(verdict)

    assert verdict.reason.endswith(
        "though nothing else landed since it began; task 'parse' promised that command"
    )
    assert "meanwhile" not in told
    assert "Task 'parse', which has landed, promised that it passes: your change breaks it." in told


def test_a_conflict_names_the_task_that_landed_the_other_side() -> None:
    """Whose work it is, and where."""
    link = ChainLink(id="k/mine/0", conflicts=("a.py", "b.py"), with_tip=True, met=("parse",))
    verdict = evictions.conflict(link, PROMISES)

    assert verdict.reason == "conflicts with what task 'parse' landed, in a.py, b.py"
    assert (verdict.eviction, verdict.promised) == (Eviction.CONFLICT, PROMISES)


def test_a_broken_promise_is_told_before_anything_is_queued() -> None:
    """The command of a landed task that a later one stands on names that task."""
    result = CheckResult(command="pytest tests/test_parse.py", exit_code=1, seconds=1)
    report = ChecksReport(commit=OID, tree=OID, results=(result,), log=OID)

    told = rework.checks_feedback(report, evictions.promised_by(result.command, PROMISES))
    assert "Task 'parse', which has landed, promised that it passes" in told
    assert "promised" not in rework.checks_feedback(report)
