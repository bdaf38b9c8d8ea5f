"""What is read as a patch: two forms, as git and as models write them, and what is none."""

import pytest

from domain.editing.patch import FilePatch, PatchProblem
from domain.editing.patch_parser import MOST_FILES, parse_patch


def only(text: str) -> FilePatch:
    """The one file of a patch."""
    (found,) = parse_patch(text).files

    return found


def problem(text: str) -> str:
    """Why a text is no patch."""
    with pytest.raises(PatchProblem) as caught:
        parse_patch(text)

    return str(caught.value)


BEGIN = """*** Begin Patch
*** Update File: src/app.py
*** Move to: src/main.py
@@ class App:
@@ def run(self):
 a
-b
+c

*** Add File: ./new.txt
+first
+
*** Delete File: old.py
*** End Patch
"""


def test_the_begin_patch_form_adds_deletes_moves_and_updates() -> None:
    """Each file with its hunks, in order; a blank line between files belongs to none."""
    moved, added, deleted = parse_patch(BEGIN).files

    assert (moved.path, moved.moved_to) == ("src/app.py", "src/main.py")
    (hunk,) = moved.hunks
    assert hunk.anchors == ("class App:", "def run(self):")
    assert (hunk.old, hunk.new, hunk.number) == (("a", "b"), ("a", "c"), 4)
    assert (added.path, added.added) == ("new.txt", "first\n\n")
    assert deleted.deleted
    assert parse_patch(BEGIN).paths == ("src/app.py", "src/main.py", "new.txt", "old.py")


def test_the_words_of_a_shell_around_a_patch_are_left_out() -> None:
    """A model that learned the command writes a here-document."""
    found = only(
        f"apply_patch <<'EOF'\n{BEGIN}EOF\n".replace("*** Add File: ./new.txt\n", "", 1)
        .replace("+first\n+\n", "")
        .replace("*** Delete File: old.py\n", "")
    )

    assert found.path == "src/app.py"


def test_a_hunk_may_end_with_the_file() -> None:
    """`*** End of File` says so, and a further hunk may follow without a file of its own."""
    text = "*** Begin Patch\n*** Update File: f\n@@\n-a\n@@\n b\n+c\n*** End of File\n*** End Patch"
    first, last = only(text).hunks

    assert (first.at_end, last.at_end) == (False, True)


GIT = """diff --git a/src/app.py b/src/app.py
index 1..2 100644
--- a/src/app.py
+++ b/src/app.py
@@ -3,2 +3,3 @@ def f():
 a
+b
 c
\\ No newline at end of file
diff --git a/run b/run
old mode 100644
new mode 100755
diff --git a/old name b/new name
similarity index 100%
rename from old name
rename to new name
diff --git "a/gr\\303\\266\\303\\237e" "b/gr\\303\\266\\303\\237e"
deleted file mode 100644
--- "a/gr\\303\\266\\303\\237e"
+++ /dev/null
@@ -1 +0,0 @@
-x
--- /dev/null
+++ b/tool
@@ -0,0 +1,1 @@
+y
\\ No newline at end of file
"""


def test_a_diff_of_git_is_read_whole() -> None:
    """Modes, renames, quoted names, new and deleted files, files without a last line end."""
    changed, mode, moved, deleted, added = parse_patch(GIT).files

    (hunk,) = changed.hunks
    assert (changed.path, hunk.start, hunk.ends) == ("src/app.py", 3, (False, False))
    assert (mode.path, mode.executable, mode.hunks) == ("run", True, ())
    assert (moved.path, moved.moved_to) == ("old name", "new name")
    assert (deleted.path, deleted.deleted) == ("größe", True)
    assert (added.path, added.added) == ("tool", "y")


@pytest.mark.parametrize(
    "heading", ["@@ -1,9 +1,1 @@", "@@ -1,1 +1,1 @@", "@@ -1 +1 @@", "@@", "@@ ... @@", "@@ def f"]
)
def test_lines_that_a_model_miscounts_are_counted_again(heading: str) -> None:
    """What a heading says of the number of lines, or leaves out, does not matter."""
    text = f"--- a/f\n+++ b/f\n{heading}\n a\n-b\n+c\n\n d\n\n--- a/g\n+++ b/g\n{heading}\n-x\n+y\n"
    first, second = parse_patch(text).files

    assert first.hunks[0].old == ("a", "b", "", "d")
    assert first.hunks[0].new == ("a", "c", "", "d")
    assert second.hunks[0].new == ("y",)
    assert second.hunks[0].start == (1 if "1" in heading else None)


def test_a_hunk_that_ends_with_a_blank_line_is_whole() -> None:
    """The blank before it says that it belongs to the hunk."""
    text = "--- a/f\n+++ b/f\n@@ -1,1 +1,1 @@\n-a\n+b\n \n@@ -9,1 +9,1 @@\n-x\n+y\n"
    first, second = only(text).hunks

    assert (first.old, first.new, second.old) == (("a", ""), ("b", ""), ("x",))


def test_a_removed_line_of_dashes_is_no_header() -> None:
    """`--- x` in a hunk whose heading counts it takes the line `-- x` away."""
    text = "--- f\n+++ f\n@@ -1,2 +1,2 @@\n--- x\n+++ y\n a\n"

    assert only(text).hunks[0].old == ("-- x", "a")


def test_line_ends_count_where_a_patch_tells_them() -> None:
    """A diff of git holds the CR of a file; a patch that came with CRLF itself tells nothing."""
    told = "--- a/f\n+++ b/f\n@@ -1,2 +1,2 @@\n a\r\n-b\r\n+c\n"
    lines = only(told).hunks[0].lines

    assert [(line.text, line.end) for line in lines] == [("a", "\r\n"), ("b", "\r\n"), ("c", "\n")]
    plain = only(told.replace("\r", "").replace("\n", "\r\n")).hunks[0].lines
    assert [(line.text, line.end) for line in plain] == [("a", ""), ("b", ""), ("c", "")]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "no file is changed"),
        ("hello\n", "no file is changed"),
        ("--- a/f\n+++ b/f\n", "changes nothing of f"),
        ("+a\n", "line 1 belongs to no hunk"),
        ("--- a/f\n+++ b/f\n@@ -1,2 +1,2 @@\n a\nb\n", "line 5: each line of a hunk begins with"),
        ("--- a/f\n+++ b/g\n@@ -1 +1 @@\n-a\n+b\n", "names two files, f and g"),
        ("diff --git a/i b/i\nBinary files a/i and b/i differ\n", "i is binary"),
        ("diff --git a/l b/l\nnew file mode 120000\n--- /dev/null\n+++ b/l\n@@ -0,0 +1 @@\n+x\n",
         "l is a symbolic link"),
        ("diff --git a/l b/m\ncopy from l\ncopy to m\n", "m is copied"),
        ("--- /dev/null\n+++ b/f\n@@ -1 +1 @@\n a\n+b\n", "f is a new file"),
        ("*** Begin Patch\n*** End Patch\n", "no file"),
        ("*** Begin Patch\nhello\n*** End Patch\n", "line 2 belongs to no file"),
        ("*** Begin Patch\n*** Update File: f\n*** End Patch\n", "line 2 changes nothing"),
        ("*** Begin Patch\n*** Update File: f\n@@\n*** End Patch\n", "the hunk has no lines"),
        ("*** Begin Patch\n*** Update File: f\n@@\nx\n*** End Patch\n", "line 4: each line"),
        ("*** Begin Patch\n*** Add File: f\nx\n*** End Patch\n", "line 3: each line of an added"),
        ("*** Begin Patch\n*** Delete File: f\n-x\n*** End Patch\n", "line 3: nothing follows"),
        ("*** Delete File: src/\n", "src/ is a folder"),
        ("*** Begin Patch\n" * 2 + "*** End Patch\n", "it begins twice"),
    ],
    ids=str,
)  # fmt: skip
def test_what_is_no_patch_is_refused_in_words(text: str, words: str) -> None:
    """The sentence names the line and says how to write it."""
    assert words in problem(text)


def test_a_patch_has_bounds() -> None:
    """So that one call stays one step."""
    text = "".join(f"*** Delete File: f{number}\n" for number in range(MOST_FILES + 1))

    assert f"at most {MOST_FILES}" in problem(text)
