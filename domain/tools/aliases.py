"""Other harnesses' names of tools and arguments: understood, or answered with the right name.

A model that has learned them elsewhere falls back to them. What is understood here is checked and
judged as the call that it means; names of our own tools come first.
"""

import json
import re
import shlex
from collections.abc import Callable, Collection, Iterable, Mapping
from types import MappingProxyType
from typing import Any

Arguments = dict[str, Any]

_TOOLS = MappingProxyType(
    {
        **dict.fromkeys(
            (
                *("read", "readfile", "viewfile", "openfile", "open", "cat", "fileread"),
                *("ls", "list", "listdir", "listfiles", "listdirectory"),
            ),
            "view",
        ),
        **dict.fromkeys(
            (
                *("grep", "greptool", "grepsearch", "rg", "ripgrep", "searchfiles"),
                *("searchfilecontent", "searchcode", "codebasesearch", "findinfiles"),
            ),
            "search",
        ),
        **dict.fromkeys(
            (
                *("bash", "sh", "shell", "localshell", "terminal", "run", "exec", "execute"),
                *("execcommand", "executecommand", "runshellcommand", "runterminalcmd"),
                *("executebash", "runcommandinterminal", "runinterminal"),
            ),
            "run_command",
        ),
        **dict.fromkeys(
            (
                *("editfile", "strreplace", "replace", "searchreplace", "replaceinfile"),
                *("strreplaceeditor", "strreplacebasededittool", "texteditor", "insert"),
                *("write", "writefile", "writetofile", "create", "createfile", "newfile"),
                *("multiedit", "undoedit"),
            ),
            "edit",
        ),
        **dict.fromkeys(("applypatch", "applydiff", "patch"), "apply_patch"),
        **dict.fromkeys(
            ("submit", "done", "complete", "completetask", "attemptcompletion", "finishtask"),
            "finish",
        ),
    }
)
_CREATES = frozenset({"write", "writefile", "writetofile", "create", "createfile", "newfile"})
_HINTS = MappingProxyType(
    {
        "glob": ("view", "List a folder with `view`, or search for text in files with `search`."),
        "find": ("view", "List a folder with `view`, or search for text in files with `search`."),
    }
)
_PATCHES = frozenset({"applypatch", "applydiff", "patch"})
_PATCH_HINT = "apply_patch is no command here but a tool: call it, with the patch as `patch`."
_EDIT_HINT = (
    "There is no apply_patch here, neither as a tool nor as a command: change files with `edit` "
    '(command "str_replace" with path, old_str and new_str, or "create" with path and file_text).'
)
_HERE_DOCUMENT = re.compile(r"\s*apply_?patch\s*<<-?\s*(['\"]?)(\w+)\1\s*\n(.*?\n)\2\s*", re.DOTALL)
_ARGUMENTS = MappingProxyType(
    {
        **dict.fromkeys(
            (
                *("filepath", "file", "filename", "targetfile", "absolutepath", "relativepath"),
                *("dirpath", "directory", "dir", "folder", "notebookpath"),
            ),
            ("path",),
        ),
        **dict.fromkeys(
            ("oldstring", "oldstr", "oldtext", "oldcontent", "old", "search", "find"), ("old_str",)
        ),
        **dict.fromkeys(
            ("newstring", "newstr", "newtext", "newcontent", "new", "replace", "replacement"),
            ("new_str", "insert_text"),
        ),
        **dict.fromkeys(
            ("content", "contents", "text", "filetext", "filecontent", "filecontents", "code"),
            ("file_text", "insert_text", "new_str"),
        ),
        **dict.fromkeys(("cmd", "script", "commandline", "shellcommand"), ("command",)),
        "input": ("command", "patch"),
        **dict.fromkeys(("patchtext", "diff", "unifieddiff"), ("patch",)),
        **dict.fromkeys(
            ("regex", "regexp", "query", "searchpattern", "searchterm", "q"), ("pattern",)
        ),
        **dict.fromkeys(("line", "linenumber", "insertat", "insertafter"), ("insert_line",)),
        **dict.fromkeys(("i", "caseinsensitive"), ("ignore_case",)),
        **dict.fromkeys(("range", "lines", "linerange"), ("view_range",)),
        **dict.fromkeys(("result", "message", "answer"), ("summary",)),
    }
)
_IDLE = frozenset(
    {
        *("description", "explanation", "justification", "thought", "toolsummary", "outputmode"),
        *("headlimit", "n", "a", "b", "c", "requiresapproval", "withescalatedpermissions"),
    }
)
"""Arguments that change nothing of what a call does here."""
_LONGEST_SECONDS = 1_200


def understood(
    tools: Collection[str],
    properties: Callable[[str], Mapping[str, Any]],
    name: str,
    given: object,
) -> tuple[str, object]:
    """Return the tool that a call means, and its arguments by their right names.

    `tools` are the names of all tools, `properties` gives those of a tool's schema. What is not
    understood is returned as it came.
    """
    arguments = as_object(given)
    tool = _tool(tools, name, arguments or {})
    if arguments is None or tool not in tools:
        return tool, given
    if "apply_patch" in tools and (patch := _patch_of(tool, arguments)):
        return "apply_patch", {"patch": patch}
    known = properties(tool)
    renamed = _renamed(arguments, known, _command(tool, name, arguments))
    for mend in (_range, _seconds, _shell, _inserted, _replacements):
        mend(renamed, known)
    kept = {key: value for key, value in renamed.items() if not _idle(key, value, known)}
    return tool, {key: _unquoted(value, known.get(key, {})) for key, value in kept.items()}


def as_object(given: object) -> Arguments | None:
    """Return arguments as an object, also when it came as JSON in a text; None when it is none."""
    if isinstance(given, str):
        try:
            given = json.loads(given)
        except ValueError:
            return None
    return dict(given) if isinstance(given, dict) else None


def hint(tools: Iterable[str], name: str) -> str:
    """Return what to use in place of a tool that does not exist; "" when that is not known."""
    plain = _plain(name)
    if plain in _PATCHES:
        return _EDIT_HINT if "edit" in tools else ""
    tool, words = _HINTS.get(plain, ("", ""))
    return words if tool in tools else ""


def command_problem(tools: Iterable[str], command: str) -> str:
    """Return why a command line cannot be run here although it looks like one; "" when it can."""
    first = command.strip().split(maxsplit=1)[:1]
    if first not in (["apply_patch"], ["applypatch"]) and "*** Begin Patch" not in command:
        return ""
    return _PATCH_HINT if "apply_patch" in tools else _EDIT_HINT


def _plain(name: str) -> str:
    """Return a name without case, separators and the name space before it."""
    last = re.split(r"[.:/]|__", name.strip())[-1] or name
    return re.sub(r"[^a-z0-9]", "", last.casefold())


def _tool(tools: Collection[str], name: str, arguments: Arguments) -> str:
    if name in tools:
        return name
    plain = _plain(name)
    own = next((each for each in tools if _plain(each) == plain), None)
    tool = own or _TOOLS.get(plain, name)
    if tool == "edit" and arguments.get("command") == "view":
        tool = "view"
    return tool if tool in tools else name


def _command(tool: str, name: str, arguments: Arguments) -> str | None:
    """Return the command of an `edit` that names none, by its other arguments."""
    if tool != "edit" or "command" in arguments:
        return None
    keys = {_plain(key) for key in arguments}
    if _plain(name) in _CREATES or "filetext" in keys:
        return "create"
    meant = {field for key in keys for field in (*_ARGUMENTS.get(key, ())[:1], key)}
    if _plain(name) == "undoedit":
        return "undo_edit"
    if {"insert_line", "insertline"} & meant:
        return "insert"
    if {"old_str", "edits"} & meant:
        return "str_replace"
    return "create" if "file_text" in meant else None


def _renamed(arguments: Arguments, known: Mapping[str, object], command: str | None) -> Arguments:
    renamed = {key: value for key, value in arguments.items() if key in known}
    if command:
        renamed["command"] = command
    inserts = renamed.get("command") == "insert"
    for key, value in arguments.items():
        if key in known:
            continue
        plain = _plain(key)
        own = tuple(each for each in known if _plain(each) == plain)
        fits = [each for each in (*own, *_ARGUMENTS.get(plain, ())) if each in known]
        fits.sort(key=lambda each: inserts and each != "insert_text")
        free = next((each for each in fits if each not in renamed), None)
        renamed[free or key] = value
    return renamed


def _range(arguments: Arguments, known: Mapping[str, object]) -> None:
    """Make a range of lines of an offset and a limit, or of a first and a last line."""
    if "view_range" not in known or "view_range" in arguments:
        return
    first = _number(arguments, ("offset", "start_line", "startLine", "start"))
    last = _number(arguments, ("end_line", "endLine", "end"))
    limit = _number(arguments, ("limit",))
    if first is None and last is None and limit is None:
        return
    start = max(first or 1, 1)
    end = last if last is not None else start + limit - 1 if limit else -1
    arguments["view_range"] = [start, end]


def _number(arguments: Arguments, keys: Iterable[str]) -> int | None:
    for key in keys:
        value = arguments.get(key)
        if isinstance(value, int) and not isinstance(value, bool):
            return int(arguments.pop(key))
    return None


def _seconds(arguments: Arguments, known: Mapping[str, object]) -> None:
    """Take a time limit that is given in milliseconds, as others do."""
    if "timeout_seconds" not in known or "timeout_seconds" in arguments:
        return
    milliseconds = _number(arguments, ("timeout_ms", "timeoutMs"))
    given = _number(arguments, ("timeout", "timeout_secs"))
    if milliseconds is None and given is not None and given > _LONGEST_SECONDS:
        milliseconds, given = given, None
    seconds = -(-milliseconds // 1_000) if milliseconds is not None else given
    if seconds is not None:
        arguments["timeout_seconds"] = min(max(seconds, 1), _LONGEST_SECONDS)


def _shell(arguments: Arguments, known: Mapping[str, object]) -> None:
    """Join a command that is given as a list of words."""
    words = arguments.get("command")
    if "timeout_seconds" not in known or not isinstance(words, list) or not words:
        return
    if not all(isinstance(word, str) for word in words):
        return
    wrapped = len(words) == 3 and words[1] in {"-c", "-lc"}
    arguments["command"] = words[2] if wrapped else shlex.join(words)


def _inserted(arguments: Arguments, known: Mapping[str, object]) -> None:
    """Take the text of an insertion that is named as that of a replacement."""
    inserts = "insert_text" in known and arguments.get("command") == "insert"
    if inserts and "insert_text" not in arguments and "new_str" in arguments:
        arguments["insert_text"] = arguments.pop("new_str")


def _replacements(arguments: Arguments, known: Mapping[str, object]) -> None:
    """Rename the arguments of several replacements in one call."""
    given = arguments.get("edits")
    if isinstance(given, str):
        given = _unquoted(given, {"type": "array"})
    if "edits" not in known or not isinstance(given, list):
        return
    names: dict[str, object] = {"old_str": {}, "new_str": {}}
    arguments["edits"] = [
        {
            key: value
            for key, value in _renamed(each, names, None).items()
            if not _idle(key, value, names)
        }
        if isinstance(each, dict)
        else each
        for each in given
    ]


def _patch_of(tool: str, arguments: Mapping[str, object]) -> str:
    """Return the patch of a call that runs nothing but the command apply_patch; "" for none."""
    if tool != "run_command":
        return ""
    given = next((arguments[key] for key in arguments if _plain(key) in {"command", "cmd"}), None)
    words = given if isinstance(given, list) else [given]
    if len(words) == 2 and words[0] in {"apply_patch", "applypatch"}:
        return words[1] if isinstance(words[1], str) else ""
    line = next(iter(words[-1:]), None)
    found = _HERE_DOCUMENT.fullmatch(line) if isinstance(line, str) else None
    return found[3] if found else ""


def _idle(key: str, value: object, known: Mapping[str, object]) -> bool:
    if key in known:
        return value is None
    if key == "command" and value == "view":
        return True  # of an editor that also shows files
    return value is None or value is False or _plain(key) in _IDLE


def _unquoted(value: object, field: Mapping[str, Any]) -> object:
    """Return a list or an object that came as JSON in a text, where the schema has no text."""
    kinds = {each.get("type") for each in (field, *field.get("anyOf", ()))}
    if not isinstance(value, str) or "string" in kinds or not kinds & {"array", "object"}:
        return value
    try:
        return json.loads(value)
    except ValueError:
        return value
