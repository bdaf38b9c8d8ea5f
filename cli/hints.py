"""What to type next, and where to look: commands and addresses, complete and ready to copy."""

from urllib.parse import quote

from cli.command_words import command_line, short_id, start_command
from contracts.approvals import Approval, ApprovalKind
from contracts.endings import RequestEnding
from contracts.request import RequestStatus
from contracts.visibility import RunState
from domain.approvals.questions import REVISABLE
from domain.text import visible
from runtime.records import SupervisorRecord

__all__ = [
    "DIGEST_CHARACTERS",
    "REVISABLE",
    "answer_commands",
    "command_line",
    "deep_link",
    "detached_hints",
    "look_command",
    "retry_hint",
    "salvage_hint",
    "short_id",
    "start_command",
]

DIGEST_CHARACTERS = 12
"""How much of a digest is shown and compared; an answer carries the whole."""


def deep_link(ui_url: str | None, workflow_id: str, *, run_id: str, namespace: str) -> str:
    """Return the address of a request's page in the web UI, "" when there is no UI."""
    if not ui_url:
        return ""
    run = f"{quote(workflow_id, safe='')}/{quote(run_id, safe='')}"
    return (
        f"{ui_url.rstrip('/')}/namespaces/{quote(namespace, safe='')}/workflows/{run}/user-metadata"
    )


def answer_commands(program: str, workflow_id: str, approval: Approval) -> list[str]:
    """Return the commands that answer an approval; each quotes the digest of what is asked.

    A task that a person works on is given back by its own command, which stands first.
    """
    words = (short_id(workflow_id), approval.id)
    digest = ("--digest", approval.digest[:DIGEST_CHARACTERS]) if approval.digest else ()
    lines = [
        command_line(program, "approve", *words, *digest),
        command_line(program, "reject", *words, *digest, "--reason", "WHY"),
    ]
    if approval.rules:
        lines.insert(1, command_line(program, "approve", *words, *digest, "--for-request"))
    if approval.kind in REVISABLE:
        feedback = ("--feedback", "WHAT TO CHANGE")
        lines.append(command_line(program, "revise", *words, *digest, *feedback))
    if approval.kind is ApprovalKind.STUCK:
        task = approval.id.split("/")[1]
        lines.append(command_line(program, "hand-off", short_id(workflow_id), task))
    if approval.kind is ApprovalKind.BUDGET:
        lines.append(command_line(program, "budget", short_id(workflow_id), "USD"))
    if approval.kind is ApprovalKind.HAND_OFF:
        task = approval.id.partition("/")[2]
        lines.insert(0, command_line(program, "resume", short_id(workflow_id), task))
    return lines


def look_command(program: str, workflow_id: str, approval: Approval) -> str:
    """Return the command that shows the whole of what is asked about, "" of a single tool call."""
    name = short_id(workflow_id)
    match approval.kind:
        case ApprovalKind.PLAN:
            return command_line(program, "show", name)
        case ApprovalKind.DELIVERY:
            return command_line(program, "diff", name)
        case ApprovalKind.BUDGET:
            return command_line(program, "cost", name)
        case ApprovalKind.REVIEW | ApprovalKind.TASK | ApprovalKind.STUCK:
            return command_line(program, "diff", name, *approval.id.split("/")[1:2])
        case _:
            return ""


def salvage_hint(command: str, state: RunState) -> list[str]:
    """Return where the work of a request is that ended without delivering it."""
    if not command or state not in (RunState.FAILED, RunState.CANCELLED):
        return []
    return [f"Its work so far is in the store; list it with: {command}"]


def retry_hint(program: str, status: RequestStatus) -> list[str]:
    """Return how a request goes on that has failed or was cancelled, with a command to paste."""
    ended = status.state in (RunState.FAILED, RunState.CANCELLED)
    if not ended or status.ending is RequestEnding.REFUSED:
        return []
    return [f"Go on from there: {command_line(program, 'retry', short_id(status.id))}"]


def detached_hints(
    program: str, workflow_id: str, *, supervisor: SupervisorRecord | None, address: str | None
) -> list[str]:
    """Return what goes on when a command leaves an open request, and how to come back to it.

    `supervisor` is the home's, None when none runs; `address` that of a TEMPORAL_ADDRESS.
    """
    name, whole = short_id(workflow_id), visible(workflow_id)
    works = supervisor is not None and supervisor.with_worker
    commands = {
        "Come back to it:": command_line(program, "watch", name),
        "Look at it:": command_line(program, "status", name),
        "Give it up:": command_line(program, "cancel", name),
    }
    if not works and not address:
        state = f"{whole} is not lost, but nothing works on it now; nothing finished is done twice."
        commands = {"Go on with it:": start_command(program), **commands}
    elif supervisor is None or not works:
        state = f"{whole} goes on in the background as long as a worker of {address} runs."
    elif supervisor.background:
        state = f"{whole} goes on in the background (process {supervisor.pid}) until it has ended."
        commands["Stop all work:"] = command_line(program, "stop")
    else:
        state = f"{whole} goes on as long as `up` runs (process {supervisor.pid})."
    return [state, *(f"  {label:<18} {line}" for label, line in commands.items())]
