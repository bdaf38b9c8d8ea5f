"""What may be the name of a branch: git's own rules for ref names, with what is wrong in words."""

import re

_PART_BYTES = 240
"""Each part is the name of a file, beside which git makes one with `.lock` behind it."""

_FORBIDDEN = re.compile(r"[\x00-\x20\x7f~^:?*\[\\]")


def problem(name: str) -> str | None:
    """Return what is wrong with a branch name, None when git takes it."""
    if not name:
        return "it is empty"
    if name == "@":
        return "that name is git's own"
    if name.startswith("-"):
        return "it begins with a hyphen"
    if _FORBIDDEN.search(name):
        return "it holds a space, a control character or one of ~ ^ : ? * [ \\"
    if ".." in name or "@{" in name or "//" in name:
        return "it holds '..', '@{' or '//'"
    if name.startswith("/") or name.endswith(("/", ".")):
        return "it begins with '/' or ends with '/' or '.'"
    if any(part.startswith(".") or part.endswith(".lock") for part in name.split("/")):
        return "a part of it begins with '.' or ends with '.lock'"
    if any(len(part.encode("utf-8", "replace")) > _PART_BYTES for part in name.split("/")):
        return f"a part of it is longer than {_PART_BYTES} bytes"
    if name.startswith("refs/") or name == "HEAD":
        return "that name is git's own"
    return None
