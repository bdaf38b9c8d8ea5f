"""The ledger: what is recorded of an agent's work, and what stays of it."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.handoff import HandoffCause, HandoffNote
from contracts.review import ReviewFinish
from domain.handoff import telling
from domain.handoff.facts import (
    CallFact,
    FileFact,
    TurnFact,
    WindowFacts,
    ending_of,
    failing_tests,
    parts_of,
    shortened,
    tail,
)
from domain.handoff.handles import Handle, parsed
from domain.handoff.ledger import Ledger, updated

PYTEST = "..F\nFAILED tests/test_a.py::test_one - AssertionError\n1 failed\n[exit code 1]"


def ran(
    number: int, command: str, text: str = "[exit code 0]", *, failed: bool = False
) -> CallFact:
    """A command of a turn."""
    at = str(Handle(1, number, 1))
    return CallFact(at, "run_command", command, text, failed=failed)


def turn(number: int, *calls: CallFact, told: Sequence[tuple[str, str]] = ()) -> TurnFact:
    """A turn of the first window."""
    return TurnFact(str(Handle(1, number)), told=tuple(told), calls=calls)


def window(*turns: TurnFact, number: int = 1, **fields: object) -> WindowFacts:
    """What a window recorded."""
    return WindowFacts(number, turns, **fields)  # type: ignore[arg-type]


def test_a_command_counts_as_it_ended_last() -> None:
    """A test that is green again is green, and it is known how often it was red."""
    red = turn(1, ran(1, "pytest", PYTEST, failed=True))
    green = turn(2, ran(2, "pytest"))
    before = updated(Ledger(), window(red))
    after = updated(before, window(green))

    assert before.failing == ("tests/test_a.py::test_one",)
    (run,) = after.commands
    assert (run.ending, run.failed, run.runs, run.failed_runs) == ("exit code 0", False, 2, 1)
    assert after.failing == ()


def test_words_of_the_person_and_why_work_came_back_are_told_apart() -> None:
    """What the loop itself says is kept as neither."""
    told = (("person", "Mind the tabs."), ("feedback", "P1: zero."), ("system", "Go on."))
    ledger = updated(Ledger(), window(turn(3, told=told)))

    assert [(line.at, line.text) for line in ledger.words] == [("w1.t3", "Mind the tabs.")]
    assert [line.text for line in ledger.sent_back] == ["P1: zero."]


def test_a_persons_decisions_about_calls_are_kept_with_their_reason() -> None:
    """Approved or denied, and why it was denied."""
    yes = CallFact("w1.t1.r1", "edit", "ci.yml", "done", why="a protected path", approved=True)
    no = CallFact("w1.t2.r1", "edit", "k.pem", "Denied: not that one", failed=True, why="a key")
    ledger = updated(Ledger(), window(turn(1, yes), turn(2, no)))

    assert [line.text for line in ledger.approvals] == [
        "approved edit ci.yml",
        "denied edit k.pem: Denied: not that one",
    ]
    assert ledger.failures == ()


def test_the_same_failure_is_counted_and_another_reason_is_another_one() -> None:
    """Attempts, and why each failed."""
    edit = CallFact("w1.t1.r1", "edit", "a.py", "old_str is not in it", failed=True)
    other = CallFact("w1.t3.r1", "edit", "a.py", "old_str is there twice", failed=True)
    ledger = updated(Ledger(), window(turn(1, edit), turn(2, edit), turn(3, other)))

    assert [(each.why, each.times) for each in ledger.failures] == [
        ("old_str is not in it", 2),
        ("old_str is there twice", 1),
    ]


def test_notes_of_several_windows_add_up_once_each() -> None:
    """What was decided stays decided; open questions are those of the last note."""
    first = {"decisions": ("Keep it.",), "tried": ("X fails.",), "questions": ("Why?",)}
    second = {"decisions": ("Keep it.", "Drop y."), "questions": ("When?",)}
    ledger = updated(Ledger(), window(note=first, cause="full"))
    ledger = updated(ledger, window(number=2, note=second, cause="full"))
    ledger = updated(ledger, window(number=3, cause="full"))

    assert [(line.at, line.text) for line in ledger.decisions] == [
        ("w1", "Keep it."),
        ("w2", "Drop y."),
    ]
    assert ([line.text for line in ledger.tried], ledger.questions) == (["X fails."], ("When?",))
    assert [line.at for line in ledger.windows] == ["w1", "w2", "w3"]


def test_files_are_those_of_the_last_look() -> None:
    """A file that is as it was is none that differs."""
    ledger = updated(Ledger(), window(changed=(FileFact("a.py", "12", "changed +1 -1"),)))
    same = updated(ledger, window())
    none = updated(ledger, window(changed=()))

    assert [each.path for each in same.changed] == ["a.py"]
    assert none.changed == ()


@given(
    words=st.lists(st.text(min_size=1, max_size=300), max_size=30),
    decisions=st.lists(st.text("abc ", min_size=1, max_size=500), max_size=30),
    turns=st.integers(1, 300),
)
def test_nothing_that_must_be_kept_is_lost_however_long_the_work(
    words: list[str], decisions: list[str], turns: int
) -> None:
    """Of thousands of calls the newest stay, and every word of the person does; told, it stays
    within its length.
    """
    made: list[TurnFact] = []
    for number in range(1, turns + 1):
        told = [("person", words[number - 1])] if number <= len(words) else []
        call = ran(number, f"make {number}", f"{number}\n[exit code 1]", failed=True)
        broken = CallFact(call.at, "edit", f"{number}.py", "no", failed=True)
        made.append(turn(number, call, broken, told=told))
    ledger = updated(Ledger(), window(*made, note={"decisions": tuple(decisions)}))

    assert [line.text for line in ledger.words] == words[:turns]
    kept = {line.text for line in ledger.decisions}
    assert kept == {text.strip() for text in decisions if text.strip()}
    assert len(ledger.commands) + ledger.more.get("commands", 0) == turns
    assert len(ledger.failures) + ledger.more.get("failures", 0) == turns
    assert ledger.commands[-1].command == f"make {turns}"
    assert len(telling.told(ledger)) <= telling.MOST_CHARS


def test_what_fails_stays_longer_than_what_passes() -> None:
    """A red command is not pushed out by green ones."""
    red = turn(1, ran(1, "red", PYTEST, failed=True))
    green = [turn(number, ran(number, f"green {number}")) for number in range(2, 200)]
    ledger = updated(Ledger(), window(red, *green))

    assert ledger.commands[0].command == "red"
    assert "`red`: exit code 1" in telling.told(ledger)


def test_a_told_ledger_has_the_handles_of_what_is_cut() -> None:
    """What is too long to be told whole names where it is whole."""
    told = [("person", "begin " + "x" * 20_000 + " end")]
    ledger = updated(Ledger(), window(turn(7, told=told)))
    text = telling.told(ledger)

    assert "history_read w1.t7]" in text
    assert ("begin x" in text, "x end" in text) == (True, True)
    assert "history_read" not in telling.told(ledger, own=False)


def test_of_many_lines_the_newest_are_whole_and_the_rest_counted() -> None:
    """Older lines keep their beginning, the oldest are counted."""
    rows = [(f"w1.t{number}", f"line {number} " + "y" * 400) for number in range(100)]
    text = telling.fitted(rows, 5_000)

    assert len(text) <= 5_000
    assert rows[-1][1] in text
    assert "line 90 " in text
    lines = [line for line in text.splitlines() if line.startswith("- [")]
    assert text.startswith(f"- {100 - len(lines)} earlier ones are left out; history_search")


def test_a_fresh_window_is_told_why_it_began() -> None:
    """Of one after a circle that it was one."""
    assert "nearly full" in telling.begin(HandoffCause.FULL)
    assert telling.STUCK in telling.begin(HandoffCause.STUCK)
    assert telling.STUCK not in telling.begin(HandoffCause.ASKED)


def test_the_last_results_are_told_newest_whole() -> None:
    """A long one keeps its beginning and end, with its handle."""
    long = CallFact("w1.t8.r1", "run_command", "make", "first " + "z" * 9_000 + " last")
    short = CallFact("w1.t9.r1", "view", "a.py", "1: x = 1", failed=True)
    text = telling.results([long, short])

    assert text.endswith("[w1.t9.r1] view a.py, which failed:\n1: x = 1")
    assert "history_read w1.t8.r1]" in text
    assert ("first z" in text, "z last" in text) == (True, True)


def test_another_model_is_noted_at_its_first_turn() -> None:
    """Within a window and over its end; the model of the first turn is no change."""
    turns = [TurnFact(f"w1.t{n}", model=name) for n, name in enumerate(["a", "a", "b", "b"], 1)]
    ledger = updated(Ledger(), window(*turns, next_model="c"))
    ledger = updated(ledger, window(TurnFact("w2.t1", model="c-20261101"), number=2))

    assert [(line.at, line.text) for line in ledger.models] == [
        ("w1.t3", "from a to b"),
        ("w1", "from b to c"),
    ]
    assert ledger.model == "c-20261101"


@pytest.mark.parametrize("findings", [0, 8])
def test_a_review_is_told_within_its_length(findings: int) -> None:
    """Its verdict always, and that a reviewer was cut."""
    found = {"priority": 1, "title": "t" * 200, "detail": "d" * 1_500}
    finish = ReviewFinish.model_validate(
        {"verdict": "revise", "summary": "s" * 2_000, "findings": [found] * findings}
    )
    text = telling.review(finish, Ledger())

    assert text.startswith("Verdict: revise. sss")
    assert len(text) <= 6_000
    assert "cut before" in telling.review(None, Ledger())


def test_a_note_that_is_too_long_is_cut_not_refused() -> None:
    """The agent is asked for it once: what it writes counts, as far as there is room."""
    note = HandoffNote.model_validate(
        {"state": "s" * 9_000, "decisions": ["d" * 900] * 20, "next": "one line"}
    )

    assert (len(note.state), len(note.decisions), len(note.decisions[0])) == (2_000, 8, 400)
    assert note.next == ("one line",)
    fields = {"state": (note.state,), "decisions": note.decisions * 9}
    assert len(telling.note(fields)) <= 6_000


@pytest.mark.parametrize(
    ("output", "names"),
    [
        (PYTEST, ("tests/test_a.py::test_one",)),
        ("ERROR tests/test_b.py - boom", ("tests/test_b.py",)),
        ("--- FAIL: TestSum (0.00s)", ("TestSum",)),
        ("test parser::zero ... FAILED", ("parser::zero",)),
        ("not ok 3 - adds", ("adds",)),
        ("FAIL: test_x (tests.T)", ("test_x (tests.T)",)),
        ("  ✕ adds two (3 ms)", ("adds two (3 ms)",)),
        ("all good", ()),
    ],
)
def test_failed_tests_are_named(output: str, names: tuple[str, ...]) -> None:
    """As each runner writes them."""
    assert failing_tests(output) == names


@pytest.mark.parametrize(
    ("output", "failed", "ending"),
    [
        ("x\n[exit code 3]\n[left out: y]", True, "exit code 3"),
        ("x\n[ended by signal 9]", True, "ended by signal 9"),
        ("x", True, "failed"),
        ("x", False, "ended"),
    ],
)
def test_how_a_command_ended_is_read_from_its_output(
    output: str, *, failed: bool, ending: str
) -> None:
    """By the line that the system writes below it."""
    assert ending_of(output, failed=failed) == ending


@given(st.text(min_size=1), st.integers(100, 400))
def test_a_shortened_text_has_its_length_and_both_its_ends(text: str, chars: int) -> None:
    """Short ones stay as they are."""
    long = text * 100
    short = shortened(long, chars, "[{cut}]")

    assert len(short) <= chars
    assert (short[:20], short[-20:]) == (long[:20], long[-20:])


@given(st.lists(st.text(min_size=1, max_size=50), max_size=8))
def test_a_message_is_taken_apart_as_it_was_put_together(texts: list[str]) -> None:
    """Whatever stands in its texts."""
    parts = tuple(("person", len(text)) for text in texts)

    assert [text for _, text in parts_of("\n\n".join(texts), parts, "\n\n")] == texts


def test_a_message_without_parts_is_the_systems() -> None:
    """As those of conversations from before 2026-12 are."""
    assert list(parts_of("Go on.", (), "\n\n")) == [("system", "Go on.")]


@given(st.integers(1, 999), st.integers(0, 9_999), st.integers(0, 99), st.integers(0, 9))
def test_a_handle_is_read_as_it_is_written(number: int, turn: int, result: int, at: int) -> None:
    """Also in the brackets in which it stands."""
    handle = Handle(number, turn, result, at)

    assert parsed(f" [{handle}] ") == handle


@pytest.mark.parametrize("text", ["", "t3", "w", "w1.r2", "w1.t2.r3.x", "1.2"])
def test_what_is_no_handle_is_none(text: str) -> None:
    """A model gets an error for it, not another turn."""
    assert parsed(text) is None


def test_the_tail_of_an_output_is_where_it_says_what_went_wrong() -> None:
    """Its last lines, without empty ones."""
    assert tail("\n".join(map(str, range(50))) + "\n\n") == "\n".join(map(str, range(38, 50)))


@given(texts=st.lists(st.text(max_size=3_000), max_size=30), failed=st.booleans())
def test_what_was_tried_is_told_to_a_person_in_bounds(*, texts: list[str], failed: bool) -> None:
    """Commands and failed calls, the newest whole as far as there is room; nothing of nothing."""
    calls = [
        ran(number, f"c{number} {text}", text, failed=failed)
        for number, text in enumerate(texts, 1)
    ]
    ledger = updated(
        Ledger(), window(*(turn(number, each) for number, each in enumerate(calls, 1)))
    )
    told = telling.tried(ledger)

    assert len(told) <= 2_900
    assert bool(told) == bool(texts)
    assert not texts or f"`c{len(texts)} " in told
