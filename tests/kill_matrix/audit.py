"""The offline audit: it reads what a run left behind and names everything wrong.

It asks no process of ours: it reads the rehearsal's journal, the store with git, the worktrees'
records, the recorded histories, and /proc.
"""

import json
import re
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from temporalio.api.history.v1 import HistoryEvent

from contracts.request import RequestStatus
from domain import ids
from rehearsal import journal
from rehearsal.journal import Entry
from tests import journal_checks
from tests.kill_matrix.fault_injector import Kill, descendants, marked
from tests.kill_matrix.history_follower import (
    History,
    attributes_of,
    every_event,
    kind_of,
    payloads,
)
from tests.kill_matrix.plan import FaultKind
from tests.local_deployment import LocalDeployment, git

_OBJECT = re.compile(rb"(?<![0-9a-zA-Z])[0-9a-f]{40}(?![0-9a-zA-Z])")
_NO_OBJECT = re.compile(rb'"patch_id":"[0-9a-f]{40}"|orchestcode-trial-\S+ [0-9a-f]{40}')
"""A patch id names no object; the commit of a delivery's trial is in no store."""
_ACTS = {"apply_edit", "run_command"}
_UNKEPT_SECONDS = 1.0
"""A reply that was sent completely this long before a kill may not have been recorded yet."""
_INTERRUPTS = {
    FaultKind.WORKER,
    FaultKind.BOTH,
    FaultKind.FREEZE,
    FaultKind.ZOMBIE,
    FaultKind.GIT,
    FaultKind.SUPERVISOR,
    FaultKind.TERM,
    FaultKind.STARTER,
    FaultKind.CANCEL,
}


@dataclass(frozen=True)
class Evidence:
    """What a run left.

    Attributes:
        request_key: names the request's refs.
        expected: tree that the undisturbed run delivered; "" accepts any.
        kills: that happened; they explain a call that was repeated in flight.
        served: processes that may live on: server and workers.
    """

    deployment: LocalDeployment
    status: RequestStatus
    user: Path
    store: Path
    request_key: str
    histories: Sequence[History]
    kills: Sequence[Kill]
    expected: str
    served: Sequence[int]


@dataclass
class AuditReport:
    """What the audit found.

    Attributes:
        problems: sentences; empty means that the run passed.
        tree: that was delivered.
        repeated: model calls made again although they had been recorded.
        in_flight: model calls made again whose reply was streaming, or not recorded, at a kill.
        objects: how many object ids of the histories were looked up.
        calls, turns: journaled tool calls and model turns.
        rescued: refs of work that was put aside.
    """

    problems: list[str] = field(default_factory=list)
    tree: str = ""
    repeated: int = 0
    in_flight: int = 0
    objects: int = 0
    calls: int = 0
    turns: int = 0
    rescued: int = 0


def examine(evidence: Evidence) -> AuditReport:
    """Read everything and return the report."""
    report = AuditReport()
    steps: tuple[Callable[[Evidence, AuditReport], None], ...] = (
        _delivered,
        _model_calls,
        _objects,
        _tool_ledger,
        _turn_ledger,
        _store_is_whole,
        _nothing_is_held,
        _no_orphans,
    )
    for step in steps:
        step(evidence, report)
    return report


def _delivered(evidence: Evidence, report: AuditReport) -> None:
    status = evidence.status
    report.tree = git(evidence.user, "rev-parse", f"{status.branch}^{{tree}}", check=False)
    if evidence.expected and report.tree != evidence.expected:
        report.problems.append(f"another tree: {report.tree}, expected {evidence.expected}")
    if status.approvals or status.refused_answers:
        report.problems.append("a person was asked")
    killed = any(kill.fault is FaultKind.TOOL for kill in evidence.kills)
    again = [row.id for row in status.tasks if row.rounds]
    if again and not killed:
        report.problems.append(f"sent back to the agent: {', '.join(again)}")
    if git(evidence.user, "status", "--porcelain"):
        report.problems.append("the user's checkout was touched")


def _model_calls(evidence: Evidence, report: AuditReport) -> None:
    """Compare what was paid for with what is in the histories."""
    entries = evidence.deployment.journal(evidence.status.id)
    kept = {turn["request_id"] for turn in _turns(evidence)}
    again = journal_checks.repeated(entries, same_bytes=False)
    for entry in again:
        before = [one for one in entries if _same_call(one, entry) and one.finished]
        first = min(before, key=lambda one: one.time_done)
        call = f"turn {first.turn} of {first.agent}"
        if first.request_id in kept:
            report.repeated += 1
            report.problems.append(f"a finished model call was made again: {call}")
        elif not any(_lost_by(kill, first) for kill in evidence.kills):
            report.problems.append(f"a model call was made again without a kill: {call}")
    done = [entry for entry in entries if entry.kind == "messages" and entry.billed]
    report.in_flight = len([entry for entry in done if entry.request_id not in kept])
    for entry in journal.failures(entries):
        report.problems.append(f"unforeseen model call: turn {entry.turn} of {entry.agent}")
    missing = kept - {entry.request_id for entry in done}
    if missing:
        report.problems.append(f"{len(missing)} turns in the histories were never paid for")


def _same_call(one: Entry, other: Entry) -> bool:
    return (one.conversation, one.turn, one.aside) == (other.conversation, other.turn, other.aside)


def _lost_by(kill: Kill, entry: Entry) -> bool:
    """Return whether a reply ended just before a kill or while the worker was frozen."""
    if kill.fault not in _INTERRUPTS:
        return False
    until = kill.ended or kill.time
    return kill.time - _UNKEPT_SECONDS <= entry.time_done <= until + _UNKEPT_SECONDS


def _objects(evidence: Evidence, report: AuditReport) -> None:
    """Look up every object id in the histories."""
    found: set[str] = set()
    for _, event in every_event(evidence.histories):
        written = _NO_OBJECT.sub(b"", event.SerializeToString())
        found |= {match.decode() for match in _OBJECT.findall(written)}
    report.objects = len(found)
    words = ["git", "--git-dir", str(evidence.store), "cat-file", "--batch-check"]
    asked = "".join(f"{name}\n" for name in sorted(found))
    listed = subprocess.run(words, input=asked, capture_output=True, text=True, check=True).stdout
    for line in listed.splitlines():
        if line.endswith("missing"):
            report.problems.append(f"an object of the histories is missing: {line.split()[0]}")


def _completed(
    evidence: Evidence, activities: set[str]
) -> Iterator[tuple[HistoryEvent, dict[str, Any], dict[str, Any]]]:
    """Yield each completed activity of these types with its request and its result."""
    for history, event in every_event(evidence.histories):
        if kind_of(event) == "ACTIVITY_TASK_COMPLETED":
            scheduled = attributes_of(history.scheduled(event))
            if scheduled.activity_type.name in activities:
                request = payloads(scheduled.input)[0]
                yield event, request, payloads(attributes_of(event).result)[0]


def _tool_ledger(evidence: Evidence, report: AuditReport) -> None:
    """Compare the tool calls in the histories with their journal entries, both ways."""
    refs = _refs(evidence.store, "refs/oc/")
    recorded: set[str] = set()
    for _, call, result in _completed(evidence, _ACTS):
        key, task = call["repository"]["request_key"], call["task_ref"]
        ref = ids.call_ref(key, task, call["call_id"])
        recorded.add(ref)
        if ref not in refs:
            report.problems.append(f"no journal entry: {ref}")
            continue
        record = json.loads(git(evidence.store, "cat-file", "blob", f"{ref}:record.json"))
        kept = {name: record.get(name) for name in ("call_id", "checkpoint", "output", "seen")}
        if any(result.get(name) != value for name, value in kept.items()):
            report.problems.append(f"history and journal differ: {ref}")
    report.calls = len(recorded)
    journaled = {ref for ref in refs if _is_call(ref, evidence.request_key)}
    for ref in sorted(journaled - recorded):
        report.problems.append(f"a tool call that no history knows: {ref}")


def _turn_ledger(evidence: Evidence, report: AuditReport) -> None:
    """Compare the model turns in the histories with the conversation logs."""
    recorded: dict[str, set[str]] = {}
    for turn in _turns(evidence):
        recorded.setdefault(turn["conversation"]["id"], set()).add(turn["conversation"]["head"])
    report.turns = sum(len(heads) for heads in recorded.values())
    for conversation, heads in recorded.items():
        ref = ids.conversation_ref(conversation)
        log = git(evidence.store, "rev-list", ref, check=False).split()
        if not heads <= set(log):
            report.problems.append(f"a turn is not in its log: {conversation}")
        # The root is no turn.
        if len(log) - 1 != len(heads):
            report.problems.append(
                f"{len(log) - 1} turns in the log {conversation}, {len(heads)} in the histories"
            )


def _turns(evidence: Evidence) -> list[dict[str, Any]]:
    return [result for _, _, result in _completed(evidence, {"call_model"})]


def _store_is_whole(evidence: Evidence, report: AuditReport) -> None:
    words = ["git", "--git-dir", str(evidence.store), "fsck", "--no-dangling", "--no-progress"]
    fsck = subprocess.run(words, capture_output=True, text=True, check=False)
    if fsck.returncode:
        report.problems.append(f"git fsck: {(fsck.stdout + fsck.stderr).strip()[:300]}")


def _nothing_is_held(evidence: Evidence, report: AuditReport) -> None:
    report.problems += evidence.deployment.left_behind()
    refs = _refs(evidence.store, "refs/oc/")
    report.problems += [f"still claimed: {ref}" for ref in refs if ref.startswith(ids.CLAIMS)]
    report.rescued = sum(ref.startswith("refs/oc/rescue/") for ref in refs)


def _no_orphans(evidence: Evidence, report: AuditReport) -> None:
    """Every process of this home, and every process of a coder's command, must have an owner."""
    owned = _owned(evidence)
    suspects = evidence.deployment.processes().keys() - owned
    # What an owner forked since is its own; what has ended since is no orphan.
    owned |= _owned(evidence)
    for pid, line in evidence.deployment.processes().items():
        if pid in suspects - owned:
            report.problems.append(f"orphan {pid}: {line[:150]}")
    for pid in owned - set(evidence.served):
        if marked(pid):
            report.problems.append(f"a command goes on after the end: {pid}")


def _owned(evidence: Evidence) -> set[int]:
    """Return the processes that may live on, and those that they started."""
    return {*evidence.served, *(child for pid in evidence.served for child in descendants(pid))}


def _is_call(ref: str, request_key: str) -> bool:
    return ref.startswith(f"refs/oc/{request_key}/task/") and "/call/" in ref


def _refs(store: Path, prefix: str) -> Mapping[str, str]:
    lines = git(store, "for-each-ref", "--format=%(refname) %(objectname)", prefix).splitlines()
    return dict(line.split() for line in lines)
