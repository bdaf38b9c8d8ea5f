"""What keys mean in the watch view: which question is shown, what is asked back, what is sent.

Pure: keys in, an action out. An answer is sent only once it was confirmed, and for exactly the
question that stood there.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

from cli.formatting import clean
from cli.hints import REVISABLE
from contracts.approvals import Approval, Choice

_LONGEST_LINE = 2_000
_PASTED = 4
"""As many keys in one moment were not typed: no pasted text is an answer."""
ESCAPE, ENTER, BACKSPACE, ERASE = "\x1b", "\r", "\x7f", "\x15"
LEFT, RIGHT, UP, DOWN = "\x1b[D", "\x1b[C", "\x1b[A", "\x1b[B"
_CHOICES = {"a": Choice.APPROVE, "r": Choice.REJECT, "e": Choice.REVISE}

HELP = (
    ("a", "approve what is asked"),
    ("A", "approve such calls from now on"),
    ("r", "reject it, with a reason"),
    ("e", "send it back with a line"),
    ("E", "send it back from your editor"),
    ("v", "see all of it (plan, diff, checks)"),
    ("n", "next question"),
    ("p", "previous question"),
    ("w", "why: all that is waited for"),
    ("d", "diff of the request so far"),
    ("q", "leave; the request goes on"),
    ("?", "close this help"),
)
"""The keys and what each does."""


class Mode(Enum):
    """What the next key is for."""

    CHOOSE = "choose"
    LINE = "line"
    CONFIRM = "confirm"
    HELP = "help"


@dataclass(frozen=True)
class Send:
    """Send an answer to this question, as it stood there."""

    choice: Choice
    approval: Approval
    reason: str = ""
    for_request: bool = False


@dataclass(frozen=True)
class ViewWhole:
    """Show the whole of this question."""

    approval: Approval


@dataclass(frozen=True)
class Edit:
    """Have the person write in an editor what is to be changed."""

    approval: Approval


class Key(Enum):
    """Actions that need nothing else."""

    WHY = "why"
    DIFF = "diff"
    LEAVE = "leave"


Action = Send | ViewWhole | Edit | Key


class AnswerPad:
    """The keys' state; `questions` is given anew with every snapshot.

    Attributes:
        message: what came of the last key, in words.
        mode: what the next key is for.
        text: what was typed so far of a line.
        choice: what is about to be sent.
        for_request: it also allows the question's rules for the rest of the request.
    """

    def __init__(self) -> None:
        self._questions: tuple[Approval, ...] = ()
        self._shown: Approval | None = None
        self._sent: Approval | None = None
        self.message = ""
        self.mode = Mode.CHOOSE
        self.text = ""
        self.choice: Choice | None = None
        self.for_request = False

    @property
    def shown(self) -> Approval | None:
        """The question that is shown; None while nothing waits."""
        return self._shown

    @property
    def place(self) -> tuple[int, int]:
        """Which of how many questions is shown, counted from 1."""
        if self._shown is None:
            return 0, len(self._questions)
        ids = [each.id for each in self._questions]
        return ids.index(self._shown.id) + 1, len(ids)

    def update(self, questions: Sequence[Approval]) -> None:
        """Take what waits now; an answer to what waits no longer, or has changed, is given up."""
        self._questions = tuple(questions)
        before = self._shown
        same = next((each for each in questions if before and each.id == before.id), None)
        self._shown = same or next(iter(questions), None)
        if before is None and self._shown is not None:
            self.message = ""
        answering = self.mode in (Mode.LINE, Mode.CONFIRM)
        if before is not None and (same is None or same.digest != before.digest):
            gone = "waits no longer" if same is None else "has changed"
            # What came of an answer given here is told by its receipt.
            if before != self._sent:
                self.message = f"{clean(before.id, 80)} {gone}"
            if answering:
                self.message += "; nothing was sent"
                self._choose()

    def press(self, keys: Sequence[str]) -> Action | None:
        """Take keys that came in one moment, and return what is to be done."""
        if self.mode is not Mode.LINE and len(keys) >= _PASTED:
            self.message = "pasted text is no answer: press one key"
            return None
        for key in keys:
            before = self.mode
            if action := self._pressed(key):
                return action
            if self.mode is Mode.CONFIRM and before is not Mode.CONFIRM:
                # Nobody has seen yet what is to be confirmed.
                break
        return None

    def _pressed(self, key: str) -> Action | None:
        if self.mode is Mode.LINE:
            self._line(key)
            return None
        self.message = ""
        match self.mode:
            case Mode.CONFIRM:
                return self._confirmed(key)
            case Mode.HELP:
                self._choose()
                return None if key in ("?", ESCAPE, ENTER) else self._chosen(key)
            case _:
                return self._chosen(key)

    def ask(self, choice: Choice, reason: str) -> None:
        """Ask whether an answer with this reason is to be sent."""
        self.choice, self.text, self.mode = choice, reason, Mode.CONFIRM

    def _choose(self) -> None:
        self.mode, self.choice, self.text = Mode.CHOOSE, None, ""
        self.for_request = False

    def _chosen(self, key: str) -> Action | None:
        match key:
            case "?" | "h":
                self.mode = Mode.HELP
            case "q":
                return Key.LEAVE
            case "w":
                return Key.WHY
            case "d":
                return Key.DIFF
            case "n" | "\t" | "p" | "\x1b[D" | "\x1b[C" | "\x1b[A" | "\x1b[B":
                self._move(-1 if key in ("p", LEFT, UP) else 1)
            case "a" | "A" | "r" | "e" | "E" | "v" | "\r" | "\n":
                return self._about_question(key)
        return None

    def _move(self, by: int) -> None:
        place, count = self.place
        if count > 1:
            self._shown = self._questions[(place - 1 + by) % count]
        else:
            self.message = "there is no other question" if count else "nothing waits for you"

    def _about_question(self, key: str) -> Action | None:
        asked = self._shown
        if asked is None:
            self.message = "nothing waits for you"
            return None
        if key in ("v", ENTER, "\n"):
            return ViewWhole(asked)
        if key in ("e", "E") and asked.kind not in REVISABLE:
            self.message = "this can be approved or rejected, not sent back"
            return None
        if key == "E":
            return Edit(asked)
        if key == "A" and not asked.rules:
            self.message = "this can be approved for this once alone: press a"
            return None
        choice, self.for_request = _CHOICES[key.lower()], key == "A"
        if choice is Choice.APPROVE:
            self.ask(choice, "")
        else:
            self.choice, self.text, self.mode = choice, "", Mode.LINE
        return None

    def _line(self, key: str) -> None:
        match key:
            case "\r" | "\n":
                self._line_ends()
            case "\x1b":
                self._choose()
                self.message = "nothing was sent"
            case "\x7f" | "\b":
                self.text = self.text[:-1]
            case "\x15":
                self.text = ""
            case _ if key.isprintable() and len(self.text) < _LONGEST_LINE:
                self.text += key

    def _line_ends(self) -> None:
        assert self.choice is not None  # noqa: S101 - a line is always for a choice
        if self.text.strip():
            self.ask(self.choice, self.text.strip())
        else:
            self._choose()
            self.message = "nothing was sent: it needs a word of yours"

    def _confirmed(self, key: str) -> Action | None:
        asked, choice, reason = self._shown, self.choice, self.text
        for_request = self.for_request
        self._choose()
        if key in ("y", "Y") and asked is not None and choice is not None:
            self.message, self._sent = "sending …", asked
            return Send(choice, asked, reason, for_request)
        self.message = "nothing was sent"
        return None
