"""May a task write a path that it did not declare: allowed, a person decides, or refused.

A plan's paths are a forecast. What another task is about to write, and what is risky, a person
decides; what belongs to the task's own paths, or was asked for, needs nobody.
"""

import re
from collections.abc import Callable, Sequence

from contracts.planning import WriteScope
from contracts.verdicts import CallVerdict, PathVerdict, Permission
from domain.approvals.runs_code import runs
from domain.planning import write_patterns
from domain.planning.scope import DOCUMENTS, names
from domain.text import listing

DECLARED = "declared"
UNCLAIMED = "unclaimed"
_TEST_FOLDERS = frozenset({"test", "tests", "__tests__", "spec", "specs", "testing"})
_TEST_NAME = re.compile(r"^tests?[_-]|[_-]tests?$|\.(test|spec)$|[_-]spec$|^conftest$")
_PROSE = (".md", ".rst", ".adoc", ".txt")
_GENERIC = frozenset({"init", "index", "main", "mod", "lib", "src", ""})


def judge(path: str, scope: WriteScope, *, risk: str = "") -> CallVerdict:
    """Judge a write of one path by its task's scope; `risk` says why the path is sensitive."""
    if write_patterns.unsafe(path.removesuffix("/")):
        return _deny("unsafe", "it could reach outside of the repository")
    if write_patterns.covers(scope.writes, path):
        return CallVerdict(rule=DECLARED)
    if names(scope.noted, path):
        return _allow("noted", "a note of the person asks for it")
    if not scope.writes:
        return _deny("reads only", "this task only reads")
    if risk:
        return _ask("risky", f"it {risk}")
    if names(scope.asked, path):
        return _allow("asked", "the request asks for it")
    if loaded := runs(path):
        return _ask("loaded", f"it {loaded.when}")
    if _belongs(path, scope.writes):
        return _allow("belongs", "it is a test or document of what the task declares")
    if owners := _owners(path, scope):
        return _ask("claimed", f"{listing(owners)} writes it too")
    return _allow(UNCLAIMED, "no other task claims it")


def _allow(rule: str, reason: str) -> CallVerdict:
    return CallVerdict(rule=rule, reason=reason)


def _ask(rule: str, reason: str) -> CallVerdict:
    return CallVerdict(permission=Permission.ASK, rule=rule, reason=reason)


def _deny(rule: str, reason: str) -> CallVerdict:
    return CallVerdict(permission=Permission.DENY, rule=rule, reason=reason)


def _owners(path: str, scope: WriteScope) -> tuple[str, ...]:
    return tuple(
        f"task {claim.task!r}"
        for claim in scope.claims
        if write_patterns.covers(claim.writes, path)
        or (_is_broad(path) and _meet(claim.writes, path))
    )


def _is_broad(path: str) -> bool:
    """Return whether a path, read as a pattern, may cover more than one file."""
    reach = write_patterns.reach(path)
    return reach.folder or path.endswith("/") or "*" in path or "?" in path


def _meet(patterns: Sequence[str], wanted: str) -> bool:
    reach = write_patterns.reach(wanted)
    return any(write_patterns.meet(reach, write_patterns.reach(each)) for each in patterns)


def requested(
    paths: Sequence[str], scope: WriteScope | None, risk_of: Callable[[str], str]
) -> tuple[PathVerdict, ...] | None:
    """Return the judgements of the paths or patterns that a task asks for, in their order.

    None where it is not known what the other tasks claim. What is granted counts as thought of
    before, so a folder that nobody named is for a person: it may hold what runs by itself.
    """
    if scope is None:
        return None
    found: list[PathVerdict] = []
    for path in map(write_patterns.normal, paths):
        verdict = judge(path, scope, risk=risk_of(path))
        if verdict.rule == UNCLAIMED and _is_broad(path):
            verdict = _ask("broad", "it may be more than one file")
        found.append(PathVerdict(path=path, **verdict.model_dump()))
    return tuple(found)


def planned(path: str, writes: Sequence[str], scope: WriteScope | None) -> bool:
    """Return whether a path was thought of before: declared by name or folder, or asked for.

    A pattern that names neither, such as `**`, says nothing of it.
    """
    specific = [pattern for pattern in writes if write_patterns.names_a_place(pattern)]
    wished = (*scope.asked, *scope.noted) if scope else ()
    return write_patterns.covers(specific, path) or names(wished, path)


def warning(path: str, verdict: CallVerdict) -> str:
    """Return what the agent is told at an edit; "" for a path that its task declares."""
    if verdict.rule == DECLARED:
        return ""
    told = f"{path} is not among the paths of your task"
    match verdict.permission:
        case Permission.ALLOW:
            return f"{told}; it may change all the same: {verdict.reason}."
        case Permission.ASK:
            return (
                f"{told}, and {verdict.reason}: a person will have to approve the patch. "
                "Undo this unless the task cannot be done without it."
            )
        case Permission.DENY:
            return f"{told}, and must not change: {verdict.reason}. Undo this."


def asked_about(
    paths: Sequence[str], scope: WriteScope, risk_of: Callable[[str], str]
) -> tuple[str, ...]:
    """Return the paths on which a person decides, each with the reason."""
    verdicts = ((path, judge(path, scope, risk=risk_of(path))) for path in paths)
    return tuple(
        f"{path} ({verdict.reason})"
        for path, verdict in verdicts
        if verdict.permission is Permission.ASK
    )


def problem(
    paths: Sequence[str], scope: WriteScope, risk_of: Callable[[str], str], *, whole: bool
) -> str:
    """Return why a patch of these paths goes back to its agent, "" when it does not.

    `whole`: the patch changes these paths and no others.
    """
    verdicts = {path: judge(path, scope, risk=risk_of(path)) for path in paths}
    refused = tuple(
        f"{path} ({verdict.reason})"
        for path, verdict in verdicts.items()
        if verdict.permission is Permission.DENY
    )
    if refused:
        return f"These paths must not change: {listing(refused)}. Undo these changes."
    foreign = [each for each in verdicts.values() if each.permission is Permission.ASK]
    if whole and foreign and len(foreign) == len(verdicts):
        return (
            "Nothing that the task may write "
            f"({listing(scope.writes)}) has changed, only what is not its own: "
            f"{listing(asked_about(paths, scope, risk_of))}. Undo it and do the task itself."
        )
    return ""


def _belongs(path: str, writes: Sequence[str]) -> bool:
    """Return whether a path is a test or a document of what a task declares, by its name."""
    *folders, name = path.casefold().split("/")
    stem = name.partition(".")[0] if name.startswith(DOCUMENTS) else name.rsplit(".", 1)[0]
    own = {_stem(pattern) for pattern in writes} - _GENERIC
    words = f"_{re.sub(r'[^a-z0-9]+', '_', stem)}_"
    about = any(f"_{each}_" in words or each in folders for each in own)
    if _TEST_FOLDERS.intersection(folders) or _TEST_NAME.search(stem):
        return about
    if stem in DOCUMENTS:
        folder = "/".join(folders)
        return not folder or any(each.casefold().startswith(f"{folder}/") for each in writes)
    return name.endswith(_PROSE) and about


def _stem(pattern: str) -> str:
    """Return the name that a pattern is about: its file's, or its folder's."""
    parts = [part for part in pattern.casefold().split("/") if part.strip("*")]
    named = [part.rsplit(".", 1)[0] if "." in part[1:] else part for part in parts]
    specific = [re.sub(r"[^a-z0-9]+", "_", each).strip("_") for each in reversed(named)]
    return next((each for each in specific if each not in _GENERIC and len(each) > 1), "")
