"""What an agent has seen of a file: versions and lines, over views and edits."""

from domain.editing import seen
from domain.editing.edit import Edited, Refused, create, digest

OLD, NEW = digest(b"old"), digest(b"new")
FILE = b"line\n" * 5_000


def test_a_file_is_seen_whole_once_every_line_was_shown() -> None:
    """Views add up, in any order and overlapping, as long as the file is the same."""
    first = seen.viewed(None, OLD, 1, 2_000, 5_000)
    third = seen.viewed(first, OLD, 4_001, 5_000, 5_000)

    assert seen.version(third) == OLD
    assert seen.unseen(third, 5_000) == ((2_001, 4_000),)
    assert seen.viewed(third, OLD, 1_500, 4_000, 5_000) == OLD
    assert seen.unseen(OLD, 5_000) == ()
    assert seen.unseen(seen.viewed(third, NEW, 1, 10, 5_000), 5_000) == ((11, 5_000),)
    assert seen.viewed(None, OLD, 1, 0, 0) == OLD


def test_an_edit_shows_nothing_of_a_file_that_was_not_viewed() -> None:
    """Who changed an unseen, stale or partly seen file has not seen the rest of it."""
    part = seen.viewed(None, OLD, 1, 10, 20)

    assert seen.edited(None, None, NEW) == NEW
    assert seen.edited(None, OLD, NEW) is None
    assert seen.edited(OLD, OLD, NEW) == NEW
    assert seen.edited("stale", OLD, NEW) == "stale"
    moved = seen.edited(part, OLD, NEW)
    assert seen.version(moved) == NEW
    assert seen.unseen(moved, 20) == ((1, 20),)


def test_create_replaces_only_what_was_seen_whole() -> None:
    """A view of the first 2,000 of 5,000 lines does not allow to overwrite the rest."""
    part = seen.viewed(None, digest(FILE), 1, 2_000, 5_000)

    refused = create(FILE, "x\n", seen=part)
    allowed = create(FILE, "x\n", seen=seen.viewed(part, digest(FILE), 2_001, 5_000, 5_000))

    assert isinstance(refused, Refused)
    assert refused.message.startswith("Error: You have not seen lines 2001 to 5000 of this file.")
    assert isinstance(allowed, Edited)
