"""The versions of languages that a repository asks for, by the files of version managers."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from domain.project.facts import first_line

_NUMBER: Final = r"v?(\d+(?:\.\d+){0,2})"
_VERSION: Final = re.compile(_NUMBER)
_FILES: Final = (
    (".python-version", "python"),
    (".nvmrc", "node"),
    (".node-version", "node"),
    (".ruby-version", "ruby"),
    (".java-version", "java"),
)
_TOOLS: Final = MappingProxyType(
    {"python": "python", "nodejs": "node", "node": "node", "golang": "go", "go": "go"}
)
_MISE_FILES: Final = ("mise.toml", ".mise.toml")


@dataclass(frozen=True)
class Wanted:
    """A version that a repository asks for.

    Attributes:
        tool: python, node, go, rust, ruby or java.
        version: as it stands there: numbers, or a name such as `lts/iron` or `stable`.
        file: where it stands.
    """

    tool: str
    version: str
    file: str

    @property
    def numbers(self) -> str:
        """Return the version where it is one to three numbers, "" for any other name."""
        found = _VERSION.fullmatch(self.version)
        return found[1] if found else ""


def wanted_versions(texts: Mapping[str, str]) -> tuple[Wanted, ...]:
    """Return what the files of version managers ask for, the first file of a tool counts.

    A version is at most 40 characters that occur in names of versions; anything else is none.
    """
    found = dict[str, Wanted]()
    for wanted in _all(texts):
        if re.fullmatch(r"[\w./*-]{1,40}", wanted.version):
            found.setdefault(wanted.tool, wanted)
    return tuple(found.values())


def _all(texts: Mapping[str, str]) -> Iterator[Wanted]:
    for file, tool in _FILES:
        if version := first_line(texts.get(file, "")):
            yield Wanted(tool, version, file)
    for line in texts.get(".tool-versions", "").splitlines():
        name, _, rest = line.strip().partition(" ")
        if name in _TOOLS and rest.split():
            yield Wanted(_TOOLS[name], rest.split()[0], ".tool-versions")
    for file in _MISE_FILES:
        pairs = re.findall(r'^(\w+)[ \t]*=[ \t]*"([^"\n]+)"', texts.get(file, ""), re.MULTILINE)
        yield from (
            Wanted(_TOOLS[name], version, file) for name, version in pairs if name in _TOOLS
        )
    if found := re.search(r"^(?:toolchain go|go )(\S+)", texts.get("go.mod", ""), re.MULTILINE):
        yield Wanted("go", found[1], "go.mod")
    if found := re.search(
        r'^channel[ \t]*=[ \t]*"([^"\n]+)"', texts.get("rust-toolchain.toml", ""), re.MULTILINE
    ):
        yield Wanted("rust", found[1], "rust-toolchain.toml")
    elif old := first_line(texts.get("rust-toolchain", "")):
        yield Wanted("rust", old, "rust-toolchain")


def satisfies(installed: str, wanted: str) -> bool:
    """Return whether an installed version is one that is wanted: `3.11.7` is a `3.11`."""
    has, asks = _VERSION.fullmatch(installed), _VERSION.fullmatch(wanted)
    if not (has and asks):
        return False
    parts = asks[1].split(".")
    return has[1].split(".")[: len(parts)] == parts


def newest(installed: Mapping[str, str], wanted: str) -> str:
    """Return the newest of the installed versions that satisfies, "" when none does.

    `installed` has what each version is called by its number.
    """
    fitting = [each for each in installed if satisfies(each, wanted)]
    best = max(fitting, key=lambda each: [int(n) for n in each.lstrip("v").split(".")], default="")
    return installed[best] if best else ""
