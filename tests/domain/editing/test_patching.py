"""What a patch makes of files: what changes, what stays, what is refused and in which words."""

import difflib
from collections.abc import Mapping, Sequence

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from domain.editing.document import decode
from domain.editing.edit import EDIT_LIMIT_BYTES, Refused, digest
from domain.editing.patch_parser import parse_patch
from domain.editing.patching import PatchChanges, Version, plan

FORMS = [
    ("utf-8", b""),
    ("utf-8", b"\xef\xbb\xbf"),
    ("utf-16-le", b"\xff\xfe"),
    ("utf-32-be", b"\x00\x00\xfe\xff"),
    ("windows-1252", b""),
]
WORDS = st.lists(st.sampled_from("abcdefgh"), min_size=1, max_size=14)
ENDS = st.sampled_from(["\n", "\r\n", "\r"])


def planned(
    text: str, files: Mapping[str, bytes], *, seen: Mapping[str, str] | None = None
) -> PatchChanges | Refused:
    """Plan a patch of files that were all viewed just now, unless `seen` says otherwise."""
    patch = parse_patch(text)
    held = {path: Version(files[path]) if path in files else None for path in patch.paths}
    known = {path: digest(data) for path, data in files.items()} if seen is None else seen
    return plan(patch, held, known)


def after(
    text: str, files: Mapping[str, bytes], *, seen: Mapping[str, str] | None = None
) -> dict[str, bytes]:
    """All files after a patch that fits."""
    made = planned(text, files, seen=seen)
    assert isinstance(made, PatchChanges), made
    result = dict(files)
    for change in made.changes:
        if change.after is None:
            del result[change.path]
        else:
            result[change.path] = change.after.data
    return result


def one(text: str, data: bytes, *, seen: Mapping[str, str] | None = None) -> bytes:
    """The file `f` after a patch that fits."""
    return after(text, {"f": data}, seen=seen)["f"]


def refusal(text: str, files: Mapping[str, bytes], *, seen: Mapping[str, str] | None = None) -> str:
    """The words in which a patch is refused."""
    made = planned(text, files, seen=seen)
    assert isinstance(made, Refused), made
    return made.message


def unified(before: Sequence[str], later: Sequence[str], *, context: int = 3) -> str:
    """The unified diff between lines that have their ends, as git writes it."""
    lines = []
    for line in difflib.unified_diff(before, later, "a/f", "b/f", n=context):
        ended = line.endswith("\n")
        lines.append(line if ended else f"{line}\n\\ No newline at end of file\n")
    return "".join(lines)


def with_ends(words: Sequence[str], end: str, *, final: bool) -> list[str]:
    """Lines of a file that have the same end, but for the last one perhaps."""
    lines = [f"line {word}{end}" for word in words]
    if not final:
        lines[-1] = lines[-1].removesuffix(end)
    return lines


@given(
    before=WORDS,
    later=WORDS,
    ends=st.tuples(st.sampled_from(["\n", "\r\n"]), st.sampled_from(["\n", "\r\n"])),
    finals=st.tuples(st.booleans(), st.booleans()),
    form=st.sampled_from(FORMS),
    context=st.integers(1, 3),
)
def test_a_diff_makes_the_file_that_it_was_made_for_and_its_reverse_the_one_before(
    before: list[str],
    later: list[str],
    ends: tuple[str, str],
    finals: tuple[bool, bool],
    form: tuple[str, bytes],
    context: int,
) -> None:
    """To the byte: line ends, mark, encoding and the last line end, in both directions."""
    old = with_ends(before, ends[0], final=finals[0])
    new = with_ends(later, ends[1], final=finals[1])
    assume(old != new)
    versions = [form[1] + "".join(lines).encode(form[0]) for lines in (old, new)]
    there = unified(old, new, context=context)
    back = unified(new, old, context=context)

    assert one(there, versions[0]) == versions[1]
    assert one(back, one(there, versions[0])) == versions[0]


@given(
    before=st.lists(st.sampled_from("abcdefgh"), min_size=3, max_size=14, unique=True),
    end=ENDS,
    final=st.sampled_from(["", "end"]),
    form=st.sampled_from(FORMS),
    way=st.sampled_from(["exact", "trailing blanks", "indentation", "punctuation"]),
    at=st.integers(0, 13),
)
def test_a_line_is_replaced_by_every_way_of_matching_and_all_else_stays(
    before: list[str], end: str, final: str, form: tuple[str, bytes], way: str, at: int
) -> None:
    """The patch tells no line ends: the file's are kept, also by the line that comes."""
    at = min(at, len(before) - 1)
    lines = [f'  {word} = "{word}"' for word in before]
    if way == "punctuation":
        lines = [line.replace('"', "\u201c", 1) for line in lines]
        assume(form[0] != "windows-1252")
    held = [line + (" \t" if way == "trailing blanks" else "") for line in lines]
    data = (end.join(held) + (end if final else "")).encode(form[0])
    assume((document := decode(form[1] + data)) is not None and document.encoding == form[0])
    quoted = [line.replace("\u201c", '"') for line in lines]
    quoted = [line.removeprefix(" ") if way == "indentation" else line for line in quoted]
    body = [f" {line}\n" for line in quoted]
    body[at] = f"-{quoted[at]}\n+{quoted[at]} + 1\n"
    text = f"*** Begin Patch\n*** Update File: f\n@@\n{''.join(body)}*** End Patch\n"

    changed = [*held]
    changed[at] = lines[at] + " + 1"
    expected = (end.join(changed) + (end if final else "")).encode(form[0])
    assert one(text, form[1] + data) == form[1] + expected


@given(before=WORDS, later=WORDS, touched=st.integers(0, 13))
def test_a_stale_patch_is_refused(before: list[str], later: list[str], touched: int) -> None:
    """A file that changed where a hunk quotes it is left alone."""
    old, new = with_ends(before, "\n", final=True), with_ends(later, "\n", final=True)
    assume(old != new)
    text = unified(old, new, context=len(old) + len(new))
    at = min(touched, len(old) - 1)
    stale = [*old[:at], "line Z\n", *old[at + 1 :]]

    assert "of the patch fits nowhere" in refusal(text, {"f": "".join(stale).encode()})


@given(
    data=st.binary(max_size=60),
    text=st.text("@+- ab*\n\\\r", max_size=60),
    known=st.sampled_from(["", "seen"]),
)
def test_no_input_makes_a_patch_fail_unexpectedly(data: bytes, text: str, known: str) -> None:
    """Whatever the file holds and the hunk says, the answer is a plan or a refusal."""
    try:
        made = planned(
            f"--- a/f\n+++ b/f\n@@ -1 +1 @@\n{text}\n",
            {"f": data},
            seen={"f": digest(data)} if known else {},
        )
    except ValueError:
        return
    assert isinstance(made, PatchChanges | Refused)


TEN = "".join(f"line {number}\n" for number in range(1, 11)).encode()


def test_a_hunk_is_found_at_the_line_that_it_names_among_several() -> None:
    """Where its lines stand more than once, the line decides; without one it is refused."""
    data = b"x\na\nx\na\nx\n"
    body = "-a\n+b\n x\n"

    assert one(f"--- a/f\n+++ b/f\n@@ -4,2 +4,2 @@\n{body}", data) == b"x\na\nx\nb\nx\n"
    told = refusal(f"--- a/f\n+++ b/f\n@@ -9,2 +9,2 @@\n{body}", {"f": data})
    assert "fits 2 places, at lines 2, 4: give more of the lines around it" in told


def test_a_hunk_is_found_where_its_lines_have_moved_to() -> None:
    """A file that grew above it still takes it, and the next hunk moves by as much."""
    text = "--- a/f\n+++ b/f\n@@ -2 +2 @@\n-line 2\n+two\n@@ -4,2 +4,2 @@\n-same\n+other\n line 5\n"
    data = b"new\nline 1\nline 2\nline 3\nsame\nline 5\nsame\nline 5\n"

    assert one(text, data) == b"new\nline 1\ntwo\nline 3\nother\nline 5\nsame\nline 5\n"


def test_anchors_choose_among_equal_places() -> None:
    """What a line begins ends where the indentation does."""
    method = "    def f(self):\n        return 1\n"
    data = f"class A:\n{method}\nclass B:\n{method}".encode()
    hunk = "         return 1\n".replace(" ", "-", 1) + "+        return 2\n"
    text = f"*** Begin Patch\n*** Update File: f\n@@ class B:\n@@ def f\n{hunk}*** End Patch"

    assert one(text, data).decode().splitlines()[-1] == "        return 2"
    assert one(text.replace("class B", "class A"), data).decode().splitlines()[2].endswith("2")
    assert "fits 2 places" in refusal(text.replace("@@ class B:\n@@ def f", "@@"), {"f": data})


def test_an_insertion_without_context_needs_a_version_that_was_seen() -> None:
    """Its line number is all there is to check it by."""
    text = "--- a/f\n+++ b/f\n@@ -2,0 +3,1 @@\n+new\n"

    assert one(text, TEN).startswith(b"line 1\nline 2\nnew\nline 3\n")
    assert "has no line to be checked by" in refusal(text, {"f": TEN}, seen={})
    lost = "*** Begin Patch\n*** Update File: f\n@@\n+new\n*** End Patch"
    assert "give some of the lines around the new ones" in refusal(lost, {"f": TEN})
    end = lost.replace("+new\n", "+new\n*** End of File\n")
    assert one(end, TEN) == TEN + b"new\n"
    assert one(end, b"a\r\nb") == b"a\r\nb\r\nnew"


def test_a_stale_hunk_is_told_where_the_file_differs() -> None:
    """The nearest lines of the file stand beside those of the patch, and nothing is changed."""
    text = "--- a/f\n+++ b/f\n@@ -4,3 +4,3 @@\n line 4\n-line five\n+5\n line 6\n"
    told = refusal(text, {"f": TEN})

    assert told.startswith("Error: Nothing was changed, since a part of the patch does not fit.\n")
    assert "f: The hunk at line 3 of the patch fits nowhere in the file." in told
    assert "The nearest text is at lines 4 to 6; - is the patch, + is the file:" in told
    assert "-line five\n+line 5" in told
    done = "--- a/f\n+++ b/f\n@@ -4,2 +4,2 @@\n line 4\n-five\n+line 5\n"
    assert "its new lines stand at line 4 already" in refusal(done, {"f": TEN})
    other = "--- a/f\n+++ b/f\n@@ -4,1 +4,1 @@\n-nothing of the kind\n+4\n"
    assert refusal(other, {"f": TEN}).endswith("View it, and quote its lines as they stand.")


def test_one_hunk_that_does_not_fit_keeps_all_files_as_they_are() -> None:
    """All that does not fit is told at once."""
    text = (
        "*** Begin Patch\n*** Update File: f\n@@\n-line 1\n+one\n*** Add File: new\n+x\n"
        "*** Update File: g\n@@\n-missing\n+x\n*** Update File: gone\n@@\n-a\n+b\n*** End Patch\n"
    )
    told = refusal(text, {"f": TEN, "g": b"there\n"})

    assert "g: The hunk at line 9 of the patch fits nowhere" in told
    assert "gone: File not found" in told
    assert "f:" not in told


@pytest.mark.parametrize(
    ("seen", "note"), [(None, "you had not viewed this file"), ("other", "the file has other")]
)
def test_an_unseen_version_takes_only_exact_hunks(seen: str | None, note: str) -> None:
    """With a word about it; a hunk that is nearly there is refused."""
    known = {"f": seen} if seen else {}
    made = planned("--- a/f\n+++ b/f\n@@ -1 +1 @@\n-line 1\n+one\n", {"f": TEN}, seen=known)

    assert isinstance(made, PatchChanges)
    assert note in made.told[0]
    blanks = "--- a/f\n+++ b/f\n@@ -1 +1 @@\n-line 1 \n+one\n"
    told = refusal(blanks, {"f": TEN}, seen=known)
    assert "fits line 1 only when differences in trailing blanks are ignored" in told
    assert "view the file first" in told


def test_hunks_that_change_the_same_lines_are_refused() -> None:
    """Hunks whose unchanged lines overlap are not."""
    begin, second = "--- a/f\n+++ b/f\n@@ -2,2 +2,2 @@\n", "@@ -3,2 +3,2 @@\n"
    both = f"{begin} line 2\n-line 3\n+3\n{second}-line 3\n+4\n line 4\n"
    apart = f"{begin}-line 2\n+2\n line 3\n{second} line 3\n-line 4\n+4\n"

    assert "hunks at lines 3 and 7 of the patch change the same lines" in refusal(both, {"f": TEN})
    assert one(apart, TEN).startswith(b"line 1\n2\nline 3\n4\nline 5\n")


def test_parts_of_one_file_are_applied_one_after_the_other() -> None:
    """A second part sees what the first made; a moved file may be changed on its way."""
    text = (
        "*** Begin Patch\n*** Update File: f\n@@\n-line 1\n+one\n*** Update File: f\n@@\n one\n"
        "+half\n line 2\n*** Update File: f\n*** Move to: g\n@@\n-line 10\n+ten\n*** End Patch\n"
    )
    made = after(text, {"f": TEN})

    assert list(made) == ["g"]
    assert made["g"].startswith(b"one\nhalf\nline 2\n")
    assert made["g"].endswith(b"line 9\nten\n")


def test_files_are_added_deleted_and_moved() -> None:
    """What would overwrite a file is refused, and so is what deletes one that has changed."""
    add, delete = "*** Add File: f\n+x\n", "*** Delete File: f\n"
    move = "*** Update File: f\n*** Move to: sub/g\n"

    assert after(add, {}) == {"f": b"x\n"}
    assert after(delete, {"f": b"x"}) == {}
    assert after(move, {"f": b"\0binary"}) == {"sub/g": b"\0binary"}
    assert "f exists already" in refusal(add, {"f": b""})
    assert "sub/g exists already" in refusal(move, {"f": b"x", "sub/g": b""})
    assert "view it before you delete it" in refusal(delete, {"f": b"x"}, seen={"f": "other"})
    assert after(delete, {"f": b"x"}, seen={}) == {}
    whole = "--- a/f\n+++ /dev/null\n@@ -1 +0,0 @@\n-a\n"
    assert after(whole, {"f": b"a\n"}) == {}
    assert "the patch leaves 1 of its lines" in refusal(whole, {"f": b"a\nb\n"})


def test_what_is_no_text_or_too_large_is_not_patched() -> None:
    """It can be deleted and moved as a whole."""
    text = "--- a/f\n+++ b/f\n@@ -1 +1 @@\n-a\n+b\n"

    assert "f: The file is not text" in refusal(text, {"f": b"\0"})
    assert "larger than" in refusal(text, {"f": b"a\n" * EDIT_LIMIT_BYTES})
    assert "cannot be written in windows-1252" in refusal(
        text.replace("+b", "+\u4e2d"), {"f": b"a\n\xe9\n"}
    )


def test_a_patch_without_effect_is_refused() -> None:
    """Its author should know that the files hold it already."""
    text = "--- a/f\n+++ b/f\n@@ -1 +1 @@\n-a\n+a\n"

    assert "Nothing would change" in refusal(text, {"f": b"a\n"})


def test_a_file_in_the_way_of_a_folder_is_another_call() -> None:
    """One tree cannot hold both at once."""
    text = "*** Delete File: f\n*** Add File: f/g\n+x\n"

    assert "f is a file that changes, and f/g lies in it" in refusal(text, {"f": b"x"})
