"""
The offline checker: what a run left behind is read, and everything wrong is named.

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
from tests.kill_matrix.following import History, attributes_of, every_event, kind_of, payloads
from tests.kill_matrix.kill_points import Kill, descendants, marked
from tests.kill_matrix.plan import FaultKind
from tests.local_deployment import LocalDeployment, git

_OBJECT = re.compile(rb"(?<![0-9a-zA-Z])[0-9a-f]{40}(?![0-9a-zA-Z])")
_NO_OBJECT = re.compile(rb'"patch_id":"[0-9a-f]{40}"')
"""A digest of the same length that names no object."""
_ACTS = {"apply_edit", "run_command"}
_UNKEPT_SECONDS = 1.0
"""A reply that was sent whole this long before a blow may not have been kept yet."""
_INTERRUPTS = {
    FaultKind.WORKER,
    FaultKind.BOTH,
    FaultKind.FREEZE,
    FaultKind.ZOMBIE,
    FaultKind.GIT,
    FaultKind.SUPERVISOR,
    FaultKind.TERM,
    FaultKind.STARTER,
}


@dataclass(frozen=True)
class Evidence:
    """
    What a run left.

    Attributes:
        request_key: names the request's refs.
        expected: tree that the undisturbed run delivered; "" accepts any.
        blows: that fell, and that explain a call made twice in flight.
        served: processes that may live on: server and workers.
    """

    stage: LocalDeployment
    status: RequestStatus
    user: Path
    store: Path
    request_key: str
    histories: Sequence[History]
    blows: Sequence[Kill]
    expected: str
    served: Sequence[int]


@dataclass
class Verdict:
    """
    What the checker found.

    Attributes:
        faults: sentences; empty means that the run is whole.
        tree: that was delivered.
        repeated: model calls made again although they had been kept.
        in_flight: model calls made again whose reply was under way, or not kept yet, at a blow.
        objects: how many object ids of the histories were looked up.
        calls, turns: journaled tool calls and model turns.
        rescued: refs of work that was put aside.
    """

    faults: list[str] = field(default_factory=list)
    tree: str = ""
    repeated: int = 0
    in_flight: int = 0
    objects: int = 0
    calls: int = 0
    turns: int = 0
    rescued: int = 0


def examine(evidence: Evidence) -> Verdict:
    """Read everything and return the verdict."""
    verdict = Verdict()
    steps: tuple[Callable[[Evidence, Verdict], None], ...] = (
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
        step(evidence, verdict)
    return verdict


def _delivered(evidence: Evidence, verdict: Verdict) -> None:
    status = evidence.status
    verdict.tree = git(evidence.user, "rev-parse", f"{status.branch}^{{tree}}", check=False)
    if evidence.expected and verdict.tree != evidence.expected:
        verdict.faults.append(f"another tree: {verdict.tree}, expected {evidence.expected}")
    if status.approvals or status.refused_answers:
        verdict.faults.append("a person was asked")
    struck = any(blow.harm is FaultKind.TOOL for blow in evidence.blows)
    again = [row.id for row in status.tasks if row.rounds]
    if again and not struck:
        verdict.faults.append(f"sent back to the agent: {', '.join(again)}")
    if git(evidence.user, "status", "--porcelain"):
        verdict.faults.append("the user's checkout was touched")


def _model_calls(evidence: Evidence, verdict: Verdict) -> None:
    """Compare what was paid for with what is in the histories."""
    entries = evidence.stage.journal(evidence.status.id)
    kept = {turn["request_id"] for turn in _turns(evidence)}
    again = journal.repeated(entries, same_bytes=False)
    for entry in again:
        before = [one for one in entries if _same_call(one, entry) and one.finished]
        first = min(before, key=lambda one: one.time_done)
        told = f"turn {first.turn} of {first.agent}"
        if first.request_id in kept:
            verdict.repeated += 1
            verdict.faults.append(f"a finished model call was made again: {told}")
        elif not any(_lost_by(blow, first) for blow in evidence.blows):
            verdict.faults.append(f"a model call was made again without a blow: {told}")
    done = [entry for entry in entries if entry.kind == "messages" and entry.billed]
    verdict.in_flight = len([entry for entry in done if entry.request_id not in kept])
    for entry in journal.failures(entries):
        verdict.faults.append(f"unforeseen model call: turn {entry.turn} of {entry.agent}")
    missing = kept - {entry.request_id for entry in done}
    if missing:
        verdict.faults.append(f"{len(missing)} turns in the histories were never bought")


def _same_call(one: Entry, other: Entry) -> bool:
    return (one.conversation, one.turn, one.aside) == (other.conversation, other.turn, other.aside)


def _lost_by(blow: Kill, entry: Entry) -> bool:
    """
    Say whether a reply's last byte was sent just before a blow, or while the worker was frozen.
    """
    if blow.harm not in _INTERRUPTS:
        return False
    until = blow.ended or blow.time
    return blow.time - _UNKEPT_SECONDS <= entry.time_done <= until + _UNKEPT_SECONDS


def _objects(evidence: Evidence, verdict: Verdict) -> None:
    """Look up every object id that stands in a history."""
    found: set[str] = set()
    for _, event in every_event(evidence.histories):
        written = _NO_OBJECT.sub(b"", event.SerializeToString())
        found |= {match.decode() for match in _OBJECT.findall(written)}
    verdict.objects = len(found)
    words = ["git", "--git-dir", str(evidence.store), "cat-file", "--batch-check"]
    asked = "".join(f"{name}\n" for name in sorted(found))
    told = subprocess.run(words, input=asked, capture_output=True, text=True, check=True).stdout
    for line in told.splitlines():
        if line.endswith("missing"):
            verdict.faults.append(f"an object of the histories is missing: {line.split()[0]}")


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


def _tool_ledger(evidence: Evidence, verdict: Verdict) -> None:
    """
    Compare the tool calls in the histories with their journal entries: all there, and no more.
    """
    refs = _refs(evidence.store, "refs/oc/")
    told: set[str] = set()
    for _, call, result in _completed(evidence, _ACTS):
        key, task = call["repository"]["request_key"], call["task_ref"]
        ref = ids.call_ref(key, task, call["call_id"])
        told.add(ref)
        if ref not in refs:
            verdict.faults.append(f"no journal entry: {ref}")
            continue
        record = json.loads(git(evidence.store, "cat-file", "blob", f"{ref}:record.json"))
        kept = {name: record.get(name) for name in ("call_id", "checkpoint", "output", "seen")}
        if any(result.get(name) != value for name, value in kept.items()):
            verdict.faults.append(f"history and journal differ: {ref}")
    verdict.calls = len(told)
    journaled = {ref for ref in refs if _is_call(ref, evidence.request_key)}
    for ref in sorted(journaled - told):
        verdict.faults.append(f"a tool call that no history knows: {ref}")


def _turn_ledger(evidence: Evidence, verdict: Verdict) -> None:
    """Compare the model turns in the histories with the conversation logs."""
    told: dict[str, set[str]] = {}
    for turn in _turns(evidence):
        told.setdefault(turn["conversation"]["id"], set()).add(turn["conversation"]["head"])
    verdict.turns = sum(len(heads) for heads in told.values())
    for conversation, heads in told.items():
        ref = ids.conversation_ref(conversation)
        log = git(evidence.store, "rev-list", ref, check=False).split()
        if not heads <= set(log):
            verdict.faults.append(f"a turn is not in its log: {conversation}")
        # The root is no turn.
        if len(log) - 1 != len(heads):
            verdict.faults.append(
                f"{len(log) - 1} turns in the log {conversation}, {len(heads)} told"
            )


def _turns(evidence: Evidence) -> list[dict[str, Any]]:
    return [result for _, _, result in _completed(evidence, {"call_model"})]


def _store_is_whole(evidence: Evidence, verdict: Verdict) -> None:
    words = ["git", "--git-dir", str(evidence.store), "fsck", "--no-dangling", "--no-progress"]
    told = subprocess.run(words, capture_output=True, text=True, check=False)
    if told.returncode:
        verdict.faults.append(f"git fsck: {(told.stdout + told.stderr).strip()[:300]}")


def _nothing_is_held(evidence: Evidence, verdict: Verdict) -> None:
    verdict.faults += evidence.stage.left_behind()
    refs = _refs(evidence.store, "refs/oc/")
    verdict.faults += [f"still claimed: {ref}" for ref in refs if ref.startswith(ids.CLAIMS)]
    verdict.rescued = sum(ref.startswith("refs/oc/rescue/") for ref in refs)


def _no_orphans(evidence: Evidence, verdict: Verdict) -> None:
    """Every process of this home, and every process of a coder's command, must have an owner."""
    owned = {*evidence.served}
    for pid in evidence.served:
        owned |= set(descendants(pid))
    for pid, line in evidence.stage.processes().items():
        if pid not in owned:
            verdict.faults.append(f"orphan {pid}: {line[:150]}")
    for pid in owned - set(evidence.served):
        if marked(pid):
            verdict.faults.append(f"a command goes on after the end: {pid}")


def _is_call(ref: str, request_key: str) -> bool:
    return ref.startswith(f"refs/oc/{request_key}/task/") and "/call/" in ref


def _refs(store: Path, prefix: str) -> Mapping[str, str]:
    lines = git(store, "for-each-ref", "--format=%(refname) %(objectname)", prefix).splitlines()
    return dict(line.split() for line in lines)
