"""One rule: `Tool`, `Tool(pattern)` or `Tool(parameter:value)`, and what it matches."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from contracts.permissions import PermissionRule
from contracts.verdicts import Permission
from domain.policy.patterns import Glob, PathPattern, path_pattern
from domain.policy.tools import ELSEWHERE, FAMILY_NAMES, Family, ToolFacts
from domain.settings_json import SettingsProblem, quoted

MOST_CHARS: Final = 500
"""Of a rule."""

_RULE = re.compile(r"([A-Za-z_][A-Za-z0-9_*-]*)(?:\((.*)\))?", re.DOTALL)
_PARAMETER = re.compile(r"([A-Za-z_]\w*):(.+)", re.DOTALL)
_UNREAD = frozenset({"MultiEdit", "NotebookEdit", "Write"})
_UNREAD_READS = frozenset({"Grep"})


@dataclass(frozen=True)
class Rule:
    """A rule in force.

    Attributes:
        tools: names of the tools of which it speaks.
        families: of those.
        command, path: what their command line or path must match; None for any.
        parameter: an argument and what its value must match; None for any.
    """

    source: PermissionRule
    tools: frozenset[str]
    families: frozenset[Family]
    command: Glob | None = None
    path: PathPattern | None = None
    parameter: tuple[str, Glob] | None = None

    @property
    def permission(self) -> Permission:
        """Return what it says."""
        return self.source.permission

    @property
    def asks(self) -> bool:
        """Return whether a person decides."""
        return self.permission is Permission.ASK

    @property
    def is_whole(self) -> bool:
        """Return whether it speaks of every call of its tools."""
        return self.command is None and self.path is None and self.parameter is None

    def has_value(self, arguments: Mapping[str, object]) -> bool:
        """Return whether a call has the argument of which the rule speaks."""
        if self.parameter is None:
            return False
        name, value = self.parameter
        return name in arguments and value.matches(_as_text(arguments[name]))


def _as_text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


@dataclass(frozen=True)
class Places:
    """Where rules about paths begin: folders of the user, absolute, without a slash at the end."""

    home: str = ""
    user_folder: str = ""


def read_rule(
    source: PermissionRule, tools: Mapping[str, ToolFacts], places: Places
) -> tuple[Rule | None, str]:
    """Return a rule, and what is wrong with it where it matches no call; None with the latter.

    Raises:
        SettingsProblem: it is no rule.
    """
    name, spec = _taken_apart(source.text)
    known = _known(name, tools)
    if not known:
        return None, _matches_nothing(name)
    families = frozenset(tools[each].family for each in known)
    whole = Rule(source, known, families)
    if spec in {None, "*"}:
        return whole, ""
    assert spec is not None  # noqa: S101 - the line above says so
    if name in _UNREAD | _UNREAD_READS and not _parameter(spec, known, tools):
        meant = "Edit" if name in _UNREAD else "Read"
        return None, f"{source.text} matches nothing: paths are judged by {meant}(…)"
    if parameter := _parameter(spec, known, tools):
        if source.permission is Permission.ALLOW:
            return None, f"{source.text} matches nothing: a parameter can be denied or asked about"
        return Rule(source, known, families, parameter=parameter), ""
    return _patterned(whole, spec, places)


def _patterned(whole: Rule, spec: str, places: Places) -> tuple[Rule | None, str]:
    source = whole.source
    if whole.families == {Family.COMMAND}:
        if ":*" in spec[:-2]:
            raise SettingsProblem(f"has the rule {quoted(source.text)}: `:*` ends a rule")
        return Rule(source, whole.tools, whole.families, command=Glob(spec.strip())), ""
    if whole.families <= {Family.EDIT, Family.READ}:
        path = path_pattern(
            spec,
            source.permission,
            source.scope,
            user_folder=places.user_folder,
            home=places.home,
        )
        return Rule(source, whole.tools, whole.families, path=path), ""
    return (
        None,
        f"{source.text} matches nothing: write {source.text.partition('(')[0]}(argument:value)",
    )


def _taken_apart(text: str) -> tuple[str, str | None]:
    found = _RULE.fullmatch(text.strip())
    if found is None or found[2] == "":
        raise SettingsProblem(
            f"has the rule {quoted(text)}: write Tool, Tool(pattern) or Tool(parameter:value)"
        )
    return found[1], found[2]


def _known(name: str, tools: Mapping[str, ToolFacts]) -> frozenset[str]:
    if family := FAMILY_NAMES.get(name):
        return frozenset(each for each, facts in tools.items() if facts.family is family)
    if name == "Grep":
        return frozenset({"search"} & tools.keys())
    if "*" in name:
        glob = Glob(name)
        return frozenset(each for each in tools if glob.matches(each))
    return frozenset({name} & tools.keys())


def _matches_nothing(name: str) -> str:
    why = "a tool of Claude Code that is not here" if name in ELSEWHERE else "no tool"
    return f"{name} is {why}: its rule matches nothing"


def _parameter(
    spec: str, known: frozenset[str], tools: Mapping[str, ToolFacts]
) -> tuple[str, Glob] | None:
    found = _PARAMETER.fullmatch(spec)
    if (
        found is None
        or found[2] == "*"
        or not any(found[1] in tools[each].parameters for each in known)
    ):
        return None
    return found[1], Glob(found[2])
