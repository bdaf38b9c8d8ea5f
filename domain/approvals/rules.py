"""May a tool call be run: ordered rules, the first that matches decides, no match asks.

The sandbox is the boundary; a question is only for crossing it. The risk is judged from a call's
whole arguments, not from the tool's name. Tuned freely: verdicts are recorded with the turn.
"""

from collections.abc import Mapping

from contracts.tools import ApprovalClass
from contracts.verdicts import CallVerdict, Permission
from domain.approvals.paths import path_verdict
from domain.tools.registry import ToolSpec


def judge(spec: ToolSpec, arguments: Mapping[str, object]) -> CallVerdict:
    """Judge one call by its tool and its whole, validated arguments."""
    match spec.approval:
        case ApprovalClass.FREE:
            return CallVerdict(rule="changes nothing")
        case ApprovalClass.COMMAND:
            return CallVerdict(rule="runs in the sandbox")
        case ApprovalClass.PATH:
            return path_verdict(str(arguments.get(spec.subject, "")))
        case ApprovalClass.SETUP:
            return CallVerdict(rule="its setup is asked about by its content")
        case ApprovalClass.ASK:
            why = f"no rule allows {spec.name}"
            return CallVerdict(permission=Permission.ASK, rule="no rule", reason=why)
