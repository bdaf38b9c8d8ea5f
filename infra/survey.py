"""What a command of an agent finds on this machine: the script that looks, and how it is read."""

import json
import shlex
from collections.abc import Iterable, Sequence

from domain.shell import Program
from domain.text import one_line

_PACKAGES = """
import importlib.metadata, json, re
found = {d.metadata["Name"]: d for d in importlib.metadata.distributions() if d.metadata["Name"]}
plain = lambda name: re.sub("[-_.]+", "-", name).lower()
needs = [need for d in found.values() for need in d.requires or () if "extra ==" not in need]
needed = {plain(re.match("[A-Za-z0-9._-]*", need)[0]) for need in needs}
names = sorted(found, key=lambda name: (plain(name) in needed, plain(name)))
print("packages", json.dumps([f"{name} {found[name].version}" for name in names]))
"""
"""Names what others need last: what a project asked for itself is worth more to a reader."""
_FIND_MODULE = """
import importlib.util, sys
sys.exit(importlib.util.find_spec(sys.argv[1]) is None)
"""
SCRIPT = rf"""
(. /etc/os-release 2>/dev/null; echo "system ${{PRETTY_NAME:-$(uname -s)}}, $(uname -m)")
version() {{
  command -v "$1" >/dev/null && echo "version $1 $(timeout 10 "$@" 2>&1 | grep -m1 '[0-9]')"
}}
for each in python3 node deno bun rustc ruby php gcc dotnet swift elixir ghc; do
  version $each --version
done
version go version
version java -version
for each in python git make cmake ninja g++ clang cargo npm pnpm yarn mvn gradle bundle composer \
  uv poetry pytest tox nox ruff mypy perl jq rg; do
  command -v $each >/dev/null && echo "tool $each"
done
lacks() {{ [ -e "$1" ] && [ ! -e "$2" ] && echo "lacks $1 $2"; }}
lacks package.json node_modules
lacks composer.json vendor
timeout 20 python3 -c {shlex.quote(_PACKAGES)} 2>/dev/null
true
"""
"""Prints a line a fact; each begins with its kind."""


def read(output: str) -> tuple[str, tuple[str, ...], tuple[str, ...]]:
    """Return the system, the tools with versions, and the dependencies that the script found."""
    system, tools, plain, dependencies = "", list[str](), list[str](), list[str]()
    for line in output.splitlines():
        kind, _, rest = line.partition(" ")
        if kind == "system":
            system = one_line(rest)
        elif kind == "version":
            name, _, said = rest.partition(" ")
            said = one_line(said, 60)
            tools.append(said if said.lower().startswith(name[:4].lower()) else f"{name} {said}")
        elif kind == "tool":
            plain.append(one_line(rest))
        elif kind == "lacks":
            manifest, _, folder = rest.partition(" ")
            dependencies.append(f"{manifest} is there, {folder}/ is not")
        elif kind == "packages":
            dependencies += [f"Python packages: {found}" for found in _packages(rest)]
    return system, (*tools, *plain), tuple(dependencies)


def _packages(found: str) -> list[str]:
    try:
        rows = [one_line(str(row), 80) for row in json.loads(found)]
    except ValueError:
        return []
    shown, room = list[str](), 600
    for row in rows:
        room -= len(row) + 2
        if room < 0:
            break
        shown.append(row)
    rest = len(rows) - len(shown)
    return [", ".join(shown) + (f" and {rest} more" if rest else "")] if rows else []


def lookup_script(programs: Iterable[Program]) -> str:
    """Return a script that names, a line each, what is missing: programs, and Python modules.

    A program of a virtual environment is missing only where there is the environment.
    """
    lines: list[str] = []
    for each in programs:
        name, module = shlex.quote(each.name), shlex.quote(each.module)
        folder = shlex.quote(each.name.rpartition("/")[0] or ".")
        lines.append(
            f'[ ! -d {folder} ] || command -v {name} >/dev/null || echo "program {each.name}"'
        )
        if each.module:
            lines.append(
                f"! command -v {name} >/dev/null || {name} -c {shlex.quote(_FIND_MODULE)} {module} "
                f'|| echo "module {each.module}"'
            )
    return "\n".join([*lines, "true"])


def lacking(programs: Sequence[Program], output: str) -> str:
    """Return what a command lacks, in a sentence; "" for nothing."""
    said = set(output.splitlines())
    missing = [
        *(f"there is no `{p.name}`" for p in programs if f"program {p.name}" in said),
        *(
            f"`{p.name}` has no module `{p.module}`"
            for p in programs
            if p.module and f"module {p.module}" in said
        ),
    ]
    return one_line("; ".join(dict.fromkeys(missing)), 400)
