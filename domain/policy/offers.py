"""What a person who is asked about a call may allow for the rest of its request.

An answer can do what a rule of the person's settings could: allow what no rule speaks of. Protected
paths, critical commands, rules that ask and what is not understood go on asking.
"""

from collections.abc import Mapping
from typing import Final

from contracts.permissions import AllowedRule, PermissionRule, Scope
from contracts.tools import ApprovalClass
from contracts.verdicts import CallVerdict, Permission
from domain.policy.answered import FILE, with_allowed
from domain.policy.judge import Policy, facts, judge_call, not_allowed
from domain.policy.rules import MOST_CHARS, Places, read_rule
from domain.policy.shell_split import split
from domain.policy.tools import Family, ToolFacts
from domain.settings_json import SettingsProblem
from domain.text import Redact, one_line
from domain.tools.registry import ToolSpec

MOST_RULES: Final = 6
"""That one answer adds: more than a person reads."""


def with_offers(
    policy: Policy,
    spec: ToolSpec,
    arguments: Mapping[str, object],
    verdict: CallVerdict,
    redact: Redact = str,
) -> CallVerdict:
    """Return a verdict that asks with the rules that would allow the call from now on.

    None where the request's words are a stranger's: each call that asks is asked about then.
    """
    if verdict.permission is not Permission.ASK or policy.record.untrusted:
        return verdict
    found = offers(policy, spec.name, facts(spec), arguments, redact)
    return verdict.model_copy(update={"offers": found})


def offers(
    policy: Policy,
    name: str,
    known: ToolFacts,
    arguments: Mapping[str, object],
    redact: Redact = str,
) -> tuple[str, ...]:
    """Return the narrowest rules that allow exactly such a call, empty where none can.

    Each stands in histories and is shown whole: one with a secret, or that cannot be shown as it
    is, is not offered.
    """
    rules = _wanted(policy, name, known, arguments)
    if len(rules) > MOST_RULES or not all(_can_be_shown(rule, redact) for rule in rules):
        return ()
    allowed = with_allowed(policy.record, [AllowedRule(text=rule) for rule in rules])
    try:
        loosened = Policy(allowed, policy.tools)
    except SettingsProblem:
        return ()
    verdict = judge_call(loosened, name, known, arguments)
    return rules if verdict.permission is Permission.ALLOW else ()


def _wanted(
    policy: Policy, name: str, known: ToolFacts, arguments: Mapping[str, object]
) -> tuple[str, ...]:
    if known.family is Family.COMMAND:
        line = split(str(arguments.get(known.subject, "")))
        parts = not_allowed(policy, line)
        return tuple(dict.fromkeys(f"Bash({part.text})" for part in parts))
    return (name,) if known.approval == ApprovalClass.ASK else ()


def _can_be_shown(rule: str, redact: Redact) -> bool:
    # A star of the command would stand for anything in the rule.
    plain = rule == one_line(rule, len(rule)) and "*" not in rule
    return plain and len(rule) <= MOST_CHARS and redact(rule) == rule


def is_rule(text: str, tools: Mapping[str, ToolFacts]) -> bool:
    """Return whether a text is a rule that can allow something."""
    source = PermissionRule(
        permission=Permission.ALLOW, text=text[:MOST_CHARS], scope=Scope.USER, file=FILE
    )
    try:
        read, _ = read_rule(source, tools, Places())
    except SettingsProblem:
        return False
    return read is not None and len(text) <= MOST_CHARS
