"""What a rehearsed agent does in its worktree; runs there alone, with the standard library.

    python3 .cooperbench/agent.py apply f2 unites
    python3 .cooperbench/agent.py resolve f2 unites
    python3 .cooperbench/agent.py parse f2

`apply` makes the feature's files of what the worktree holds, `resolve` does it again after a
conflict, `parse` is an acceptance: the feature's files hold no conflict and, if Python, parse.
The feature's own files lie in `.cooperbench/<task>/files`; its base is the repository's first
commit.
"""

import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path

KIT = ".cooperbench"
MINDS = ("unites", "own", "landed", "gives-up")
"""What an agent does on a conflict: keeps both sides, its own files, what landed, or nothing."""

_TOKEN = re.compile(rb"\w+(?:,[^\S\n]*)?|\n|[^\S\n]+|[^\w\s]")
_NEWLINE = b"\\n"
_LABEL = "cooperbench"
_CONFLICT = re.compile(
    rb"^<{7} cooperbench\n(.*?)^\|{7} cooperbench\n(.*?)^={7}\n(.*?)^>{7} cooperbench\n",
    re.MULTILINE | re.DOTALL,
)
_MARKER = re.compile(rb"^(<{7}|>{7}) ", re.MULTILINE)


def merged_lines(ours: bytes, base: bytes, theirs: bytes, *, keep: str) -> bytes:
    """Return a file's three-way merge; `keep` is what stays of a conflict: ours, theirs, union."""
    with tempfile.TemporaryDirectory() as folder:
        names = _written(folder, ours, base, theirs)
        return _output("git", "merge-file", "-p", f"--{keep}", *names)


def woven(ours: bytes, base: bytes, theirs: bytes) -> bytes | None:
    """Return a file's three-way merge as a careful mind makes it, None where that takes a mind.

    A line that both sides changed has the words of both; where both only add, both are there.
    """
    with tempfile.TemporaryDirectory() as folder:
        labels = [f"-L{_LABEL}"] * 3
        names = _written(folder, ours, base, theirs)
        marked = _output("git", "merge-file", "-p", "--diff3", *labels, *names)
    hunks = [found.groups() for found in _CONFLICT.finditer(marked)]
    if any(hunk[1].strip() and _uneven(*hunk) for hunk in hunks):
        return None
    return _CONFLICT.sub(lambda found: _hunk(found[1], found[2], found[3]), marked)


def _uneven(*sides: bytes) -> bool:
    return len({len(side.splitlines()) for side in sides}) > 1


def _hunk(ours: bytes, base: bytes, theirs: bytes) -> bytes:
    if not base.strip():
        return merged_lines(ours, base, theirs, keep="union")
    lines = [side.splitlines(keepends=True) for side in (ours, base, theirs)]
    return b"".join(_line(mine, old, yours) for mine, old, yours in zip(*lines, strict=True))


def _line(mine: bytes, old: bytes, yours: bytes) -> bytes:
    if old in (mine, yours):
        return yours if mine == old else mine
    sides = [b"".join(map(_token, _TOKEN.findall(side))) for side in (mine, old, yours)]
    tokens = merged_lines(sides[0], sides[1], sides[2], keep="union")
    # Two last names of a list: a comma between them.
    parted = re.sub(rb"(\w)\n(?=\w)", rb"\1, \n", tokens)
    return b"".join(b"\n" if each == _NEWLINE else each for each in parted.split(b"\n"))


def _token(token: bytes) -> bytes:
    return (_NEWLINE if token == b"\n" else token) + b"\n"


def _written(folder: str, *contents: bytes) -> list[str]:
    names = [f"{folder}/{number}" for number in range(len(contents))]
    for name, data in zip(names, contents, strict=True):
        Path(name).write_bytes(data)
    return names


def _output(*words: str) -> bytes:
    return subprocess.run(words, stdout=subprocess.PIPE, check=False).stdout


def _shown(commit: str, path: str) -> bytes | None:
    found = subprocess.run(
        ["git", "show", f"{commit}:{path}"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        check=False,
    )
    return found.stdout if found.returncode == 0 else None


def _own(task: str) -> dict[str, bytes | None]:
    """Return the feature's files as it has them on its base; None for a deleted one."""
    folder = Path(KIT) / task
    paths = json.loads((folder / "paths.json").read_text())
    files = {path: folder / "files" / path for path in paths}
    return {path: file.read_bytes() if file.exists() else None for path, file in files.items()}


def _put(path: str, data: bytes | None) -> None:
    if data is None:
        Path(path).unlink(missing_ok=True)
        return
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Path(path).write_bytes(data)


def work(task: str, mind: str) -> None:
    """Make the feature's files from what has landed and from its own."""
    base = _output("git", "rev-list", "--max-parents=0", "HEAD").decode().split()[-1]
    made: dict[str, bytes | None] = {}
    conflict = False
    for path, own in _own(task).items():
        landed, before = _shown("HEAD", path), _shown(base, path)
        if mind == "own" or landed in (before, own):
            made[path] = own
            continue
        sides = (landed or b"", before or b"", own or b"")
        ours, theirs = (merged_lines(*sides, keep=keep) for keep in ("ours", "theirs"))
        conflict = conflict or ours != theirs
        both = woven(*sides) if mind == "unites" else ours
        made[path] = merged_lines(*sides, keep="union") if both is None else both
    if conflict and mind == "gives-up":
        print("I give up.")
        return
    for path, data in made.items():
        _put(path, data)
    _put(f"{KIT}/notes/{task}.md", f"{task} is done.\n".encode())


def parse(task: str) -> None:
    """End with an error when one of the feature's files holds a conflict or does not parse."""
    for path in _own(task):
        if not Path(path).is_file():
            continue
        data = Path(path).read_bytes()
        if _MARKER.search(data):
            sys.exit(f"{path} holds conflict markers")
        if path.endswith(".py"):
            compile(data, path, "exec")


if __name__ == "__main__":
    verb, name, *rest = sys.argv[1:]
    if verb == "parse":
        parse(name)
    elif rest[0] != "fails" and (verb == "apply" or rest[0] != "gives-up"):
        work(name, rest[0])
