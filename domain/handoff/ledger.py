"""The ledger of an agent's work: kept by the system from recorded facts, never by the model.

Each window adds what it recorded. What is condensed is condensed by rule: what must be kept (the
person's words, decisions, why work was sent back) stays whole; of commands, failed calls and files
the newest stay, and it is counted how many do not.
"""

from collections.abc import Iterable, Mapping, Sequence

from pydantic import Field

from contracts.base import Contract
from contracts.handoff import PartKind
from domain.handoff import facts
from domain.handoff.facts import CallFact, FileFact, TurnFact, WindowFacts
from domain.text import clip, one_line

_COMMANDS, _FAILURES, _READ, _CHANGED, _LINES = 60, 40, 150, 300, 400
_MODELS = 20
_SENT_BACK_WHOLE, _SENT_BACK_CHARS = 6, 400
_LINE_CHARS = 600


class Line(Contract):
    """A text and the handle of the turn that it comes from."""

    at: str
    text: str


class Command(Contract):
    """A command line that was run, as it ended last.

    Attributes:
        ending: "exit code 1", in words.
        runs, failed_runs: so far.
        failing: tests that its output names as failed.
        tail: the end of its output, when it failed.
    """

    at: str
    command: str
    ending: str
    failed: bool = False
    runs: int = 1
    failed_runs: int = 0
    failing: tuple[str, ...] = ()
    tail: str = ""


class Failure(Contract):
    """A call that came to nothing, and why; `times` in the same way."""

    at: str
    call: str
    why: str
    times: int = 1


class File(Contract):
    """A file with the digest of its content, and how it differs from the base."""

    path: str
    digest: str = ""
    change: str = ""


class Ledger(Contract):
    """What is known of an agent's work.

    Attributes:
        windows: why each window ended.
        words: of the person, whole.
        sent_back: why its work came back, whole; of old ones the beginning.
        approvals: what a person allowed or denied.
        decisions, tried: as the agent noted them at the end of a window.
        questions: open ones, as it noted them last.
        changed: files against what the work began on.
        read: files of which it knows the content.
        model: that answered last, as it named itself.
        models: where another model went on with the work: from which to which.
        more: how many facts of a kind are not here any more.
        spent: turns and money, in words.
    """

    turns: int = 0
    windows: tuple[Line, ...] = ()
    words: tuple[Line, ...] = ()
    sent_back: tuple[Line, ...] = ()
    approvals: tuple[Line, ...] = ()
    decisions: tuple[Line, ...] = ()
    tried: tuple[Line, ...] = ()
    questions: tuple[str, ...] = ()
    commands: tuple[Command, ...] = ()
    failures: tuple[Failure, ...] = ()
    changed: tuple[File, ...] = ()
    read: tuple[File, ...] = ()
    model: str = ""
    models: tuple[Line, ...] = ()
    more: Mapping[str, int] = Field(default_factory=dict)
    spent: str = ""

    @property
    def failing(self) -> tuple[str, ...]:
        """The tests that failed when their command was run last."""
        return tuple(dict.fromkeys(test for each in self.commands for test in each.failing))


def updated(ledger: Ledger, window: WindowFacts) -> Ledger:
    """Return the ledger after a window, or after the part of one that is there so far."""
    name = f"w{window.number}"
    for turn in window.turns:
        ledger = _after_turn(ledger, turn)
    note = window.note
    fields: dict[str, object] = {
        "decisions": _added(ledger.decisions, name, note.get("decisions", ())),
        "tried": _added(ledger.tried, name, note.get("tried", ())),
        "spent": window.spent or ledger.spent,
    }
    if window.cause:
        ended = Line(at=name, text=clip(window.cause, _LINE_CHARS))
        fields["windows"] = (*ledger.windows, ended)[-_LINES:]
    if note:
        fields["questions"] = tuple(clip(each, _LINE_CHARS) for each in note.get("questions", ()))
    if window.changed is not None:
        fields["changed"] = _files(window.changed)
    if window.read:
        fields["read"] = _files(window.read)
    if window.next_model:
        fields.update(_changed_to(ledger, name, window.next_model, answers=False))
    return _bounded(ledger.model_copy(update=fields))


def _after_turn(ledger: Ledger, turn: TurnFact) -> Ledger:
    words = tuple(text for kind, text in turn.told if kind == PartKind.PERSON)
    sent_back = tuple(text for kind, text in turn.told if kind == PartKind.FEEDBACK)
    commands, failures, approvals = ledger.commands, ledger.failures, ledger.approvals
    for call in turn.calls:
        if call.why:
            approvals = (*approvals, _decided(call))
        if call.tool == "run_command":
            commands = _ran(commands, call)
        elif call.failed and not call.why:
            failures = _failed(failures, call)
    return ledger.model_copy(
        update={
            "turns": ledger.turns + 1,
            "words": (*ledger.words, *_lines(turn.at, words)),
            "sent_back": (*ledger.sent_back, *_lines(turn.at, sent_back)),
            "commands": commands,
            "failures": failures,
            "approvals": approvals,
            **_changed_to(ledger, turn.at, turn.model),
        }
    )


def _changed_to(ledger: Ledger, at: str, model: str, *, answers: bool = True) -> dict[str, object]:
    """Return what a ledger has of its models after another one, or the same, goes on.

    `answers`: it has answered; else it is only asked from now on, by a name that may be another
    than it gives itself.
    """
    if not model or model == ledger.model:
        return {}
    change = Line(at=at, text=f"from {ledger.model} to {model}")
    models = (*ledger.models, change)[-_MODELS:] if ledger.model else ledger.models
    return {"model": model if answers else "", "models": models}


def _lines(at: str, texts: Iterable[str]) -> tuple[Line, ...]:
    return tuple(Line(at=at, text=text) for text in texts)


def _decided(call: CallFact) -> Line:
    what = "approved" if call.approved else "denied"
    said = "" if call.approved else f": {one_line(call.text, 300)}"
    return Line(at=call.at, text=clip(f"{what} {call.tool} {call.subject}{said}", _LINE_CHARS))


def _ran(commands: Sequence[Command], call: CallFact) -> tuple[Command, ...]:
    """Return the commands after one was run: the newest run of each line counts, last in order."""
    line = call.subject
    before = next((each for each in commands if each.command == line), None)
    now = Command(
        at=call.at,
        command=line,
        ending=facts.ending_of(call.text, failed=call.failed),
        failed=call.failed,
        runs=(before.runs if before else 0) + 1,
        failed_runs=(before.failed_runs if before else 0) + call.failed,
        failing=facts.failing_tests(call.text) if call.failed else (),
        tail=facts.tail(call.text) if call.failed else "",
    )
    return (*(each for each in commands if each.command != line), now)


def _failed(failures: Sequence[Failure], call: CallFact) -> tuple[Failure, ...]:
    name = clip(f"{call.tool} {call.subject}".strip(), 200)
    why = one_line(call.text, 300)
    same = next((each for each in failures if (each.call, each.why) == (name, why)), None)
    now = Failure(at=call.at, call=name, why=why, times=(same.times if same else 0) + 1)
    return (*(each for each in failures if each is not same), now)


def _added(lines: tuple[Line, ...], at: str, texts: Iterable[str]) -> tuple[Line, ...]:
    """Return lines with those that are new; what was noted before keeps its place."""
    known = {line.text for line in lines}
    new = dict.fromkeys(clip(text.strip(), _LINE_CHARS) for text in texts if text.strip())
    return (*lines, *_lines(at, (text for text in new if text not in known)))


def _files(files: Iterable[FileFact]) -> tuple[File, ...]:
    return tuple(File(path=each.path, digest=each.digest, change=each.change) for each in files)


def _bounded(ledger: Ledger) -> Ledger:
    """Return the ledger with the newest of what grows with the turns, and a count of the rest."""
    kept: dict[str, object] = {
        "commands": _commands(ledger.commands),
        "failures": ledger.failures[-_FAILURES:],
        "approvals": ledger.approvals[-_LINES:],
        "decisions": ledger.decisions[-_LINES:],
        "tried": ledger.tried[-_LINES:],
        "sent_back": _oldest_shortened(ledger.sent_back),
        "changed": ledger.changed[:_CHANGED],
        "read": ledger.read[:_READ],
    }
    more = dict(ledger.more)
    for name in ("commands", "failures", "approvals", "decisions", "tried"):
        gone = len(getattr(ledger, name)) - len(kept[name])  # type: ignore[arg-type]
        if gone:
            more[name] = more.get(name, 0) + gone
    for name in ("changed", "read"):  # these are told whole each time
        more.pop(name, None)
        if gone := len(getattr(ledger, name)) - len(kept[name]):  # type: ignore[arg-type]
            more[name] = gone
    return ledger.model_copy(update={**kept, "more": more})


def _commands(commands: Sequence[Command]) -> tuple[Command, ...]:
    """Return at most 60 commands: those that fail before those that pass, the newest of each."""
    if len(commands) <= _COMMANDS:
        return tuple(commands)
    order = sorted(range(len(commands)), key=lambda place: (commands[place].failed, place))
    keep = set(order[-_COMMANDS:])
    return tuple(each for place, each in enumerate(commands) if place in keep)


def _oldest_shortened(lines: Sequence[Line]) -> tuple[Line, ...]:
    old, new = lines[:-_SENT_BACK_WHOLE], lines[-_SENT_BACK_WHOLE:]
    cut = (line.model_copy(update={"text": clip(line.text, _SENT_BACK_CHARS)}) for line in old)
    return (*tuple(cut)[-_LINES:], *new)
