"""What agents may do in a repository, and which rule decides on a call: for people."""

import json
import re
import shlex
from collections.abc import Iterator, Sequence

from cli.client.connection import connected
from cli.context import CliContext
from cli.exit_codes import ExitCode, UsageError
from cli.formatting import clean, name
from cli.kept import kept_on_host, readable
from cli.repository_folder import repository_folder
from contracts.permissions import PermissionMode, RequestPermissions, Scope
from contracts.verdicts import CallVerdict
from domain.policy.judge import Policy, judge_call
from domain.policy.shell_split import OPAQUE, split
from domain.policy.tools import BUILT_IN, FAMILY_NAMES, Family
from infra.policy_look import RequestRefused, policy_at
from runtime.settings import load

_ID = 12
_KEPT = {"rules", "mode", "auto_allow", "folders", "warnings"}
_CALL = re.compile(r"([A-Za-z_]\w*)\((.*)\)", re.DOTALL)
_TOOL = {Family.COMMAND: "run_command", Family.EDIT: "edit", Family.READ: "view"}
_SUBJECTS = {"search": "path", "install_dependencies": "command"}
_ALWAYS = (
    "Always: .git and .orchestcode are denied; files that run by themselves elsewhere ask, and so "
    "do commands that delete a root or a home. Commands run in the sandbox, without a network."
)


async def explain(
    call: str, repo: str | None, base: str | None, context: CliContext, *, as_json: bool
) -> ExitCode:
    """Print which rule decides on a call."""
    tool, subject = _read(call)
    commit, found = await _permissions(repo, base, context)
    policy = Policy(found, BUILT_IN)
    verdict = judge_call(policy, tool, BUILT_IN[tool], _arguments(tool, subject))
    if as_json:
        context.print_out(verdict.model_dump_json())
        return ExitCode.DELIVERED
    context.print_out(
        f"{verdict.permission.value}  {clean(call, 500)}",
        f"  rule: {clean(verdict.rule, 1_000)}",
        *([f"  why:  {clean(verdict.reason, 1_000)}"] if verdict.reason else []),
        *(_parts(policy, subject) if tool == "run_command" else ()),
        f"By what holds at {commit[:_ID]}; `policy show` lists it.",
    )
    return ExitCode.DELIVERED


async def show(
    repo: str | None, base: str | None, context: CliContext, *, as_json: bool
) -> ExitCode:
    """Print the rules that hold, and what does not count."""
    commit, found = await _permissions(repo, base, context)
    if as_json:
        context.print_out(found.model_dump_json(include=_KEPT))
        return ExitCode.DELIVERED
    context.print_out(f"What agents may do at {commit[:_ID]}:", *_rules(found), *_rest(found))
    context.print_out(*(f"  ! {clean(each, 1_000)}" for each in found.warnings))
    return ExitCode.DELIVERED


async def show_request(request_id: str, context: CliContext, *, as_json: bool) -> ExitCode:
    """Print the rules that hold for a request's agents: pinned with it, or added by answers."""
    async with connected(context, worker=False) as service, kept_on_host(context) as kept:
        request = await service.requests.find(request_id)
        found = await kept.require(request)
        with readable(request):
            permissions = await found.permissions()
    if as_json:
        context.print_out(permissions.model_dump_json(include=_KEPT))
        return ExitCode.DELIVERED
    told = f"What agents of {name(request.id)} may do:"
    context.print_out(told, *_rules(permissions), *_rest(permissions))
    return ExitCode.DELIVERED


async def _permissions(
    repo: str | None, base: str | None, context: CliContext
) -> tuple[str, RequestPermissions]:
    user_file = load(context.environ).permissions_file
    try:
        return await policy_at(repository_folder(repo, context), base, user_file)
    except RequestRefused as problem:
        raise UsageError(clean(str(problem), 1_000)) from problem


def _read(call: str) -> tuple[str, str]:
    """Return the tool of ours that a call means, and its command or path."""
    found = _CALL.fullmatch(call.strip())
    name, subject = (found[1], found[2]) if found else (call.strip(), "")
    tool = "search" if name == "Grep" else _TOOL.get(FAMILY_NAMES.get(name, Family.OTHER), name)
    if tool not in BUILT_IN:
        known = ", ".join(sorted({*FAMILY_NAMES, *BUILT_IN}))
        raise UsageError(
            f"There is no tool {clean(name, 80)!r}: write a call such as 'Bash(git push origin)' "
            f"(tools: {known})."
        )
    return tool, subject


def _arguments(tool: str, subject: str) -> dict[str, object]:
    return {_SUBJECTS.get(tool, BUILT_IN[tool].subject): subject}


def _parts(policy: Policy, line: str) -> Iterator[str]:
    """Yield the verdict of each command of a line that holds several."""
    parts = split(line).parts
    for part in parts if len(parts) > 1 else ():
        if any(OPAQUE in word for word in part.words):
            yield f"  part: {clean(part.text.replace(OPAQUE, '…'), 200)}  (a shell completes it)"
            continue
        judged = _of_command(policy, shlex.join(part.words))
        said = f"{judged.permission.value}, {clean(judged.rule, 300)}"
        yield f"  part: {clean(part.text, 200)}  {said}"


def _of_command(policy: Policy, line: str) -> CallVerdict:
    return judge_call(policy, "run_command", BUILT_IN["run_command"], {"command": line})


def _rules(found: RequestPermissions) -> Iterator[str]:
    for rule in found.rules:
        whose = "yours" if rule.scope is Scope.USER else "the repository's"
        reason = f"  {clean(rule.reason, 300)}" if rule.reason else ""
        yield (
            f"  {rule.permission.value:5}  {clean(rule.text, 500)}  "
            f"({clean(rule.file, 300)}, {whose}){reason}"
        )
    if not found.rules:
        yield "  no rules"


def _rest(found: RequestPermissions) -> Sequence[str]:
    lines = [_ALWAYS]
    if found.mode is not PermissionMode.DEFAULT:
        lines.append(f"Mode: {found.mode.value} ({clean(found.mode_file, 300)})")
    if not found.auto_allow:
        lines.append(f"A command that no rule allows asks ({clean(found.auto_allow_file, 300)}).")
    if found.folders:
        lines.append(f"Commands also read: {clean(json.dumps(found.folders), 1_000)}")
    return lines
