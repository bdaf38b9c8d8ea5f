"""What a checkpoint leaves out for its size, and how that is said."""

from domain.checkpoints import (
    CheckpointLimits,
    LeftOut,
    checkpoint_limits,
    deep_sentence,
    large_sentence,
    too_large,
)
from domain.command_limits import MB

LIMITS = CheckpointLimits(file_bytes=10, all_bytes=20, files=4)


def test_what_fits_is_taken_whole() -> None:
    """At its limits nothing is left out."""
    assert too_large({b"a": 10, b"b": 10}, LIMITS) == {}


def test_a_file_too_large_is_left_out_alone() -> None:
    """The others stay, however many."""
    assert too_large({b"a": 11, b"b": 10, b"c": 10}, LIMITS) == {b"a": 11}


def test_of_too_much_the_largest_goes_first() -> None:
    """As few files as possible are left out; equal ones by name, so that it is always the same."""
    assert too_large({b"a": 7, b"b": 8, b"c": 8}, LIMITS) == {b"b": 8}
    assert too_large({b"c": 8, b"b": 8, b"a": 7}, LIMITS) == {b"b": 8}


def test_of_too_many_the_fullest_folder_goes() -> None:
    """A folder of packages that nobody ignores does not take the change with it."""
    many = {f"packages/{number}".encode(): 1 for number in range(9)}

    assert too_large({**many, b"src/a": 1, b"b": 1}, LIMITS) == many


def test_the_sentence_names_files_limits_and_what_to_do() -> None:
    """Five are named, the largest first, and names cannot break the line."""
    sizes = {f"f{number}.bin": number * MB for number in range(60, 67)} | {"a\nb": 99 * MB}
    sentence = large_sentence(sizes, CheckpointLimits())

    assert sentence.startswith(
        "not part of the checkpoint, nor of the patch: a\\nb (99 MB), f66.bin (66 MB), f65.bin "
        "(65 MB), f64.bin (64 MB), f63.bin (63 MB) and 3 more. One file may have 50 MB"
    )
    assert "put it into /tmp, or name it in .gitignore" in sentence


def test_a_long_path_is_named_by_its_beginning() -> None:
    """The sentence stays short."""
    assert len(deep_sentence(["d/" * 2_000])) < 400


def test_people_are_told_on_one_short_line_whatever_the_names() -> None:
    """Each reason with a few paths, escaped; nothing for a checkpoint that holds everything."""
    many = tuple(f"n{number}\x1b[2J/" for number in range(300))
    left_out = LeftOut(
        nested=many, odd=("pipe",), too_large={"a\nb": 60 * MB}, too_deep=("d/" * 2_000,)
    )

    line = left_out.line()
    assert line.startswith("too large: a\\nb (60 MB); paths too long: d/d/")
    assert "nested repositories: n0\\x1b[2J/, n1\\x1b[2J/" in line
    assert line.endswith("and 295 more; not taken by git: pipe")
    assert len(line) < 400
    assert all(len(each) < 500 for each in left_out.sentences(CheckpointLimits()))
    assert (LeftOut().line(), LeftOut().sentences(CheckpointLimits())) == ("", ())


def test_settings_decide() -> None:
    """Each by itself."""
    limits = checkpoint_limits(file_mb=100, all_mb=None)

    assert (limits.file_bytes, limits.all_bytes) == (100 * MB, 250 * MB)
