"""What to type next, and where to look: commands and addresses, complete and ready to copy."""

import shlex
from urllib.parse import quote

from cli.formatting import clean
from contracts.approvals import Approval, ApprovalKind
from contracts.visibility import RunState
from domain.ids import REQUEST_PREFIX

DIGEST_CHARACTERS = 12
"""How much of a digest is shown and compared; an answer carries the whole."""

_REVISABLE = (ApprovalKind.PLAN, ApprovalKind.REVIEW, ApprovalKind.TASK)
"""What an agent can be asked to do again."""


def deep_link(ui_url: str | None, workflow_id: str, *, run_id: str, namespace: str) -> str:
    """Return the address of a request's page in the web UI, "" when there is no UI."""
    if not ui_url:
        return ""
    run = f"{quote(workflow_id, safe='')}/{quote(run_id, safe='')}"
    return (
        f"{ui_url.rstrip('/')}/namespaces/{quote(namespace, safe='')}/workflows/{run}/user-metadata"
    )


def short_id(workflow_id: str) -> str:
    """Return what a person may type instead of the whole workflow id."""
    return workflow_id.removeprefix(REQUEST_PREFIX)


def command_line(program: str, verb: str, *words: str) -> str:
    """Return a command line, quoted for the shell."""
    return " ".join([program, verb, *(shlex.quote(word) for word in words)])


def answer_commands(program: str, workflow_id: str, approval: Approval) -> list[str]:
    """Return the commands that answer an approval; each quotes the digest of what is asked."""
    words = (short_id(workflow_id), clean(approval.id, 120))
    digest = ("--digest", approval.digest[:DIGEST_CHARACTERS]) if approval.digest else ()
    lines = [
        command_line(program, "approve", *words, *digest),
        command_line(program, "reject", *words, *digest, "--reason", "WHY"),
    ]
    if approval.kind in _REVISABLE:
        feedback = ("--feedback", "WHAT TO CHANGE")
        lines.append(command_line(program, "revise", *words, *digest, *feedback))
    return lines


def salvage_hint(command: str, state: RunState) -> list[str]:
    """Return where the work of a request is that ended without delivering it."""
    if not command or state not in (RunState.FAILED, RunState.CANCELLED):
        return []
    return [f"Its work so far is in the store; list it with: {command}"]


def detached_hints(program: str, workflow_id: str, *, stops: bool) -> list[str]:
    """Return how to come back to a request whose services may stop with this command."""
    name = short_id(workflow_id)
    state = (
        f"{workflow_id} is not lost. Its server and worker were started for this command and "
        "stop with it unless another uses them; nothing finished is done twice."
        if stops
        else f"{workflow_id} goes on in the background as long as a worker runs."
    )
    commands = {
        "Go on with it:" if stops else "Come back to it:": command_line(program, "watch", name),
        "Keep a worker up:": command_line(program, "up"),
        "Look at it:": command_line(program, "status", name),
        "Give it up:": command_line(program, "cancel", name),
    }
    return [state, *(f"  {label:<18} {line}" for label, line in commands.items())]
