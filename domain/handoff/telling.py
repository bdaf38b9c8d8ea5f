"""A ledger in words, bounded however long the work was; what is cut has a handle.

Each part has a length of its own. Where the lines of a part are longer, the newest stay whole,
older ones keep their beginning, and of the oldest it is said how many there are.
"""

from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType

from contracts.handoff import HandoffCause
from contracts.review import Finding, ReviewFinish
from domain.handoff.facts import CallFact, shortened
from domain.handoff.ledger import Command, Failure, File, Ledger, Line

LEDGER = "Ledger of your work so far, kept by the system"
NOTE = "Your own note at the end of the last window"
SUMMARY = "Summary of the last window, made by the model's service"
RESULTS = "The most recent results"
OF_AUTHOR = "Ledger of its author's work, kept by the system"
OF_ATTEMPT = "Ledger of the attempt before, kept by the system"
OF_REVIEW = "Ledger of the last review of this work, kept by the system"

_LENGTHS: Mapping[str, int] = MappingProxyType(
    {
        "words": 8_000,
        "sent_back": 6_000,
        "decisions": 5_000,
        "commands": 5_000,
        "changed": 3_000,
        "failures": 2_500,
        "tried": 2_500,
        "read": 1_500,
        "approvals": 1_500,
        "questions": 1_500,
        "windows": 800,
        "models": 600,
    }
)
"""Characters of each part."""
MOST_CHARS = sum(_LENGTHS.values()) + 3_000
"""No told ledger is longer: the parts, and their headings."""
_OLD_CHARS = 240
_COUNT_CHARS = 80
_WHOLE_SHARE = 0.8
_SHARE_OF_OTHERS = 0.5
_NOTE_CHARS = 6_000
_REVIEW_CHARS = 6_000
_WORDS_CHARS = 2_000
_RESULTS, _RESULT_CHARS, _RESULTS_CHARS = 8, 3_000, 10_000
_CUT = "\n[… {{cut}} characters are left out here: history_read {at}]\n"

BEGIN = (
    "You go on with your own work in a fresh window, because {cause}. Above is what you were told "
    "when you began. Your files are as you left them. The ledger below was written by the system "
    "from what was recorded; [w1.t14] names a turn of yours, which `history_read` shows whole and "
    "`history_search` finds. Do not begin again: go on with the next step, and look at a file "
    "before you change it."
)
STUCK = (
    "In the last window you went in circles. Do not repeat what the ledger has as failed: take "
    "another way, or finish and say what is in the way."
)


def begin(cause: HandoffCause) -> str:
    """Return what a fresh window is told of itself."""
    said = BEGIN.format(cause=_REASONS[cause])
    return f"{said}\n{STUCK}" if cause is HandoffCause.STUCK else said


_REASONS: Mapping[HandoffCause, str] = MappingProxyType(
    {
        HandoffCause.FULL: "the last one was nearly full",
        HandoffCause.OVERFLOW: "the last one was full",
        HandoffCause.STUCK: "in the last one nothing came forward any more",
        HandoffCause.ASKED: "you asked for it",
    }
)


def told(ledger: Ledger, *, own: bool = True) -> str:
    """Return a ledger as text, at most MOST_CHARS long; "" of an empty one.

    `own`: it is told to the agent whose work it is; another one is told half of it at most.
    """
    share = 1.0 if own else _SHARE_OF_OTHERS
    parts = (
        ("The person's words, told meanwhile", "words", _lines(ledger.words)),
        ("Why the work was sent back", "sent_back", _lines(ledger.sent_back)),
        ("Decisions of a person about calls", "approvals", _lines(ledger.approvals)),
        ("Decisions noted", "decisions", _lines(ledger.decisions)),
        ("Files that differ from the base", "changed", _files(ledger.changed)),
        ("Files read, with the digest of what was read", "read", _files(ledger.read)),
        ("Commands, as each ended last", "commands", _commands(ledger.commands)),
        ("Calls that failed, and why", "failures", _failures(ledger.failures)),
        ("Tried without success, as noted", "tried", _lines(ledger.tried)),
        ("Open questions, as noted", "questions", [("", each) for each in ledger.questions]),
        ("Windows before this one" if own else "Windows", "windows", _lines(ledger.windows)),
        ("Other models went on with the work", "models", _lines(ledger.models)),
    )
    sections = [
        f"{heading}:\n{body}"
        for heading, name, rows in parts
        if (body := fitted(rows, int(_LENGTHS[name] * share), ledger.more.get(name, 0), own=own))
    ]
    if ledger.failing:
        failing = fitted([("", test) for test in ledger.failing], 1_000, own=own)
        sections.append(f"Tests that failed when they were run last:\n{failing}")
    if not sections:
        return ""
    spent = f"Spent so far: {ledger.spent}." if ledger.spent else ""
    return "\n\n".join(filter(None, [spent, *sections]))


def fitted(rows: Sequence[tuple[str, str]], chars: int, more: int = 0, *, own: bool = True) -> str:
    """Return rows of a handle and a text, oldest first, in at most so many characters.

    The newest stay whole as far as there is room; `more` counts those that are not among the rows.
    """
    kept: list[str] = []
    room = chars - _COUNT_CHARS
    used, whole = 0, int(room * _WHOLE_SHARE)
    for place, (at, text) in enumerate(reversed(rows)):
        line = _row(at, text)
        if used + len(line) > whole:
            size = _OLD_CHARS if place else max(whole - len(at), _OLD_CHARS)
            line = _row(at, shortened(text, size, _mark(at, own=own)))
        if used + len(line) + 1 > room:
            more += len(rows) - place
            break
        kept.insert(0, line)
        used += len(line) + 1
    if more:
        where = "; history_search finds them" if own else ""
        kept.insert(0, f"- {more} earlier ones are left out{where}")
    return "\n".join(kept)


def _row(at: str, text: str) -> str:
    return f"- [{at}] {text}" if at else f"- {text}"


def _mark(at: str, *, own: bool) -> str:
    return _CUT.format(at=at) if own and at else "\n[… {cut} characters are left out here]\n"


def _lines(lines: Iterable[Line]) -> list[tuple[str, str]]:
    return [(line.at, line.text) for line in lines]


def _files(files: Iterable[File]) -> list[tuple[str, str]]:
    # The first ones stay: they are in order of their names, not of time.
    rows = [("", " ".join(filter(None, (f.path, f.digest[:12], f.change)))) for f in files]
    return rows[::-1]


def _commands(commands: Iterable[Command]) -> list[tuple[str, str]]:
    return [(each.at, _command(each)) for each in commands]


def _command(run: Command) -> str:
    often = f", {run.failed_runs} of {run.runs} runs failed" if run.failed_runs else ""
    said = f"`{shortened(run.command, 400, ' … ')}`: {run.ending}{often}"
    return f"{said}\n{run.tail}" if run.tail else said


def _failures(failures: Iterable[Failure]) -> list[tuple[str, str]]:
    times = {True: "", False: " ({} times)"}
    return [
        (each.at, f"{each.call}: {each.why}{times[each.times == 1].format(each.times)}")
        for each in failures
    ]


def attempt(ledger: Ledger, *, says: str, model: str) -> str:
    """Return the ledger of an attempt as the next one is told it.

    `says` are the last words of its agent; `model` is that of the next one, "" where it is the
    same.
    """
    words = shortened(says.strip(), _WORDS_CHARS, "\n[… {cut} characters are left out]\n")
    other = ledger.model and model
    parts = [
        f"It was made by {ledger.model}; you are {model}." if other else "",
        told(ledger),
        f"Its last words:\n{words}" if words else "",
    ]
    return "\n\n".join(filter(None, parts))


def review(finish: ReviewFinish | None, ledger: Ledger) -> str:
    """Return the ledger of a review as the author of the work is told it.

    What it found, then what its reviewer read and ran; `finish` is None of one that was cut.
    """
    if finish is None:
        found = "It was cut before it came to a verdict."
    else:
        lines = [_finding(each) for each in finish.findings]
        found = "\n".join([f"Verdict: {finish.verdict}. {finish.summary}", *lines])
    found = shortened(found, _REVIEW_CHARS, "\n[… {cut} characters are left out]\n")
    return "\n\n".join(filter(None, [found, told(ledger, own=False)]))


def _finding(finding: Finding) -> str:
    place = ":".join(str(part) for part in (finding.path, finding.line) if part)
    said = f"P{finding.priority} {place} {finding.title}".replace("  ", " ")
    return f"- {said}: {finding.detail}" if finding.detail else f"- {said}"


def tried(ledger: Ledger) -> str:
    """Return for a person what an agent has tried and what failed; "" of an empty ledger."""
    parts = (
        ("Commands, as each ended last", _commands(ledger.commands), 1_000),
        ("Calls that failed, and why", _failures(ledger.failures), 800),
        ("Tried without success, as noted", _lines(ledger.tried), 800),
    )
    return "\n".join(
        f"{heading}:\n{body}"
        for heading, rows, chars in parts
        if (body := fitted(rows, chars, own=False))
    )


def note(fields: Mapping[str, tuple[str, ...]]) -> str:
    """Return an agent's note as text, "" of none."""
    parts = []
    for name, lines in fields.items():
        if lines:
            body = lines[0] if name == "state" else "\n".join(f"- {line}" for line in lines)
            parts.append(f"{name.capitalize()}:\n{body}")
    return shortened("\n\n".join(parts), _NOTE_CHARS, "\n[… {cut} characters are left out]\n")


def summary(text: str) -> str:
    """Return what the model's service made of a window, at most as long as a note."""
    return shortened(text.strip(), _NOTE_CHARS, "\n[… {cut} characters are left out]\n")


def results(calls: Sequence[CallFact]) -> str:
    """Return what the last calls of a window came to, the newest whole as far as there is room."""
    kept: list[str] = []
    left = _RESULTS_CHARS
    for call in reversed(calls[-_RESULTS:]):
        failed = ", which failed" if call.failed else ""
        head = f"[{call.at}] {call.tool} {shortened(call.subject, 200, ' … ')}{failed}:"
        text = shortened(call.text, min(_RESULT_CHARS, left), _CUT.format(at=call.at))
        left -= len(head) + len(text) + 2
        if left < _OLD_CHARS and kept:
            break
        kept.insert(0, f"{head}\n{text}")
    return "\n\n".join(kept)
