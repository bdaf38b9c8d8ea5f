"""What one turn of an agent was, as far as a ledger keeps it, and what an output shows."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from contracts.handoff import PartKind
from domain.text import clip

_ENDING = re.compile(r"^\[((?:exit code|ended by signal|timed out|it )[^\n]*)\]$", re.MULTILINE)
_FAILING = re.compile(
    r"^(?:FAILED|ERROR) +(?P<pytest>\S+::\S+|\S+\.py)\b"
    r"|^ *--- FAIL: (?P<go>\S+)"
    r"|^test (?P<cargo>\S+) \.\.\. FAILED"
    r"|^not ok \d+ -? ?(?P<tap>[^\n]{1,200})"
    r"|^(?:FAIL|ERROR): (?P<unittest>\w+ \([\w.]+\))"
    r"|^ *(?:✕|✗|×) (?P<jest>[^\n]{1,200})",
    re.MULTILINE,
)
_FAILING_TESTS = 12
_TAIL_LINES = 12
_TAIL_CHARS = 1_000


@dataclass(frozen=True, slots=True)
class CallFact:
    """One tool call and what it came to.

    Attributes:
        at: handle of its result.
        text: of the result, of a long one its beginning and end.
        why: of a call that a person had to decide on, the rule's reason; "" of all others.
        approved: the person allowed it.
    """

    at: str
    tool: str
    subject: str
    text: str = ""
    failed: bool = False
    why: str = ""
    approved: bool = False


@dataclass(frozen=True, slots=True)
class TurnFact:
    """One turn.

    Attributes:
        at: its handle.
        told: what came with it, as kind and text.
        says: the words of its reply.
        model: that answered, as it named itself.
    """

    at: str
    told: tuple[tuple[str, str], ...] = ()
    calls: tuple[CallFact, ...] = ()
    says: str = ""
    model: str = ""


@dataclass(frozen=True, slots=True)
class FileFact:
    """A file that differs from what the work began on, or that was read.

    Attributes:
        digest: of its content.
        change: "added", "deleted" or "changed", with lines; "" of a file that was only read.
    """

    path: str
    digest: str = ""
    change: str = ""


@dataclass(frozen=True, slots=True)
class WindowFacts:
    """All that is recorded of a window that ends.

    Attributes:
        number: from 1.
        cause: why it ended, in words.
        changed: against what the work began on; None = not looked at.
        read: files of which the agent knows the content.
        note: what the agent noted, by field; empty when it noted nothing.
        spent: turns, cost and budget, in words.
        next_model: that goes on with the work, where it is another one; else "".
    """

    number: int
    turns: tuple[TurnFact, ...]
    cause: str = ""
    changed: tuple[FileFact, ...] | None = None
    read: tuple[FileFact, ...] = ()
    note: dict[str, tuple[str, ...]] = field(default_factory=dict)
    spent: str = ""
    next_model: str = ""


def parts_of(
    message: str, parts: tuple[tuple[str, int], ...], gap: str
) -> Iterator[tuple[str, str]]:
    """Yield the texts of which a message is made, each with its kind.

    `parts` has the kind and the length of each, `gap` is what stands between them. Without it the
    message is one text of the loop's own.
    """
    if not parts and message:
        yield PartKind.SYSTEM, message
    at = 0
    for kind, length in parts:
        if text := message[at : at + length]:
            yield kind, text
        at += length + len(gap)


def ending_of(output: str, *, failed: bool) -> str:
    """Return how a command ended, by the line that its output has for that."""
    found = _ENDING.findall(output)
    if found:
        return clip(found[-1], 120)
    return "failed" if failed else "ended"


def failing_tests(output: str) -> tuple[str, ...]:
    """Return the tests that an output names as failed, at most 12, each once."""
    names = (next(filter(None, found.groups())).strip() for found in _FAILING.finditer(output))
    return tuple(dict.fromkeys(clip(name, 200) for name in names))[:_FAILING_TESTS]


def tail(output: str) -> str:
    """Return the last lines of an output: where it says what went wrong."""
    lines = [line.rstrip() for line in output.strip().splitlines() if line.strip()]
    return "\n".join(lines[-_TAIL_LINES:])[-_TAIL_CHARS:]


def shortened(text: str, chars: int, mark: str) -> str:
    """Return a text of at most so many characters: its beginning, a mark, its end.

    `mark` is a format with the place `cut`, the number of characters that are left out.
    """
    if len(text) <= chars:
        return text
    note = mark.format(cut=f"{len(text) - chars:,}")
    room = max(chars - len(note), 2)
    head, end = text[: room * 2 // 3], text[-(room - room * 2 // 3) :]
    return f"{head}{note}{end}"
