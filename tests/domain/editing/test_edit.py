"""What an edit makes of a file: what changes, what stays, what is refused and in which words."""

import re
from itertools import pairwise

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from domain.approvals.paths import path_problem
from domain.editing.document import decode, universal
from domain.editing.edit import (
    EDIT_LIMIT_BYTES,
    VIEW_LIMIT_BYTES,
    VIEW_LIMIT_LINES,
    Edited,
    Outcome,
    Refused,
    Viewed,
    create,
    digest,
    insert,
    str_replace,
    view,
)
from domain.editing.syntax import new_problems

ENDS = ["\n", "\r\n", "\r"]
FORMS = [
    ("utf-8", b""),
    ("utf-8", b"\xef\xbb\xbf"),
    ("utf-16-le", b"\xff\xfe"),
    ("utf-16-be", b"\xfe\xff"),
    ("utf-32-le", b"\xff\xfe\x00\x00"),
    ("windows-1252", b""),
]
# Letters that every encoding above has; blanks and quotes for the later kinds of match.
LINE = st.text(alphabet="ab {}\t'-é", max_size=8)
LINES = st.lists(LINE, min_size=1, max_size=7)


def encoded(text: str, form: tuple[str, bytes]) -> bytes:
    """The bytes of `text` in one of the forms, if the form is what a reader would recognise."""
    data = form[1] + text.encode(form[0])
    document = decode(data)
    assume(document is not None and (document.encoding, document.mark) == form)
    return data


def raw_lines(text: str) -> list[str]:
    """The lines of a text with their ends."""
    return [line for line in re.findall(r"[^\r\n]*(?:\r\n|\r|\n)?", text) if line]


def replaced(before: str, old: str, new: str) -> Outcome:
    """Replace in a file that was viewed just now."""
    data = before.encode()
    return str_replace(data, old, new, path="f", seen=digest(data))


def after(outcome: Outcome) -> str:
    """The text of an edit that must have been accepted."""
    assert isinstance(outcome, Edited), outcome

    return outcome.after.decode()


def message(outcome: Outcome | Viewed) -> str:
    """The words of a refusal."""
    assert isinstance(outcome, Refused), outcome

    return outcome.message


@given(
    lines=LINES,
    ends=st.lists(st.sampled_from(ENDS), min_size=7, max_size=7),
    final=st.sampled_from(["", "\n"]),
    form=st.sampled_from(FORMS),
    place=st.tuples(st.integers(0, 6), st.integers(1, 3)),
    new_lines=LINES,
)
def test_an_edit_changes_nothing_but_its_place(
    lines: list[str],
    ends: list[str],
    final: str,
    form: tuple[str, bytes],
    place: tuple[int, int],
    new_lines: list[str],
) -> None:
    """Lines outside the quoted text keep every byte, and so do encoding, mark and the last line
    end.
    """
    first, last = min(place[0], len(lines) - 1), min(place[0] + place[1], len(lines))
    pieces = [line + end for line, end in zip(lines, ends, strict=False)]
    pieces[-1] = lines[-1] + (ends[len(lines) - 1] if final else "")
    text = "".join(pieces)
    assume(universal(text) == "\n".join(lines) + final)
    data = encoded(text, form)
    old, new = "\n".join(lines[first:last]), "\n".join(new_lines)

    outcome = str_replace(data, old, new, path="f", seen=digest(data))

    assume(isinstance(outcome, Edited))
    assert isinstance(outcome, Edited)
    assert outcome.match_kind in {"exact", "line ends"}
    assert outcome.after.startswith(form[1])
    result = outcome.after[len(form[1]) :].decode(form[0])
    at = universal(text).index(old)
    assert universal(result) == universal(text)[:at] + new + universal(text)[at + len(old) :]
    head, tail = "".join(pieces[:first]), "".join(pieces[last:])
    assert result.startswith(head)
    assert result.endswith(tail)
    assert result[-1:] == text[-1:] or not final or new == ""


@given(
    words=st.lists(st.sampled_from("pqrstuvwxyz"), min_size=4, max_size=8, unique=True),
    ends=st.lists(st.sampled_from(ENDS[:2]), min_size=8, max_size=8),
    way=st.sampled_from(["trailing blanks", "indentation", "punctuation"]),
    form=st.sampled_from([("utf-8", b""), ("utf-8", b"\xef\xbb\xbf"), ("utf-16-le", b"\xff\xfe")]),
    first=st.integers(0, 1),
)
def test_the_forgiving_matches_change_one_line_only(
    words: list[str], ends: list[str], way: str, form: tuple[str, bytes], first: int
) -> None:
    """Three lines quoted inexactly, the middle one changed: all other bytes of the file stay."""
    lines = [f"    {word} = “{word}”  " for word in words]
    pieces = [line + end for line, end in zip(lines, ends, strict=False)]
    data = encoded("".join(pieces), form)
    blanks = {"trailing blanks": ("    ", "", "“”"), "indentation": (" ", " ", "“”")}
    before, behind, quotes = blanks.get(way, ("    ", "  ", '""'))
    three = [f"{before}{w} = {quotes[0]}{w}{quotes[1]}{behind}\n" for w in words[first:][:3]]
    changed = [three[0], three[1].replace(" = ", " += "), three[2]]

    outcome = str_replace(data, "".join(three), "".join(changed), path="f", seen=digest(data))

    assert isinstance(outcome, Edited)
    assert outcome.match_kind == way
    result = raw_lines(outcome.after[len(form[1]) :].decode(form[0]))
    at = first + 1
    assert result[:at] + result[at + 1 :] == pieces[:at] + pieces[at + 1 :]
    assert result[at].rstrip() == lines[at].replace(" = ", " += ").rstrip()
    assert result[at].endswith(ends[at])


@given(
    lines=st.lists(st.text(alphabet="abc", min_size=1, max_size=3), min_size=3, max_size=6),
    ends=st.lists(st.sampled_from(["\n", "\r\n"]), min_size=6, max_size=6),
)
def test_a_line_quoted_as_context_keeps_its_own_line_end(lines: list[str], ends: list[str]) -> None:
    """In a file of mixed line ends, quoted lines that do not change keep theirs."""
    pieces = [line + end for line, end in zip(lines, ends, strict=False)]
    old = "".join(line + "\n" for line in lines)
    new = "".join(line + "\n" for line in [*lines[:1], "NEW", *lines[1:]])

    result = after(replaced("".join(pieces), old, new))

    assert raw_lines(result) == [pieces[0], "NEW" + ends[0], *pieces[1:]]


@given(text=st.text(alphabet="ab\r\n", max_size=12), old=st.text("ab\r\n", min_size=1, max_size=4))
def test_no_edit_cuts_a_line_end_in_two(text: str, old: str) -> None:
    """However the quoted text begins or ends, CR and LF of one line end stay together."""
    outcome = replaced(text, old, "X")

    if isinstance(outcome, Edited) and outcome.match_kind != "trailing blanks":
        result = outcome.after.decode()
        at = result.index("X")
        assert universal(text) == universal(result[:at]) + universal(old) + universal(
            result[at + 1 :]
        )


@given(data=st.binary(max_size=60) | st.text(max_size=30).map(str.encode))
def test_what_can_be_read_as_text_encodes_to_the_same_bytes(data: bytes) -> None:
    """Decoding loses nothing, whatever the bytes are."""
    document = decode(data)

    assert document is None or document.encode() == data


@given(data=st.binary(max_size=80), old=st.text(max_size=6), new=st.text(max_size=6))
def test_no_input_makes_an_edit_fail_unexpectedly(data: bytes, old: str, new: str) -> None:
    """Arbitrary bytes and texts end in an edit or in a refusal, never in an exception."""
    seen = digest(data)

    assert isinstance(str_replace(data, old, new, path="f", seen=seen), Edited | Refused)
    assert isinstance(insert(data, len(old), new, seen=seen), Edited | Refused)
    assert isinstance(create(data, old + new, seen=seen), Edited | Refused)
    assert isinstance(view(data, (1, 2), path="f"), Viewed | Refused)


@pytest.mark.parametrize(
    ("before", "old", "new", "expected", "match_kind"),
    [
        ("a\nb\nc\n", "b", "B", "a\nB\nc\n", "exact"),
        ("a\r\nb\r\nc", "a\nb", "a\nX\nb", "a\r\nX\r\nb\r\nc", "line ends"),
        ("a\r\nb\r\n", "b", "b\nc", "a\r\nb\r\nc\r\n", "exact"),
        ("a\r\nb\n", "a\r\nb", "a\nb", "a\nb\n", "exact"),
        ("a  \nb\nc\n", "a\nb\n", "a\nB\n", "a  \nB\nc\n", "trailing blanks"),
        ("x\nlast", "last\n", "new\n", "x\nnew", "trailing blanks"),
        ("if x:\n    a\n    b\n", "a\nb\n", "a\nif y:\n  b\n", None, "exact"),
        ("  f(\n      1)\n", "f(\n    1)\n", "f(\n    2)\n", "  f(\n      2)\n", "indentation"),
        ("\tf(\n\t\t1)\n", "f(\n\t1)\n", "f(\n\n\t2)\n", "\tf(\n\n\t\t2)\n", "indentation"),
        ("f(\n  1)\n", "  f(\n    1)\n", "  g(\n    1)\n", "g(\n  1)\n", "indentation"),
        ("p(“é”, x)\n", 'p("é", x)', 'p("é", y)', "p(“é”, y)\n", "punctuation"),
        ("a\u00a0b – c\n", "a b - c", "a b - d", "a\u00a0b – d\n", "punctuation"),
    ],
    ids=[
        *("exact", "crlf", "crlf-new-line", "explicit-cr", "trailing", "no-last-end"),
        *("not-unique-shift", "shift", "tabs", "unshift", "quotes", "spaces-dashes"),
    ],
)
def test_every_kind_of_match(
    before: str, old: str, new: str, expected: str | None, match_kind: str
) -> None:
    """Each kind finds what the ones before it miss, and leaves alone what the edit
    does not name.
    """
    if expected is None:
        expected = before  # the shift of two lines must be the same for all
        old = "    a\n  b\n"
        assert isinstance(replaced(before, old, new), Refused)
        return

    outcome = replaced(before, old, new)

    assert after(outcome) == expected
    assert isinstance(outcome, Edited)
    assert outcome.match_kind == match_kind


@pytest.mark.parametrize(
    ("before", "old"),
    [
        ("x = 1\ny\nx = 1\n", "x = 1"),
        ("a\nb\n---\na\r\nb\n", "a\nb"),
        ("aaa", "aa"),
        ("a \nb\n-\na\t\nb\n", "a\nb\n"),
        ("  a\n  b\n-\n    a\n    b\n", " a\n b\n"),
        ("‘a’ “a”\n’a‘\n", "'a'"),
    ],
    ids=["exact", "line-ends", "overlapping", "trailing", "shift", "punctuation"],
)
def test_a_text_that_stands_twice_is_not_edited(before: str, old: str) -> None:
    """With every kind of match, two places are one too many, and the lines of both are named."""
    text = message(replaced(before, old, "Z"))

    assert text.startswith("Error: Found 2 matches for replacement text. Please provide more")
    assert re.search(r"begin at lines \d+, \d+\.$", text)


def test_many_matches_are_counted_within_bounds() -> None:
    """A text that stands nearly everywhere is refused with the first ten lines named."""
    text = message(replaced("a\n" * 50_000, "a", "b"))

    assert "Found 100 or more matches" in text
    assert "lines 1, 2, 3, 4, 5, 6, 7, 8, 9, 10 and further ones." in text


def test_a_file_of_equal_lines_is_searched_in_time() -> None:
    """A long quotation that nearly matches everywhere costs no more than reading the file."""
    before = "}\n" * 60_000

    assert "No match found" in message(replaced(before, "}\n" * 30_000 + "x", "y"))
    assert "No match found" in message(replaced(before, " }\n" * 59_950 + "  }\n", "y"))


def test_similar_is_not_enough() -> None:
    """A near miss is refused, and the refusal shows how the nearest text differs."""
    before = "def f(a):\n    return a + 1\n\n\ndef g(b):\n    return b + 2\n"

    text = message(replaced(before, "def g(b):\n    return b + 3\n", "pass\n"))

    assert text.startswith("Error: No match found for replacement. Please check your text")
    assert "lines 5 to 6" in text
    assert "-    return b + 3" in text
    assert "+    return b + 2" in text


def test_a_misspelt_line_is_shown_beside_its_likeness() -> None:
    """A single line without any equal is compared by characters."""
    text = message(replaced("one\nvalue = compute(x)\n", "value = compute(y)", "z"))

    assert "line 2" in text
    assert "+value = compute(x)" in text


def test_quoted_line_numbers_are_recognised() -> None:
    """An agent that copied the view's numbers is told so."""
    text = message(replaced("a\nb\n", "     1\ta\n     2\tb", "c"))

    assert "Leave out the line numbers" in text


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [("", "x", "old_str is empty"), ("a", "a", "are the same"), ("a\n", "a\r\n", "Nothing would")],
    ids=["empty", "same", "same-but-line-ends"],
)
def test_an_edit_without_effect_is_refused(old: str, new: str, words: str) -> None:
    """An empty quotation, or a replacement equal to it, is an error of the agent."""
    assert words in message(replaced("a\nb\n", old, new))


def test_a_missing_or_binary_or_huge_file_is_not_edited() -> None:
    """The refusal says which of these it is."""
    assert message(str_replace(None, "a", "b", path="f", seen=None)) == "Error: File not found"
    for data, words in ((b"a\0b", "not text"), (b"a" * (EDIT_LIMIT_BYTES + 1), "larger than")):
        assert words in message(str_replace(data, "a", "b", path="f", seen=digest(data)))
        assert words in message(insert(data, 0, "b", seen=digest(data)))
    assert "not text" in message(view(b"a\0b", None, path="f"))


@pytest.mark.parametrize(
    ("seen", "note"),
    [(None, "you had not viewed this file"), (digest(b"old"), "the file has other changes")],
    ids=["never-viewed", "changed-since"],
)
def test_an_unseen_version_takes_only_exact_edits(seen: str | None, note: str) -> None:
    """Exact and unique text is edited with a note; a forgiving match, an insertion or a new content
    for the whole file is refused until the agent has viewed the file.
    """
    data = b"a  \r\nb\r\nc\r\n"

    exact = str_replace(data, "b\nc", "B\nc", path="f", seen=seen)

    assert isinstance(exact, Edited)
    assert exact.after == b"a  \r\nB\r\nc\r\n"
    assert note in exact.note
    for outcome in (
        str_replace(data, "a\nb", "A\nb", path="f", seen=seen),
        str_replace(data, "zz", "y", path="f", seen=seen),
        insert(data, 0, "x", seen=seen),
        create(data, "x", seen=seen),
    ):
        assert "view" in message(outcome).lower()


def test_create_makes_a_file_as_given() -> None:
    """A new file is UTF-8 and has exactly the text given, and the diff shows it as new."""
    outcome = create(None, "a\r\nb\né", seen=None, path="new.txt")

    assert isinstance(outcome, Edited)
    assert outcome.after == "a\r\nb\né".encode()
    assert outcome.match_kind == "created"
    assert outcome.diff.startswith("--- /dev/null\n+++ b/new.txt\n@@ -0,0 +1,3 @@\n+a\n+b\n+é")


def test_create_over_a_viewed_file_keeps_its_form() -> None:
    """Line ends, mark and encoding are the old file's; the text and its end are the new ones."""
    crlf = "\ufeffa\r\nb\r\n".encode("utf-16")

    outcome = create(crlf, "x\ny", seen=digest(crlf))

    assert isinstance(outcome, Edited)
    assert outcome.after.startswith(b"\xff\xfe")
    assert outcome.after.decode("utf-16").endswith("x\r\ny")


def test_a_legacy_encoding_is_kept_and_never_mixed() -> None:
    """windows-1252 stays so; a character it lacks is refused, or turns a whole new content to
    UTF-8.
    """
    data = "# Straße naïve\nx = 1\n".encode("windows-1252")

    kept = str_replace(data, "x = 1", "x = 'ü'", path="f", seen=digest(data))
    whole = create(data, "→\n", seen=digest(data))

    assert isinstance(kept, Edited)
    assert kept.after == "# Straße naïve\nx = 'ü'\n".encode("windows-1252")
    assert "cannot be written in windows-1252" in message(
        str_replace(data, "x", "→", path="f", seen=digest(data))
    )
    assert isinstance(whole, Edited)
    assert whole.after == "→\n".encode()
    assert "is UTF-8 now" in whole.note


@pytest.mark.parametrize("encoding", ["gb18030", "shift_jis", "koi8-r", "euc-kr"])
def test_an_encoding_that_would_have_to_be_guessed_is_refused(encoding: str) -> None:
    """Text of other legacy encodings counts as binary rather than being garbled."""
    words = {"koi8-r": "комментарий", "euc-kr": "주석입니다"}.get(encoding, "注釈説明")

    assert decode(f"# {words}\nx = 1\n".encode(encoding)) is None


def test_half_a_surrogate_pair_is_refused() -> None:
    """JSON can carry what no file can hold; that ends in a sentence which can itself be written."""
    data = b"a\n"

    for outcome in (
        create(None, "\ud800", seen=None),
        str_replace(data, "a", "\ud800", path="f", seen=digest(data)),
        str_replace(data, "\ud800", "a", path="f", seen=digest(data)),
    ):
        assert message(outcome).encode()


@pytest.mark.parametrize(
    ("before", "line", "text", "expected"),
    [
        ("a\nb\n", 0, "x", "x\na\nb\n"),
        ("a\nb\n", 1, "x\n", "a\nx\nb\n"),
        ("a\r\nb\r\n", 2, "x\ny", "a\r\nb\r\nx\r\ny\r\n"),
        ("a\nb", 2, "x\n", "a\nb\nx"),
        ("a\r\nb\nc\n", 1, "x", "a\r\nx\r\nb\nc\n"),
        ("a\n", 1, "\n", "a\n\n"),
        ("", 0, "x\n", "x\n"),
        ("a", 0, "x", "x\na"),
    ],
    ids=["top", "middle", "end-crlf", "no-last-end", "mixed", "blank", "empty", "one-line"],
)
def test_insert_adds_whole_lines(before: str, line: int, text: str, expected: str) -> None:
    """Lines come in behind the one named, with its line end, and the end of the file stays as it
    is.
    """
    data = before.encode()

    assert after(insert(data, line, text, seen=digest(data))) == expected


@pytest.mark.parametrize(("line", "text"), [(-1, "x"), (3, "x"), (1, "")], ids=str)
def test_insert_outside_the_file_is_refused(line: int, text: str) -> None:
    """A line number beyond the file is refused with the number of lines, and so is no
    text at all.
    """
    words = message(insert(b"a\nb\n", line, text, seen=digest(b"a\nb\n")))

    assert "from 0 to 2" in words or "empty" in words


def test_a_view_numbers_lines_and_says_what_it_cut() -> None:
    """Lines are numbered as `cat -n` does; long lines and what does not fit are cut and named."""
    data = b"first\n" + b"x" * 2_500 + b"\n" + b"y\n" * 40_000

    whole = view(data, None, path="f")
    part = view(data, (40_001, -1), path="f")

    assert isinstance(whole, Viewed)
    assert whole.text.startswith("     1\tfirst\n     2\txxx")
    assert "x [500 more characters]" in whole.text
    assert len(whole.text.encode()) <= VIEW_LIMIT_BYTES
    assert len(whole.text.split("\n")) == VIEW_LIMIT_LINES
    assert whole.line_count == 40_002
    assert "1 lines longer than 2,000 characters are cut" in whole.note
    assert whole.note.endswith(
        "lines 2001 to 40002 of 40002 are not shown: use view_range [2001, 4000] to go on"
    )
    assert isinstance(part, Viewed)
    assert part.text == " 40001\ty\n 40002\ty"
    assert part.sha256 == whole.sha256 == digest(data)


@pytest.mark.parametrize("span", [(0, 1), (4, 9), (3, 2), (-1, -1), (1, -2)], ids=str)
def test_a_range_outside_the_file_is_refused(span: tuple[int, int]) -> None:
    """The refusal gives the number of lines."""
    assert "has 3 lines" in message(view(b"a\nb\nc", span, path="f"))


def test_a_view_tells_the_form_of_an_unusual_file() -> None:
    """What a reader cannot see in the text is in the note."""
    viewed = view(b"\xef\xbb\xbfa\r\nb\n", (1, 99), path="f")
    empty = view(b"", None, path="f")

    assert isinstance(viewed, Viewed)
    assert viewed.text == "     1\ta\n     2\tb"
    assert viewed.note == "utf-8 with a byte order mark, LF and CRLF line ends"
    assert isinstance(empty, Viewed)
    assert (empty.text, empty.note) == ("", "the file is empty")


def test_the_diff_counts_lines_from_the_top_of_the_file() -> None:
    """Three lines of context, and headings that hold in a long file."""
    data = "".join(f"line {n}\n" for n in range(1, 201)).encode()

    outcome = str_replace(data, "line 100\n", "A\nB\n", path="f.txt", seen=digest(data))

    assert isinstance(outcome, Edited)
    assert outcome.diff.split("\n") == [
        *("--- a/f.txt", "+++ b/f.txt", "@@ -97,7 +97,8 @@"),
        *(" line 97", " line 98", " line 99", "-line 100", "+A", "+B"),
        *(" line 101", " line 102", " line 103"),
    ]


def test_a_large_diff_is_cut() -> None:
    """No more than 4 KiB, and it says that there is more."""
    outcome = create(None, "some line\n" * 20_000, seen=None)

    assert isinstance(outcome, Edited)
    assert len(outcome.diff.encode()) <= 4_096
    assert outcome.diff.endswith("[the rest of the difference is not shown]")


@pytest.mark.parametrize(
    ("path", "before", "now", "expected"),
    [
        ("a.py", "x = 1\n", "x = (\n", r"line 1: '\(' was never closed"),
        ("a.py", "x = (\n", "\n\nx = (\n", None),
        ("a.py", 'a\n"""x\n', 'a\nb\n"""x\n', None),
        ("a.py", "def f():\n    return 1\n", "def f():\n    pass\nreturn 1\n", "line 3: 'return'"),
        ("a.py", "", "def f(a, a): pass\n", "line 1: duplicate argument"),
        ("a.py", "", "x = " + "(" * 5_000, "line 1"),
        ("a.json", "{}", '{"a": 1,}', "line 1"),
        ("a.toml", "a = 1\n", "a = 1\nb =\n", "line 2: Invalid value"),
        ("a.toml", "", "[a", r"line 1: Expected"),
        ("a.txt", "", "x = (", None),
        ("a.py", "x\n", "async def f():\n    await g()\n", None),
        ("a.py", "for x in y:\n    break\n", "for x in y: pass\nbreak\n", "line 2: 'break' out"),
        ("a.py", "x\n", "x = '\\d' is 'a'\n", None),
    ],
    ids=[
        *("python", "moved", "moved-numbered", "dedented", "symbols", "deep"),
        *("json", "toml", "toml-end", "other", "fine", "loop", "warned"),
    ],
)
def test_only_new_syntax_errors_are_reported(
    path: str, before: str, now: str, expected: str | None
) -> None:
    """What the edit broke is named with its line; what was broken before, only moved, is not."""
    problems = new_problems(path, before.encode(), now.encode())

    if expected is None:
        assert problems == ()
    else:
        assert re.match(expected, problems[0])


def test_deep_nesting_is_a_problem_not_a_crash() -> None:
    """Text made to exhaust a parser ends in a sentence."""
    for path, text in (("a.json", "[" * 100_000), ("a.toml", "a=" + "[" * 100_000)):
        assert len(new_problems(path, None, text.encode())) == 1
    for text in (
        "-" * 100_000 + "1",
        "a" + ".a" * 60_000,
        "1" + "+1" * 60_000,
        "f" + "()" * 50_000,
    ):
        assert len(new_problems("a.py", None, text.encode())) <= 1


@pytest.mark.parametrize(
    "path",
    [
        *("", "/etc/passwd", "..", "a/../b", "~/x", "a\0b", "a\ud800", ".git", ".git/config"),
        *("a/.GIT/hooks/pre-commit", "sub/.git", "GIT~1/x", ".git /x", ".git./x", ".g\u200cit/x"),
        *(".git::$INDEX_ALLOCATION/x", ".orchestcode/settings.json", "a/.OrchestCode/x"),
    ],
    ids=ascii,
)
def test_paths_that_no_tool_may_name(path: str) -> None:
    """Absolute, climbing, impossible and control paths are refused in words that can be written."""
    problem = path_problem(path)

    assert problem
    assert problem.encode()


@pytest.mark.parametrize(
    "path", [".", "a.py", "./a/b.c", "a//b", ".gitignore", ".github/x", "a..b", "x.git", "~x", "é"]
)
def test_ordinary_paths_are_no_problem(path: str) -> None:
    """Names that merely resemble refused ones are open."""
    assert path_problem(path) is None


def test_lines_of_the_view_are_the_lines_of_insert() -> None:
    """The number a view shows is the number that insert takes, whatever the line ends."""
    data = b"a\rb\r\nc\n\nd"
    viewed = view(data, None, path="f")
    assert isinstance(viewed, Viewed)

    for number, (line, following) in enumerate(pairwise(viewed.text.split("\n")), start=1):
        result = after(insert(data, number, "NEW", seen=digest(data)))
        lines = universal(result).split("\n")
        at = lines.index("NEW")
        assert (lines[at - 1], lines[at + 1]) == (line[7:], following[7:])
