"""A memory: what later requests in a repository should know; a topic file each, and their index.

The shape is the one that people know: an index `MEMORY.md` of one line a memory, and a topic file
for each, with front matter. All of its text is untrusted: agents propose it.
"""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from enum import StrEnum
from typing import Final

from domain import ids
from domain.text import for_people, one_line

INDEX: Final = "MEMORY.md"
"""The name of the index."""
TOPICS: Final = "topics"
"""The folder of what is accepted."""
PROPOSALS: Final = "proposals"
"""The folder of what waits for a person."""
DESCRIPTION_CHARS: Final = 160
TEXT_CHARS: Final = 2_000
EVIDENCE_CHARS: Final = 500
MOST_FILES: Final = 5
"""Files that one memory may name as its evidence."""

_OPEN, _CLOSE = "---\n", "\n---\n"
_HEADING: Final = "# Memories of this repository, the newest first"
_LINE: Final = re.compile(
    rf"- \[(?P<name>[a-z0-9-]+)\]\({TOPICS}/(?P=name)\.md\) "
    r"\((?P<type>[a-z]+)\) (?P<description>.+)"
)
_PLAIN: Final = frozenset({"name", "type", "modified", "accepted"})
"""Fields of the front matter that stand without quotes."""
_TIME: Final = "%Y-%m-%dT%H:%M:%SZ"


class MemoryType(StrEnum):
    """What a memory is about."""

    USER = "user"
    """The person: what they know, what they are responsible for."""
    FEEDBACK = "feedback"
    """How the person wants the work to be done."""
    PROJECT = "project"
    """What cannot be seen from code and history: a trap, a decision and why, what is under way."""
    REFERENCE = "reference"
    """Where something stands outside the repository."""


@dataclass(frozen=True, slots=True)
class Memory:
    """One memory.

    Attributes:
        name: made of its content; names its topic file.
        description: one line, as the index has it.
        text: what it says.
        modified: when it was proposed, in seconds since 1970.
        request: workflow id of the request that it came from.
        agent: who proposed it: role and task.
        evidence: what shows it, as its agent says.
        files: paths that show it, each with its object id at that time.
        accepted_by: "" while it waits.
        accepted: when, in seconds since 1970; 0 while it waits.
    """

    name: str
    type: MemoryType
    description: str
    text: str
    modified: int
    request: str
    agent: str = ""
    evidence: str = ""
    files: tuple[tuple[str, str], ...] = ()
    accepted_by: str = ""
    accepted: int = 0

    def accept(self, by: str, now: int) -> "Memory":
        """Return it as accepted by a person or a rule."""
        return replace(self, accepted_by=by, accepted=now)


@dataclass(frozen=True, slots=True)
class Draft:
    """What an agent proposes to remember, cleaned: nothing in it is hidden, no field too long."""

    type: MemoryType
    description: str
    text: str
    evidence: str = ""

    @property
    def name(self) -> str:
        """Return the name of its memory: the same content has the same."""
        digest = ids.digest(self.type.value, self.description, self.text, length=6)
        return f"{ids.slug(self.description, 40)}-{digest}"


def draft(kind: MemoryType, *, description: str, text: str, evidence: str = "") -> Draft:
    """Return a draft of what an agent wrote."""
    return Draft(
        kind,
        one_line(description, DESCRIPTION_CHARS),
        for_people(text, TEXT_CHARS).strip(),
        one_line(evidence, EVIDENCE_CHARS),
    )


def mark_of(name: str) -> str:
    """Return the part of a name that tells its content apart and says nothing of it."""
    return name.rpartition("-")[2]


# ---- topic files


def render(memory: Memory) -> str:
    """Return a memory as its topic file."""
    fields: dict[str, object] = {
        "name": memory.name,
        "description": memory.description,
        "type": memory.type.value,
        "modified": moment(memory.modified),
        "request": memory.request,
        "agent": memory.agent,
        "evidence": memory.evidence,
        "files": [f"{path}@{oid}" for path, oid in memory.files],
    }
    if memory.accepted_by:
        fields |= {"accepted": moment(memory.accepted), "accepted_by": memory.accepted_by}
    told = {key: value for key, value in fields.items() if value or key == "description"}
    head = "\n".join(f"{key}: {_written(key, value)}" for key, value in told.items())
    return f"{_OPEN}{head}{_CLOSE}\n{memory.text}\n"


def parse(file: str) -> Memory | None:
    """Return the memory that a topic file holds; None when it holds none."""
    head, closed, text = file.removeprefix(_OPEN).partition(_CLOSE)
    if not file.startswith(_OPEN) or not closed:
        return None
    rows = (row.partition(": ") for row in head.split("\n"))
    try:
        fields = {key: _read(key, value) for key, _, value in rows}
        return Memory(
            name=str(fields["name"]),
            type=MemoryType(str(fields["type"])),
            description=str(fields["description"]),
            text=text.removeprefix("\n").removesuffix("\n"),
            modified=_seconds(str(fields["modified"])),
            request=str(fields.get("request", "")),
            agent=str(fields.get("agent", "")),
            evidence=str(fields.get("evidence", "")),
            files=_files(fields.get("files")),
            accepted_by=str(fields.get("accepted_by", "")),
            accepted=_seconds(str(fields["accepted"])) if "accepted" in fields else 0,
        )
    except (KeyError, ValueError):
        return None


def _written(key: str, value: object) -> str:
    return str(value) if key in _PLAIN else json.dumps(value, ensure_ascii=False)


def _read(key: str, value: str) -> object:
    return value if key in _PLAIN else json.loads(value)


def _files(value: object) -> tuple[tuple[str, str], ...]:
    found = [str(each).rpartition("@") for each in value] if isinstance(value, list) else []
    return tuple((path, oid) for path, _, oid in found)


def moment(seconds: int) -> str:
    """Return a time, in seconds since 1970, as topic files have it."""
    return datetime.fromtimestamp(seconds, UTC).strftime(_TIME)


def _seconds(moment: str) -> int:
    return int(datetime.strptime(moment, _TIME).replace(tzinfo=UTC).timestamp())


# ---- the index


@dataclass(frozen=True, slots=True)
class IndexLine:
    """A memory as the index has it."""

    name: str
    type: MemoryType
    description: str

    def told(self) -> str:
        """Return the line as an agent is told it."""
        return f"- {self.name} ({self.type.value}) {self.description}"


def line_of(memory: Memory) -> IndexLine:
    """Return the line of a memory."""
    return IndexLine(memory.name, memory.type, memory.description)


def render_index(lines: Sequence[IndexLine]) -> str:
    """Return the index as its file."""
    rows = [
        f"- [{each.name}]({TOPICS}/{each.name}.md) ({each.type.value}) {each.description}"
        for each in lines
    ]
    return "\n".join([_HEADING, "", *rows]) + "\n"


def parse_index(file: str) -> list[IndexLine]:
    """Return the lines of an index file, in its order; what is no line of a memory is left out."""
    found = (_LINE.fullmatch(row) for row in file.split("\n"))
    kinds = {kind.value for kind in MemoryType}
    return [
        IndexLine(row["name"], MemoryType(row["type"]), row["description"])
        for row in found
        if row and row["type"] in kinds
    ]
