"""The permissions of a settings file, in Claude Code's shape, and what two files come to together.

What tightens counts from any file; what loosens counts from the user's own alone.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

from contracts.permissions import PermissionMode, PermissionRule, RequestPermissions, Scope
from contracts.verdicts import Permission
from domain.policy import commands
from domain.policy.rules import MOST_CHARS, Places, Rule, read_rule
from domain.policy.shell_split import split
from domain.policy.tools import BUILT_IN, Family, ToolFacts
from domain.settings_json import SettingsProblem, quoted, refuse_unknown, seen_text
from domain.text import for_people

MOST_RULES: Final = 300
"""Of a list of a file."""

_MOST_FOLDERS = 20
_MOST_EXAMPLES = 20
_MOST_REASON = 500
_LISTS = MappingProxyType(
    {each.value: each for each in (Permission.DENY, Permission.ASK, Permission.ALLOW)}
)
_KEYS = (
    *_LISTS,
    *("defaultMode", "additionalDirectories", "disableBypassPermissionsMode"),
)
_RULE_KEYS = ("rule", "reason", "match", "not_match")
_AUTO_ALLOW = "autoAllowBashIfSandboxed"
_SANDBOX_ELSEWHERE = (
    *("enabled", "mode", "failIfUnavailable", "allowDegraded", "filesystem", "network"),
    *("credentials", "excludedCommands", "allowUnsandboxedCommands"),
)
_MODES = tuple(mode.value for mode in PermissionMode)
_STRICTEST = (PermissionMode.PLAN, PermissionMode.DONT_ASK, PermissionMode.BYPASS)


@dataclass(frozen=True)
class WrittenRule:
    """A rule with the examples by which it is tried when it is read."""

    permission: Permission
    text: str
    reason: str = ""
    match: tuple[str, ...] = ()
    not_match: tuple[str, ...] = ()


@dataclass(frozen=True)
class WrittenPermissions:
    """What one settings file says, its form checked."""

    rules: tuple[WrittenRule, ...] = ()
    mode: PermissionMode | None = None
    folders: tuple[str, ...] = ()
    auto_allow: bool | None = None
    bypass_off: bool = False
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class SettingsSource:
    """A settings file that was read.

    Attributes:
        file: as people are shown it.
        folder: in which it lies, for rules about `/` of a user's.
    """

    scope: Scope
    file: str
    written: WrittenPermissions = field(default_factory=WrittenPermissions)
    folder: str = ""


def written(found: Mapping[str, object]) -> WrittenPermissions:
    """Return what a settings file says of permissions; its other keys are not looked at.

    Raises:
        SettingsProblem: it does not have the form, or a rule is none or fails its own examples.
    """
    section = _object(found.get("permissions", {}), "permissions")
    refuse_unknown(section, _KEYS, where="permissions")
    auto_allow, warnings = _sandbox(_object(found.get("sandbox", {}), "sandbox"))
    rules = tuple(rule for name in _LISTS for rule in _rules(name, section.get(name, [])))
    for rule in rules:
        _try(rule)
    return WrittenPermissions(
        rules=rules,
        mode=_mode(section.get("defaultMode")),
        folders=_folders(section.get("additionalDirectories", [])),
        auto_allow=auto_allow,
        bypass_off=section.get("disableBypassPermissionsMode") == "disable",
        warnings=warnings,
    )


def combined(
    sources: Sequence[SettingsSource],
    tools: Mapping[str, ToolFacts],
    *,
    home: str = "",
    checkout: str = "",
) -> RequestPermissions:
    """Return what the files come to together; the user's comes first."""
    user = next((each for each in sources if each.scope is Scope.USER), None)
    places = Places(home=home, user_folder=user.folder if user else "")
    rules, warnings = [], []
    for source in sources:
        warnings += [f"{source.file}: {each}" for each in source.written.warnings]
        for rule in source.written.rules:
            kept, problem = _in_force(rule, source, tools, places, checkout)
            rules += [kept] if kept else []
            warnings += [f"{source.file}: {problem}"] if problem else []
    mode, mode_file, refused = _strictest(sources)
    asks = next((each.file for each in sources if each.written.auto_allow is False), "")
    warnings += [*refused, *_folders_refused(sources)]
    return RequestPermissions(
        rules=tuple(rules),
        mode=mode,
        mode_file=mode_file,
        auto_allow=not asks,
        auto_allow_file=asks,
        folders=user.written.folders if user else (),
        home=places.home,
        user_folder=places.user_folder,
        checkout=checkout,
        warnings=tuple(each[:1_000] for each in warnings),
    )


def _in_force(
    rule: WrittenRule,
    source: SettingsSource,
    tools: Mapping[str, ToolFacts],
    places: Places,
    checkout: str,
) -> tuple[PermissionRule | None, str]:
    """Return a rule as it holds, None where it does not count; and what is wrong with it."""
    kept = PermissionRule(
        permission=rule.permission,
        text=rule.text,
        reason=rule.reason,
        scope=source.scope,
        file=source.file,
    )
    if rule.permission is Permission.ALLOW and source.scope is not Scope.USER:
        return None, f"{rule.text} does not count: a repository cannot allow, its user can"
    read, problem = read_rule(kept, tools, places)
    if read and _is_open_outside(read, checkout):
        where = "outside the repository commands are kept from what is named without wildcards"
        problem = f"{rule.text} holds for tools that read and edit alone: {where}"
    return kept if read else None, problem


def _is_open_outside(rule: Rule, checkout: str) -> bool:
    """Return whether a rule closes files outside the repository, but not for commands."""
    path = rule.path
    if path is None or Family.READ not in rule.families or not path.absolute or path.literal:
        return False
    return not (checkout and path.text.startswith(f"{checkout}/"))


def _strictest(sources: Sequence[SettingsSource]) -> tuple[PermissionMode, str, list[str]]:
    """Return the mode that counts, who says so, and what does not count."""
    off = next((each.file for each in sources if each.written.bypass_off), "")
    refused: list[str] = []
    counting: list[SettingsSource] = []
    for each in sources:
        if why := _bypass_refused(each, off):
            refused.append(f"{each.file}: {why}")
        else:
            counting.append(each)
    for mode in _STRICTEST:
        for each in counting:
            if each.written.mode is mode:
                return mode, each.file, refused
    return PermissionMode.DEFAULT, "", refused


def _bypass_refused(source: SettingsSource, off: str) -> str:
    """Return why a file's mode does not count; "" where it does. `off` = who switches it off."""
    if source.written.mode is not PermissionMode.BYPASS:
        return ""
    if source.scope is not Scope.USER:
        return (
            "defaultMode bypassPermissions does not count: a repository cannot allow, its user can"
        )
    return f"defaultMode bypassPermissions is switched off by {off}" if off else ""


def _folders_refused(sources: Sequence[SettingsSource]) -> Iterator[str]:
    for each in sources:
        if each.written.folders and each.scope is not Scope.USER:
            yield (
                f"{each.file}: additionalDirectories do not count: a repository cannot allow, "
                "its user can"
            )


def _object(value: object, key: str) -> dict[str, object]:
    if not isinstance(value, dict):
        raise SettingsProblem(f"{quoted(key)} must be an object")
    return value


def _sandbox(found: Mapping[str, object]) -> tuple[bool | None, tuple[str, ...]]:
    refuse_unknown(found, (_AUTO_ALLOW, *_SANDBOX_ELSEWHERE), where="sandbox")
    value = found.get(_AUTO_ALLOW)
    if value is not None and not isinstance(value, bool):
        raise SettingsProblem(f"{quoted(_AUTO_ALLOW)} must be true or false")
    unread = [key for key in _SANDBOX_ELSEWHERE if key in found]
    said = "says nothing here: every command runs in the sandbox, without a network"
    return value, tuple(f"sandbox.{key} {said}" for key in unread)


def _mode(value: object) -> PermissionMode | None:
    if value is None:
        return None
    if value not in _MODES:
        raise SettingsProblem(f'"defaultMode" must be one of {", ".join(_MODES)}')
    return PermissionMode(str(value))


def _folders(value: object) -> tuple[str, ...]:
    texts = _texts(value, "additionalDirectories", _MOST_FOLDERS)
    for each in texts:
        if not each.startswith(("/", "~/")) or ".." in each.split("/"):
            raise SettingsProblem(
                f'"additionalDirectories" holds {quoted(each)}: write an absolute path, or ~/…'
            )
    return texts


def _rules(name: str, value: object) -> Iterator[WrittenRule]:
    if not isinstance(value, list):
        raise SettingsProblem(f"{quoted(name)} must be a list of rules")
    if len(value) > MOST_RULES:
        raise SettingsProblem(f"{quoted(name)} has more than {MOST_RULES} rules")
    for number, each in enumerate(value, 1):
        yield _rule(f"{quoted(name)}, rule {number}", _LISTS[name], each)


def _rule(where: str, permission: Permission, value: object) -> WrittenRule:
    if isinstance(value, str):
        return WrittenRule(permission, seen_text(where, value, MOST_CHARS))
    if not isinstance(value, dict):
        raise SettingsProblem(f'{where}: must be a text, or an object with "rule"')
    refuse_unknown(value, _RULE_KEYS, where=where)
    reason = value.get("reason", "")
    if not isinstance(reason, str) or len(reason) > _MOST_REASON:
        raise SettingsProblem(
            f'{where}: "reason" must be a text of at most {_MOST_REASON} characters'
        )
    return WrittenRule(
        permission,
        seen_text(where, value.get("rule"), MOST_CHARS),
        for_people(reason.strip()),
        _texts(value.get("match", []), f'{where}, "match"', _MOST_EXAMPLES),
        _texts(value.get("not_match", []), f'{where}, "not_match"', _MOST_EXAMPLES),
    )


def _texts(value: object, where: str, most: int) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(each, str) and each for each in value):
        raise SettingsProblem(f"{where} must be a list of texts")
    if len(value) > most:
        raise SettingsProblem(f"{where} has more than {most} entries")
    return tuple(value)


def _try(rule: WrittenRule) -> None:
    """Read a rule, and hold it to its own examples."""
    source = PermissionRule(
        permission=rule.permission, text=rule.text, scope=Scope.REPOSITORY, file="this"
    )
    read, _ = read_rule(source, BUILT_IN, Places())
    if not (rule.match or rule.not_match):
        return
    if read is None or (read.command is None and read.path is None):
        raise SettingsProblem(
            f"has examples for {quoted(rule.text)}, which names no command and no path"
        )
    for example in rule.match:
        if not _fits(read, example):
            raise SettingsProblem(
                f"says that {quoted(rule.text)} matches {quoted(example)}, but it does not"
            )
    for example in rule.not_match:
        if _fits(read, example):
            raise SettingsProblem(
                f"says that {quoted(rule.text)} does not match {quoted(example)}, but it does"
            )


def _fits(rule: Rule, example: str) -> bool:
    if rule.path is not None:
        return rule.path.matches([example.removeprefix("./")])
    assert rule.command is not None  # noqa: S101 - asked for by the caller
    line = split(example)
    if rule.permission is not Permission.ALLOW:
        return any(rule.command.matches(part.text) for part in commands.every_part(line))
    forms = [tuple(commands.without_plain_wrappers(part)) for part in line.parts]
    glob = rule.command
    return bool(forms) and all(any(glob.matches(each.text) for each in part) for part in forms)
