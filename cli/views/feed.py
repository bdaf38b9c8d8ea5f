"""What agents say, call, get and hand in, one line each, and what they say just now."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from cli.feed import FeedKind, FeedLine
from cli.formatting import clean, name
from cli.views.log import begins
from contracts import roles
from domain.text import Redact, clip, for_people, shown
from infra.kept.turns import Called, LoggedTurn, UserBlock
from infra.live.entries import Part
from infra.live.reader import RunningReply

_LINE_CHARS = 1_000
_LOOKED_THROUGH = 20_000


FEED_MARKS: Mapping[FeedKind, str] = {
    FeedKind.BEGINS: "==",
    FeedKind.TOLD: "<<",
    FeedKind.SENT_BACK: "<<",
    FeedKind.OUTPUT: "<-",
    FeedKind.FAILED: "<!",
    FeedKind.SAYS: "  ",
    FeedKind.CALLS: "->",
    FeedKind.HANDS_IN: "=>",
    FeedKind.FINDING: "=>",
}
"""As `log` marks them."""


def feed_lines(turn: LoggedTurn, redact: Redact) -> list[FeedLine]:
    """Return the lines of one turn."""
    task = turn.agent.task
    who = f"{name(task)} {name(turn.agent.role)}".strip()
    return [FeedLine(task, who, kind, text) for kind, text in _parts(turn, redact)]


def _parts(turn: LoggedTurn, redact: Redact) -> Iterator[tuple[FeedKind, str]]:
    if turn.turn is None:
        goes_on = f"goes on from turn {turn.from_turn}" if turn.from_turn else ""
        yield FeedKind.BEGINS, goes_on or begins(turn.agent)
        return
    for told in turn.told:
        yield _told(told, redact, sent_back=turn.sent_back)
    if turn.says.strip():
        yield FeedKind.SAYS, shown(turn.says, _LINE_CHARS, redact)
    for call in turn.calls:
        if call.name != "finish" or call.problem:
            yield FeedKind.CALLS, _call(call, redact)
    yield from _handed_in(turn, redact)


def _told(told: UserBlock, redact: Redact, *, sent_back: bool) -> tuple[FeedKind, str]:
    if not told.call:
        kind = FeedKind.SENT_BACK if sent_back else FeedKind.TOLD
        return kind, shown(told.text, _LINE_CHARS, redact)
    kind = FeedKind.FAILED if told.is_error else FeedKind.OUTPUT
    return kind, f"{shown(told.call, 60, redact)}: {_last_line(told.text, redact)}"


def _last_line(text: str, redact: Redact) -> str:
    """Return the end of an output, where what it came to usually stands, and its length."""
    end = for_people(redact(text[-_LOOKED_THROUGH:]), _LOOKED_THROUGH)
    lines = [line.strip() for line in end.split("\n") if line.strip()]
    count = text.strip("\n").count("\n") + 1
    if not lines:
        return "nothing"
    last = clip(lines[-1], 200)
    return f"{last} ({count} lines)" if count > 1 else last


def _call(call: Called, redact: Redact) -> str:
    subject = shown(f"{call.name} {call.subject}", _LINE_CHARS, redact)
    return f"{subject} (not run: {shown(call.problem, 300, redact)})" if call.problem else subject


def _handed_in(turn: LoggedTurn, redact: Redact) -> Iterator[tuple[FeedKind, str]]:
    given = turn.handed_in
    if given is None:
        return
    words = f"{_verdict(turn.agent.role, given)}: {given.get('summary', '')}"
    yield FeedKind.HANDS_IN, shown(words, _LINE_CHARS, redact)
    for each in _mappings(given.get("findings")):
        place = ":".join(str(each[key]) for key in ("path", "line") if each.get(key))
        finding = f"[P{each.get('priority')}] {place} {each.get('title', '')}"
        yield FeedKind.FINDING, shown(finding, _LINE_CHARS, redact)


def _verdict(role: str, given: Mapping[str, Any]) -> str:
    if role == roles.REVIEWER:
        return clean(str(given.get("verdict", "")), 40)
    if role == roles.PLANNER:
        return "a plan"
    return "blocked" if given.get("blocked") else "its work"


def _mappings(value: object) -> Sequence[Mapping[str, Any]]:
    found = value if isinstance(value, Sequence) and not isinstance(value, str) else ()
    return [each for each in found if isinstance(each, Mapping)]


def reply_title(reply: RunningReply) -> str:
    """Return who is replying and how much has come, in words."""
    about = reply.about
    who = about.role if about.task == about.role else f"{about.task} {about.role}"
    again = ""
    if about.again:
        again = f", began again ({about.again}x)" if about.again > 1 else ", began again"
    came = f"{reply.chars:,} characters" if reply.chars else "waits for the first word"
    return f"{who} turn {about.turn}{again}: {came}, {reply.seconds:.0f} s"


def reply_text(reply: RunningReply) -> str:
    """Return the end of what a running reply has come to, as text."""
    return "".join(_shown_part(part, text) for part, text in reply.parts).strip("\n")


def _shown_part(part: Part, text: str) -> str:
    match part:
        case Part.CALLS:
            return f"\n-> {text} "
        case Part.INPUT:
            # Arguments come as JSON: their line ends are readable, their escapes are not.
            return text.replace("\\n", "\n").replace('\\"', '"').replace("\\t", "\t")
        case Part.THINKS:
            return f"\n(thinks) {text}"
        case Part.SAYS:
            return f"\n{text}"
