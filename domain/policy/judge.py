"""May a tool call be run: deny, ask, allow; the first rule that matches decides.

The sandbox is the boundary. What stays inside it needs no question where no rule speaks of it; what
crosses it asks. A call is judged by its whole arguments. Tuned freely: verdicts are recorded with
the turn.
"""

import posixpath
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from contracts.permissions import PermissionMode, RequestPermissions
from contracts.tools import ApprovalClass
from contracts.verdicts import CallVerdict, Effect, Permission
from domain.approvals.paths import path_verdict
from domain.policy import commands
from domain.policy.rules import Places, Rule, read_rule
from domain.policy.shell_split import OPAQUE, SimpleCommand, SplitLine, split
from domain.policy.tools import Family, ToolFacts
from domain.text import Redact, clip, one_line
from domain.tools.registry import ToolSpec

_SHOWN = 200
_NOWHERE = "/dev/null"
_NO_RULE = "no rule"
SANDBOX = "runs in the sandbox"
"""The rule by which commands are allowed of which no other rule speaks."""


def facts(spec: ToolSpec) -> ToolFacts:
    """Return what rules need to know of a tool."""
    parameters = frozenset(spec.arguments.model_fields)
    return ToolFacts(
        _family(spec, parameters),
        spec.approval.value,
        spec.effect,
        spec.subject,
        parameters,
        spec.changed_paths,
    )


def _family(spec: ToolSpec, parameters: frozenset[str]) -> Family:
    match spec.approval:
        case ApprovalClass.COMMAND:
            return Family.COMMAND
        case ApprovalClass.PATH:
            return Family.EDIT
        case _ if spec.effect is Effect.READ and "path" in parameters:
            return Family.READ
        case _:
            return Family.OTHER


class Policy:
    """The permissions of a request, ready to judge by.

    Args:
        record: what was read when the request was opened.
        tools: that there are, by name.

    Attributes:
        unmatched: what is wrong with each rule that matches no call, a sentence each.

    Raises:
        SettingsProblem: a rule is none.
    """

    def __init__(self, record: RequestPermissions, tools: Mapping[str, ToolFacts]) -> None:
        self.record = record
        self.tools = tools
        places = Places(record.home, record.user_folder)
        read = [read_rule(rule, tools, places) for rule in record.rules]
        self.rules = tuple(rule for rule, _ in read if rule is not None)
        self.unmatched = tuple(problem for _, problem in read if problem)
        self._by_permission = {
            permission: tuple(rule for rule in self.rules if rule.permission is permission)
            for permission in Permission
        }

    def saying(self, permission: Permission) -> tuple[Rule, ...]:
        """Return the rules that say this, in the order in which they are looked at."""
        return self._by_permission[permission]

    @cached_property
    def judges_commands(self) -> bool:
        """Return whether a command has to be understood before it may run."""
        spoken = (*self.saying(Permission.DENY), *self.saying(Permission.ASK))
        return not self.record.auto_allow or any(rule.command is not None for rule in spoken)

    def names(self, path: str, *, folder: str = "") -> tuple[str, ...]:
        """Return the names by which rules know a file: in the worktree, and absolute.

        None for a path that leads out of the worktree in a way that cannot be told.
        """
        if path.startswith("/"):
            plain = posixpath.normpath(path)
            checkout = self.record.checkout
            if not checkout or not plain.startswith(f"{checkout}/"):
                return (plain,)
            path = plain[len(checkout) + 1 :]
        plain = posixpath.normpath(posixpath.join(folder, path))
        if plain.startswith(("..", "~")):
            return ()
        absolute = (f"{self.record.checkout}/{plain}",) if self.record.checkout else ()
        return (plain, *absolute)


@dataclass(frozen=True)
class _Call:
    """A call and what can be told of it.

    Attributes:
        paths: the names of each path that it changes or reads.
        line: the command line that it runs, None for none.
        parts: every command of it.
        texts: those on one line each; `unsure` holds those of which something is opaque.
        writes, reads: names of the targets of its redirections.
    """

    name: str
    facts: ToolFacts
    arguments: Mapping[str, object]
    redact: Redact
    paths: tuple[tuple[str, ...], ...] = ()
    text: str = ""
    line: SplitLine | None = None
    parts: tuple[SimpleCommand, ...] = ()
    texts: tuple[str, ...] = ()
    unsure: tuple[str, ...] = ()
    writes: tuple[tuple[str, ...], ...] = ()
    reads: tuple[tuple[str, ...], ...] = ()


def judge(
    policy: Policy, spec: ToolSpec, arguments: Mapping[str, object], redact: Redact = str
) -> CallVerdict:
    """Judge one call by its tool and its whole, validated arguments.

    What a reason quotes of the call is redacted.
    """
    return judge_call(policy, spec.name, facts(spec), arguments, redact)


def judge_call(
    policy: Policy,
    name: str,
    known: ToolFacts,
    arguments: Mapping[str, object],
    redact: Redact = str,
) -> CallVerdict:
    """Judge one call by what is known of its tool."""
    call = _understood(policy, _Call(name, known, arguments, redact))
    own = _own(call)
    if own.permission is Permission.DENY:
        return own
    for permission in (Permission.DENY, Permission.ASK):
        for rule in policy.saying(permission):
            if _matches(rule, call):
                return _by_mode(policy, call, _said(rule, call), by_rule=True)
    if unsure := _unsure(policy, call):
        return _by_mode(policy, call, unsure, by_rule=True)
    if own.permission is Permission.ASK and own.rule != _NO_RULE:
        return _by_mode(policy, call, own, by_rule=own.rule == "critical command")
    if allowed := _allowed(policy, call):
        return allowed
    return _by_mode(policy, call, _unmatched(policy, call) or own, by_rule=False)


def _understood(policy: Policy, call: _Call) -> _Call:
    """Return a call with what can be told of it."""
    if text := _line_of(call.facts, call.arguments):
        line = split(text)
        parts = commands.every_part(line)
        moved = any(part.words and part.words[0] in {"cd", "pushd"} for part in line.parts)
        return replace(
            call,
            text=text,
            line=line,
            parts=parts,
            texts=tuple(part.text for part in parts),
            unsure=tuple(text for part in parts if OPAQUE in (text := part.pattern)),
            writes=() if moved else _targets(policy, line.writes),
            reads=() if moved else _targets(policy, line.reads),
        )
    if call.facts.family in {Family.EDIT, Family.READ}:
        return replace(
            call, paths=tuple(policy.names(path) for path in touched(call.facts, call.arguments))
        )
    return call


def touched(known: ToolFacts, arguments: Mapping[str, object]) -> tuple[str, ...]:
    """Return the paths that a call changes or reads."""
    if known.changed_paths is not None:
        return known.changed_paths(arguments)
    name = "path" if "path" in known.parameters else known.subject
    return (str(arguments.get(name, "")),)


def _line_of(known: ToolFacts, arguments: Mapping[str, object]) -> str:
    """Return the command line that a call has run, "" for none."""
    if known.family is Family.COMMAND:
        return str(arguments.get(known.subject, ""))
    return str(arguments.get("command", "")) if known.approval == ApprovalClass.SETUP else ""


def _targets(policy: Policy, targets: Sequence[str]) -> tuple[tuple[str, ...], ...]:
    return tuple(policy.names(each) for each in targets if OPAQUE not in each)


def _own(call: _Call) -> CallVerdict:
    """Return what holds of a call where no rule speaks of it."""
    if call.line is not None and (destroys := commands.critical(call.line, call.parts, call.text)):
        return CallVerdict(permission=Permission.ASK, rule="critical command", reason=destroys)
    match ApprovalClass(call.facts.approval):
        case ApprovalClass.FREE:
            return CallVerdict(rule="changes nothing")
        case ApprovalClass.COMMAND:
            return CallVerdict(rule=SANDBOX)
        case ApprovalClass.PATH:
            return _of_paths(touched(call.facts, call.arguments))
        case ApprovalClass.SETUP:
            return CallVerdict(rule="its setup is asked about by its content")
        case ApprovalClass.ASK:
            why = f"no rule allows {call.name}"
            return CallVerdict(permission=Permission.ASK, rule=_NO_RULE, reason=why)


def _of_paths(paths: Sequence[str]) -> CallVerdict:
    """Return the strictest verdict of the paths that a call changes."""
    found = [path_verdict(path) for path in paths or ("",)]
    strictest = (Permission.DENY, Permission.ASK, Permission.ALLOW)
    return min(found, key=lambda each: strictest.index(each.permission))


def _matches(rule: Rule, call: _Call) -> bool:
    """Return whether a rule that denies or asks surely speaks of a call."""
    named = call.name in rule.tools
    if rule.parameter is not None:
        return named and rule.has_value(call.arguments)
    if rule.command is not None:
        return any(map(rule.command.matches, call.texts))
    if rule.path is not None:
        return any(map(rule.path.matches, _spoken_of(rule, call, named=named)))
    return named or (Family.COMMAND in rule.families and call.line is not None)


def _spoken_of(rule: Rule, call: _Call, *, named: bool) -> Iterator[tuple[str, ...]]:
    """Yield the files of a call of which a rule about paths speaks.

    What may not be read may not be changed either.
    """
    unread = Family.READ in rule.families and rule.permission is Permission.DENY
    if named or (unread and call.facts.family is Family.EDIT):
        yield from call.paths
    if Family.EDIT in rule.families or unread:
        yield from call.writes
    if Family.READ in rule.families:
        yield from call.reads


def _said(rule: Rule, call: _Call) -> CallVerdict:
    source = rule.source
    reason = f": {source.reason}" if source.reason else ""
    who = "a person decides on" if rule.asks else f"{source.text} of {source.file} denies"
    said = f"{who} {_shown(call)}{reason}"
    return CallVerdict(permission=rule.permission, rule=_label(rule), reason=clip(said, 1_000))


def _label(rule: Rule) -> str:
    return f"{rule.source.text} ({rule.source.file})"


def _shown(call: _Call) -> str:
    what = call.text or ", ".join(touched(call.facts, call.arguments))
    return f"`{clip(one_line(call.redact(what)), _SHOWN)}`" if what else call.name


def _unsure(policy: Policy, call: _Call) -> CallVerdict | None:
    """Return that a person is asked about a command of which rules speak, but not for certain."""
    if call.line is None or not policy.judges_commands:
        return None
    if call.line.problem:
        return _asks("not understood", f"rules speak of commands, and this one {call.line.problem}")
    for permission in (Permission.DENY, Permission.ASK):
        for rule in policy.saying(permission):
            glob = rule.command
            if glob is not None and any(map(glob.may_match, call.unsure)):
                said = "only a shell can tell whether this command is one of them"
                return _asks(_label(rule), f"{rule.source.text} speaks of commands, and {said}")
    if commands.moves_and_runs_git(call.parts):
        said = "it runs git in a folder that it enters, whose configuration may name programs"
        return _asks("git in another folder", said)
    return None


def _asks(rule: str, reason: str) -> CallVerdict:
    return CallVerdict(permission=Permission.ASK, rule=rule, reason=clip(reason, 1_000))


def _allowed(policy: Policy, call: _Call) -> CallVerdict | None:
    """Return by which rule a call is allowed; None where none allows the whole of it."""
    rules = policy.saying(Permission.ALLOW)
    if call.facts.family is not Family.COMMAND:
        rule = next((rule for rule in rules if _allows(rule, call)), None)
        return CallVerdict(rule=_label(rule)) if rule else None
    line = call.line
    if line is None or line.problem:
        return None
    whole = next((rule for rule in rules if rule.is_whole and call.name in rule.tools), None)
    if whole:
        return CallVerdict(rule=_label(whole))
    found = [_allowing(rules, part) for part in line.parts]
    if not found or None in found or not line.simple or not _writes_freely(line, call.writes):
        return None
    names = dict.fromkeys(_label(rule) for rule in found if rule)
    return CallVerdict(rule=clip(", ".join(names), 1_000))


def _allows(rule: Rule, call: _Call) -> bool:
    if call.name not in rule.tools:
        return False
    if rule.path is not None:
        return bool(call.paths) and all(map(rule.path.matches, call.paths))
    return rule.is_whole


def _allowing(rules: Sequence[Rule], part: SimpleCommand) -> Rule | None:
    """Return the first rule that allows a command of which everything is known."""
    if part.variables or not part.simple or any(OPAQUE in word for word in part.words):
        return None
    forms = tuple(commands.without_plain_wrappers(part))
    for rule in rules:
        glob = rule.command
        if glob is not None and any(glob.matches(form.text) for form in forms):
            return rule
    return None


def _writes_freely(line: SplitLine, writes: Sequence[Sequence[str]]) -> bool:
    """Return whether every redirection leads into the worktree, to a file that asks no person."""
    if any(OPAQUE in target or target.startswith("~") for target in line.writes):
        return False
    known = [names for names in writes if names[:1] != (_NOWHERE,)]
    nowhere = len(line.writes) - line.writes.count(_NOWHERE)
    return len(known) == nowhere and all(
        bool(names) and path_verdict(names[0]).permission is Permission.ALLOW for names in known
    )


def _unmatched(policy: Policy, call: _Call) -> CallVerdict | None:
    """Return that a person is asked about a command that no rule allows, where they want that."""
    if call.facts.family is not Family.COMMAND or policy.record.auto_allow or call.line is None:
        return None
    open_parts = not_allowed(policy, call.line)
    shown = ", ".join(
        f"`{one_line(call.redact(part.text.replace(OPAQUE, '…')), 80)}`" for part in open_parts[:5]
    )
    what = shown or f"the whole of {_shown(call)}"
    return _asks(
        _NO_RULE,
        f"no rule allows {what}, and {policy.record.auto_allow_file} has commands asked about",
    )


def not_allowed(policy: Policy, line: SplitLine) -> tuple[SimpleCommand, ...]:
    """Return the commands of a line that no rule allows."""
    rules = policy.saying(Permission.ALLOW)
    return tuple(part for part in line.parts if _allowing(rules, part) is None)


def _by_mode(policy: Policy, call: _Call, verdict: CallVerdict, *, by_rule: bool) -> CallVerdict:
    """Return a verdict as the mode leaves it; `by_rule` = no mode lifts its question."""
    mode, file = policy.record.mode, policy.record.mode_file
    changes = (
        call.facts.family in {Family.EDIT, Family.COMMAND} or call.facts.effect is not Effect.READ
    )
    if mode is PermissionMode.PLAN and changes and verdict.permission is not Permission.DENY:
        said = f"the mode `plan` of {file} allows reading alone"
        return CallVerdict(permission=Permission.DENY, rule="mode plan", reason=said)
    if verdict.permission is not Permission.ASK:
        return verdict
    if mode is PermissionMode.DONT_ASK:
        said = f"the mode `dontAsk` of {file} denies what would ask: {verdict.reason}"
        return CallVerdict(
            permission=Permission.DENY, rule="mode dontAsk", reason=clip(said, 1_000)
        )
    if mode is PermissionMode.BYPASS and not by_rule:
        return CallVerdict(rule=f"mode bypassPermissions ({file})")
    return verdict
