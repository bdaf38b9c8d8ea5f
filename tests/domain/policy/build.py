"""Policies and calls for tests, as settings files would make them."""

from collections.abc import Sequence

from contracts.base import HumanInput
from contracts.permissions import Scope
from contracts.tools import ApprovalClass, RetryClass
from contracts.verdicts import CallVerdict, Effect
from domain.policy.judge import Policy, judge
from domain.policy.settings import SettingsSource, combined, written
from domain.policy.tools import BUILT_IN
from domain.tools.registry import ToolSpec

HOME, CHECKOUT = "/home/ann", "/home/ann/shop"
USER_FILE, REPOSITORY_FILE = "~/.orchestcode/settings.json", ".orchestcode/settings.json"


class Command(HumanInput):
    """As those of the tool."""

    command: str = ""
    timeout_seconds: int = 120


class Edit(HumanInput):
    """As those of the tool."""

    command: str = "create"
    path: str = ""


class View(HumanInput):
    """As those of the tool."""

    path: str = ""


class Install(HumanInput):
    """As those of the tool."""

    reason: str = ""
    command: str = ""


def _spec(
    name: str,
    arguments: type[HumanInput],
    effect: Effect,
    approval: ApprovalClass,
    subject: str = "path",
) -> ToolSpec:
    return ToolSpec(
        name=name,
        description="",
        arguments=arguments,
        effect=effect,
        retry=RetryClass.JOURNALED,
        approval=approval,
        subject=subject,
    )


RUN = _spec("run_command", Command, Effect.WRITE, ApprovalClass.COMMAND, "command")
EDIT = _spec("edit", Edit, Effect.WRITE, ApprovalClass.PATH)
VIEW = _spec("view", View, Effect.READ, ApprovalClass.FREE)
INSTALL = _spec("install_dependencies", Install, Effect.WRITE, ApprovalClass.SETUP, "reason")
REMEMBER = _spec("remember", HumanInput, Effect.WRITE, ApprovalClass.FREE, "description")
UNRULED = _spec("call_anything", HumanInput, Effect.WRITE, ApprovalClass.ASK, "x")


def policy(
    *rules: str,
    repository: Sequence[str] = (),
    mode: str = "",
    repository_mode: str = "",
    asks_commands: bool = False,
) -> Policy:
    """Return the policy of rules such as "deny Bash(git push:*)", the user's unless said."""
    sources = [
        SettingsSource(
            Scope.USER,
            USER_FILE,
            written(_file(rules, mode, asks_commands=asks_commands)),
            f"{HOME}/.orchestcode",
        ),
        SettingsSource(
            Scope.REPOSITORY,
            REPOSITORY_FILE,
            written(_file(repository, repository_mode, asks_commands=False)),
        ),
    ]
    return Policy(combined(sources, BUILT_IN, home=HOME, checkout=CHECKOUT), BUILT_IN)


def _file(rules: Sequence[str], mode: str, *, asks_commands: bool) -> dict[str, object]:
    lists: dict[str, object] = {"deny": [], "ask": [], "allow": []}
    for rule in rules:
        verb, _, text = rule.partition(" ")
        found = lists[verb]
        assert isinstance(found, list)
        found.append(text)
    if mode:
        lists["defaultMode"] = mode
    return {"permissions": lists, "sandbox": {"autoAllowBashIfSandboxed": not asks_commands}}


def run(found: Policy, command: str, **more: object) -> CallVerdict:
    """Judge a command."""
    return judge(found, RUN, {"command": command, **more})
