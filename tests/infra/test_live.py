"""What a running reply shows beside every history: whole words, no secret, at no call's cost."""

import fcntl
import itertools
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.live.entries import CallAbout, Part
from infra.live.reader import LiveReader, RunningReply
from infra.live.words import WordStream
from infra.live.writer import LiveReplies
from runtime.redaction import redactor

KEY = "request-1"
SECRET = "s3cr3t-of-the-model"
PHRASE = "correct horse battery"
ABOUT = CallAbout("agent-1", "coder", "cart", 3)


@pytest.fixture
def replies(tmp_path: Path) -> Iterator[LiveReplies]:
    """The running calls of a worker."""
    made = LiveReplies(tmp_path / "live", redactor((SECRET, PHRASE)), (SECRET, PHRASE))
    yield made
    made.close()


@pytest.fixture
def reader(tmp_path: Path) -> Iterator[LiveReader]:
    """Somebody who watches the request."""
    made = LiveReader(tmp_path / "live", KEY)
    yield made
    made.close()


def seen(reader: LiveReader, wanted: str = "", seconds: float = 60.0) -> RunningReply:
    """Return the running reply once a text of it is there."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        found = reader.replies().get(ABOUT.conversation)
        if found and any(wanted in text for _, text in found.parts or [(Part.SAYS, "")]):
            return found
        time.sleep(0.005)
    raise AssertionError(f"{wanted!r} was not seen")


def words(found: RunningReply) -> str:
    """Return all that is seen of a reply."""
    return "".join(text for _, text in found.parts)


def test_words_are_seen_while_the_reply_comes_and_gone_with_it(
    replies: LiveReplies, reader: LiveReader, tmp_path: Path
) -> None:
    """Text, thoughts, the tool and its arguments in their order, for the home's owner alone."""
    with replies.reply(KEY, ABOUT) as reply:
        reply.hear(Part.THINKS, "Look at the ")
        reply.hear(Part.THINKS, "cart first.")
        reply.hear(Part.SAYS, "I read it ")
        reply.hear(Part.CALLS, "view")
        reply.hear(Part.INPUT, '{"path": "cart.py", ')
        found = seen(reader, "cart.py")
        [file] = _files(tmp_path / "live")
        modes = (file.stat().st_mode & 0o777, file.parent.stat().st_mode & 0o777)

    assert found.about == ABOUT
    assert [part for part, _ in found.parts] == [Part.THINKS, Part.SAYS, Part.CALLS, Part.INPUT]
    assert words(found) == 'Look at the cart first.I read it view{"path": "cart.py", '
    assert found.chars == len(words(found))
    assert modes == (0o600, 0o700)
    replies.close()
    assert list((tmp_path / "live").iterdir()) == []
    assert reader.replies() == {}


def test_a_turn_that_begins_again_says_so(replies: LiveReplies, reader: LiveReader) -> None:
    """A call that failed and is made once more is the same turn again; the next turn is not."""
    for _ in range(2):
        with pytest.raises(ValueError, match="reset"), replies.reply(KEY, ABOUT):
            raise ValueError("reset")
    with replies.reply(KEY, ABOUT) as reply:
        reply.hear(Part.SAYS, "now ")
        assert seen(reader, "now").about.again == 2
    with replies.reply(KEY, CallAbout("agent-1", "coder", "cart", 4)) as reply:
        reply.hear(Part.SAYS, "then ")
        assert seen(reader, "then").about.again == 0


@given(st.lists(st.integers(0, 60), max_size=8), st.sampled_from([SECRET, PHRASE]))
def test_no_secret_is_shown_however_it_is_split(cuts: list[int], secret: str) -> None:
    """Not a part of one of three characters, neither alone nor beside what came before it."""
    whole = f"it is {secret} you know, and {secret}."
    places = [0, *sorted(min(cut, len(whole)) for cut in cuts), len(whole)]
    stream = WordStream(redactor((SECRET, PHRASE)), (SECRET, PHRASE))

    shown = [stream.take(whole[a:b]) for a, b in itertools.pairwise(places)]
    text = "".join([*shown, stream.rest()])

    assert text.startswith("it is [redacted] you know, and [redacted]"), text
    assert not [
        place for place in range(len(secret) - 3) if secret[place : place + 4].strip() in text
    ]


def test_the_body_of_a_private_key_is_not_shown() -> None:
    """Its lines come one by one, long after the line that says what they are."""
    stream = WordStream(redactor(()))
    lines = ["-----BEGIN RSA PRIVATE KEY-----\n", *("Zm9vYmFy" * 8 + "\n" for _ in range(20))]

    text = "".join(map(stream.take, [*lines, "-----END RSA PRIVATE KEY-----\n", "after it\n"]))

    assert "Zm9v" not in text
    assert text.endswith("after it\n")


def test_what_moves_a_cursor_is_not_shown(replies: LiveReplies, reader: LiveReader) -> None:
    """Neither from the model nor by a file that another program has written there."""
    with replies.reply(KEY, ABOUT) as reply:
        reply.hear(Part.SAYS, "\x1b[2J\x1b]0;title\x07red\u202e ")
        assert "\x1b" not in words(seen(reader, "red"))


def test_a_long_reply_keeps_its_file_small(tmp_path: Path, reader: LiveReader) -> None:
    """A new file takes the place of a full one, and the reader goes on with the same reply."""
    replies = LiveReplies(tmp_path / "live", str, most_bytes=2_000)
    sizes = []
    with replies.reply(KEY, ABOUT) as reply:
        for number in range(300):
            reply.hear(Part.SAYS, f"word{number} of many that come ")
            if number % 20 == 0:
                sizes.append(sum(map(_size, _files(tmp_path / "live"))))
                time.sleep(0.03)
        found = seen(reader, "word299")
    replies.close()

    assert max(sizes) < 8_000
    assert found.chars > 7_000


def _size(file: Path) -> int:
    """Return a file's size; one that has taken another's place meanwhile is gone."""
    try:
        return file.stat().st_size
    except FileNotFoundError:
        return 0


def _files(folder: Path) -> list[Path]:
    """Return the files of replies; one that is not yet whole has a hidden name."""
    found = folder.iterdir() if folder.is_dir() else ()
    return [file for file in found if not file.name.startswith(".")]


def test_a_word_without_end_is_left_out(replies: LiveReplies, reader: LiveReader) -> None:
    """Its characters are counted all the same, so that the reply does not seem to stand still."""
    with replies.reply(KEY, ABOUT) as reply:
        for _ in range(100):
            reply.hear(Part.SAYS, "x" * 1_000)
        reply.hear(Part.SAYS, " and on ")
        found = seen(reader, "and on")

    assert words(found) == "[a long word] and on "
    assert found.chars == 100_008


def test_what_a_killed_worker_left_is_not_shown_and_swept(
    replies: LiveReplies, reader: LiveReader, tmp_path: Path
) -> None:
    """Nobody holds its lock; a file that a worker still writes stays."""
    folder = tmp_path / "live"
    with replies.reply(KEY, ABOUT) as reply:
        reply.hear(Part.SAYS, "alive ")
        seen(reader, "alive")
        [file] = _files(folder)
        left = folder / f"{KEY}.left"
        left.write_bytes(file.read_bytes().replace(b"agent-1", b"agent-2"))
        end = time.monotonic() + 60
        while "agent-2" in reader.replies() and time.monotonic() < end:
            time.sleep(0.05)
        kept = reader.replies()
        replies.sweep()
        swept = _files(folder)

    assert list(kept) == ["agent-1"]
    assert swept == [file]


@pytest.mark.parametrize("harm", ["full", "gone", "file", "hung"])
def test_what_cannot_be_written_costs_a_call_nothing(
    harm: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A full disk, a folder that cannot be made, or a device that hangs: the call goes on at once,
    and what waits for it stays small.
    """
    folder = tmp_path / "live"
    if harm == "file":
        folder.write_text("no folder")
    if harm == "gone":
        folder = tmp_path / "not" / "there"
    goes_on = threading.Event()
    if harm in ("full", "hung"):
        monkeypatch.setattr(os, "write", lambda *_: _harmed(harm, goes_on))
    replies = LiveReplies(folder, str)
    began = time.monotonic()

    with replies.reply(KEY, ABOUT) as reply:
        for _ in range(5_000):
            reply.hear(Part.SAYS, "a word of a thousand characters " * 30)

    took = time.monotonic() - began
    goes_on.set()
    assert took < _HANGS_SECONDS / 2
    assert replies._size < 3 << 20


_HANGS_SECONDS = 120.0


def _harmed(harm: str, goes_on: threading.Event) -> int:
    if harm == "full":
        raise OSError(28, "No space left on device")
    goes_on.wait(_HANGS_SECONDS)
    return 0


def test_a_reader_that_hangs_slows_nothing(replies: LiveReplies, tmp_path: Path) -> None:
    """It may keep the file open, and even locked."""
    with replies.reply(KEY, ABOUT) as reply:
        reply.hear(Part.SAYS, "first ")
        while not (files := _files(tmp_path / "live")):
            time.sleep(0.005)
        with files[0].open("rb") as held:
            with pytest.raises(BlockingIOError):
                fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
            began = time.monotonic()
            for _ in range(2_000):
                reply.hear(Part.SAYS, "a word ")
            assert time.monotonic() - began < 60.0
