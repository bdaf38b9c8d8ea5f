"""What a person may type: every command as a frozen value."""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NoReturn

from contracts.approvals import ApprovalKind, Choice

STEPS = (ApprovalKind.PLAN, ApprovalKind.REVIEW, ApprovalKind.DELIVERY)
"""The steps that `--approve` may name."""
_EXIT_CODES = """\
exit codes:
  0  delivered (commands that only look or answer: they did)
  1  failed or cancelled
  2  the command line, or what it asks for, cannot be carried out as given
  3  not finished: detached or interrupted, it waits for a person to come back

ID is a workflow id, its part after request/, or an unambiguous beginning of either.
"""
_JSON_KEYS = """\
keys of --json (an object; `list` prints an array of them):
  id, state, reason, branch, commit, cost_usd, model, request, repository, summary
  tasks      each: id, title, state, reason, depends_on, turns, tokens, cost (US dollars),
             rounds, commit
  checks     of the merged tree; each: command, passed, exit_code, seconds, timed_out
  approvals  that wait for a person; each: id, kind, what, why, risk, digest
"""


@dataclass(frozen=True)
class Run:
    """
    Start a request and, unless detached, watch it.

    Attributes:
        repository: as typed; made absolute later.
        approve: the steps that wait for a person.
        budget_usd, max_parallel: None leaves the product's default.
    """

    repository: str
    request: str
    base: str | None = None
    branch: str | None = None
    checks: tuple[str, ...] = ()
    approve: tuple[ApprovalKind, ...] = ()
    budget_usd: float | None = None
    max_parallel: int | None = None
    detach: bool = False


@dataclass(frozen=True)
class Watch:
    """Show a request until it ends, bringing server and worker up if need be."""

    id: str


@dataclass(frozen=True)
class Status:
    """Show a request as it stands."""

    id: str
    as_json: bool = False


@dataclass(frozen=True)
class ListRequests:
    """Show all requests, newest first."""

    as_json: bool = False


@dataclass(frozen=True)
class Respond:
    """
    Answer what waits for a person.

    Attributes:
        approval: None while exactly one waits.
        digest: the beginning of the digest of what the person saw; None leaves it unchecked.
    """

    choice: Choice
    id: str
    approval: str | None = None
    reason: str = ""
    digest: str | None = None


@dataclass(frozen=True)
class AddNote:
    """
    Tell a request's agents something.

    Attributes:
        task: None means every agent.
    """

    id: str
    text: str
    task: str | None = None


@dataclass(frozen=True)
class Cancel:
    """Give a request up."""

    id: str


@dataclass(frozen=True)
class Reconcile:
    """Free what belongs to workflows that have ended."""

    dry_run: bool
    forgotten: bool


@dataclass(frozen=True)
class Up:
    """Run server and worker in the foreground."""

    until_unused: bool = False


Command = Run | Watch | Status | ListRequests | Respond | AddNote | Cancel | Reconcile | Up


class _Parser(argparse.ArgumentParser):
    """An argument parser that points at the help of the command that was meant."""

    def error(self, message: str) -> NoReturn:  # type: ignore[explicit-override]
        """Say what is wrong in one line, and exit."""
        self.exit(2, f"orchestcode: {message} (see {self.prog} --help)\n")


def parse(words: Sequence[str], *, program: str = "starter.py") -> Command:
    """
    Return the command that the words mean.

    Raises:
        SystemExit: code 2 after one line on standard error when they mean none; code 0 after
            help was asked for.
    """
    parser = _Parser(
        prog=program,
        description="One request in, one planned, reviewed, tested and merged branch out.",
        epilog=_EXIT_CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="COMMAND")
    _add_run(verbs)
    _add_views(verbs)
    _add_answers(verbs)
    _add_rest(verbs)
    return _command(parser.parse_args(words))


_Verbs = argparse._SubParsersAction  # noqa: SLF001 - argparse gives the type no public name


def _verb(verbs: "_Verbs[_Parser]", name: str, text: str, *, epilog: str = "") -> _Parser:
    """Return the parser of a new verb, described by one sentence."""
    return verbs.add_parser(
        name,
        help=text,
        description=f"{text[0].upper()}{text[1:]}.",
        epilog=epilog,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )


def _add_run(verbs: "_Verbs[_Parser]") -> None:
    run = _verb(
        verbs, "run", "start a request and watch it until its branch is there", epilog=_EXIT_CODES
    )
    add = run.add_argument
    add("request", help="what to do, in words")
    add("--repo", required=True, metavar="PATH", dest="repository", help="the git repository")
    add("--base", metavar="REF", help="branch, tag or commit to start from (default: HEAD)")
    add("--branch", metavar="NAME", help="the branch to deliver (default: orchestcode/…)")
    add(
        "--check",
        action="append",
        default=[],
        metavar="CMD",
        dest="checks",
        help="a command that must pass on the merged tree; may be given several times",
    )
    add(
        "--approve",
        type=_steps,
        default=(),
        metavar="STEPS",
        help=f"what waits for you: {', '.join(STEPS)}, separated by commas",
    )
    add("--budget-usd", type=_dollars, metavar="USD", help="what all model calls may cost")
    add("--max-parallel", type=_positive, metavar="N", help="tasks that run at once")
    add("--detach", action="store_true", help="start it and come back at once (exit code 3)")


def _add_views(verbs: "_Verbs[_Parser]") -> None:
    text = "go on with a request and watch it until it ends"
    _verb(verbs, "watch", text, epilog=_EXIT_CODES).add_argument("id", metavar="ID")
    status = _verb(verbs, "status", "show a request as it stands", epilog=_JSON_KEYS)
    status.add_argument("id", metavar="ID")
    status.add_argument("--json", action="store_true", help="print one JSON object")
    every = _verb(verbs, "list", "show all requests, newest first", epilog=_JSON_KEYS)
    every.add_argument("--json", action="store_true", help="print a JSON array")


def _add_answers(verbs: "_Verbs[_Parser]") -> None:
    approve = _answer(verbs, "approve", "let what waits go ahead")
    approve.add_argument("--reason", default="", metavar="TEXT", help="kept with the answer")
    reject = _answer(verbs, "reject", "refuse what waits")
    reject.add_argument("--reason", required=True, metavar="TEXT", help="why")
    revise = _answer(verbs, "revise", "send what waits back to its agent")
    revise.add_argument(
        "--feedback", required=True, metavar="TEXT", dest="reason", help="what to change"
    )


def _answer(verbs: "_Verbs[_Parser]", name: str, text: str) -> _Parser:
    answer = _verb(verbs, name, text)
    answer.add_argument("id", metavar="ID")
    answer.add_argument(
        "approval", nargs="?", metavar="APPROVAL", help="may be left out while one waits"
    )
    answer.add_argument(
        "--digest", metavar="HEX", help="refuse unless what waits is still what you saw"
    )
    return answer


def _add_rest(verbs: "_Verbs[_Parser]") -> None:
    note = _verb(verbs, "note", "tell a request's agents something; read at their next turn")
    note.add_argument("id", metavar="ID")
    note.add_argument("text", metavar="TEXT")
    note.add_argument("--task", metavar="TASK", help="only this task's agent")
    _verb(verbs, "cancel", "give a request up").add_argument("id", metavar="ID")
    free = _verb(verbs, "reconcile", "free worktrees and claims of requests that have ended")
    free.add_argument("--dry-run", action="store_true", help="say what would be done")
    free.add_argument(
        "--forgotten",
        action="store_true",
        help="start requests again that the server does not know any more",
    )
    up = _verb(verbs, "up", "run server and worker in the foreground")
    up.add_argument("--until-unused", action="store_true", help="end when no command needs them")


def _command(typed: argparse.Namespace) -> Command:
    match typed.verb:
        case "run":
            return _run(typed)
        case "watch":
            return Watch(typed.id)
        case "status":
            return Status(typed.id, as_json=typed.json)
        case "list":
            return ListRequests(as_json=typed.json)
        case "note":
            return AddNote(typed.id, typed.text, typed.task)
        case "cancel":
            return Cancel(typed.id)
        case "reconcile":
            return Reconcile(dry_run=typed.dry_run, forgotten=typed.forgotten)
        case "up":
            return Up(until_unused=typed.until_unused)
        case verb:
            return Respond(Choice(verb), typed.id, typed.approval, typed.reason, typed.digest)


def _run(typed: argparse.Namespace) -> Run:
    return Run(
        repository=typed.repository,
        request=typed.request,
        base=typed.base,
        branch=typed.branch,
        checks=tuple(typed.checks),
        approve=typed.approve,
        budget_usd=typed.budget_usd,
        max_parallel=typed.max_parallel,
        detach=typed.detach,
    )


def _steps(text: str) -> tuple[ApprovalKind, ...]:
    names = [name.strip() for name in text.split(",") if name.strip()]
    known = {step.value: step for step in STEPS}
    unknown = [name for name in names if name not in known]
    if unknown or not names:
        raise argparse.ArgumentTypeError(
            f"{', '.join(unknown) or 'nothing'} is not among {', '.join(known)}"
        )
    return tuple(dict.fromkeys(known[name] for name in names))


def _dollars(text: str) -> float:
    try:
        amount = float(text)
    except ValueError:
        amount = 0.0
    if not 0 < amount <= 100_000:
        raise argparse.ArgumentTypeError(f"{text} is not an amount between 0 and 100000")
    return amount


def _positive(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= 64:
        raise argparse.ArgumentTypeError(f"{text} is not a number from 1 to 64")
    return int(text)
