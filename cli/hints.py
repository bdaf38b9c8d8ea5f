"""What to type next, and where to look: commands and addresses, complete and ready to copy."""

import shlex
from urllib.parse import quote

from cli.formatting import clean
from contracts.approvals import Approval, ApprovalKind
from contracts.visibility import RunState
from domain.ids import REQUEST_PREFIX

DIGEST_CHARACTERS = 12
"""How much of a digest is shown and asked back; an answer is checked against the whole."""

_REVISABLE = (ApprovalKind.PLAN, ApprovalKind.REVIEW)
"""What has an agent behind it that can try again."""


def deep_link(ui_url: str | None, workflow_id: str, *, run_id: str, namespace: str) -> str:
    """Return the address of a request's card in the web UI, "" when there is no UI."""
    if not ui_url:
        return ""
    run = f"{quote(workflow_id, safe='')}/{quote(run_id, safe='')}"
    return (
        f"{ui_url.rstrip('/')}/namespaces/{quote(namespace, safe='')}/workflows/{run}/user-metadata"
    )


def short_id(workflow_id: str) -> str:
    """Return what a person may type instead of the whole workflow id."""
    return workflow_id.removeprefix(REQUEST_PREFIX)


def command(program: str, verb: str, *words: str) -> str:
    """Return a command line, quoted for the shell."""
    return " ".join([program, verb, *(shlex.quote(word) for word in words)])


def answers(program: str, workflow_id: str, approval: Approval) -> list[str]:
    """Return the commands that answer an approval; each quotes the digest of what is asked."""
    words = (short_id(workflow_id), clean(approval.id, 120))
    seen = ("--digest", approval.digest[:DIGEST_CHARACTERS]) if approval.digest else ()
    lines = [
        command(program, "approve", *words, *seen),
        command(program, "reject", *words, *seen, "--reason", "WHY"),
    ]
    if approval.kind in _REVISABLE:
        lines.append(command(program, "revise", *words, *seen, "--feedback", "WHAT TO CHANGE"))
    return lines


def kept(command: str, state: RunState) -> list[str]:
    """Return where the work of a request is that ended without delivering it."""
    if not command or state not in (RunState.FAILED, RunState.CANCELLED):
        return []
    return [f"Its work so far is kept in the store; list it with: {command}"]


def left_behind(program: str, workflow_id: str, *, stops: bool) -> list[str]:
    """
    Return what a person is told who leaves a request that is not finished.

    Args:
        program: how starter.py is called.
        workflow_id: of the request.
        stops: server and worker were brought up for this command alone and end with it.
    """
    name = short_id(workflow_id)
    what = (
        f"{workflow_id} is kept. Its server and worker were brought up for this command and "
        "stop with it unless another uses them; nothing is lost, nothing finished is done twice."
        if stops
        else f"{workflow_id} goes on in the background as long as a worker runs."
    )
    ways = {
        "Go on with it:" if stops else "Come back to it:": command(program, "watch", name),
        "Keep a worker up:": command(program, "up"),
        "Look at it:": command(program, "status", name),
        "Give it up:": command(program, "cancel", name),
    }
    return [what, *(f"  {way:<18} {line}" for way, line in ways.items())]
