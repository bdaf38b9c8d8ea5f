"""Files beneath a root: what is kept, what is refused, and that no path leads outside."""

import os
import re
import resource
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from infra.files import openat2
from infra.files.confined_files import ConfinedFiles
from infra.files.confined_root import ConfinementUnavailableError, PathRefused
from infra.files.listing import list_directory

RACE_TRIES = 400
ATTACK = """
import ctypes, os, sys
exchange = ctypes.CDLL(None, use_errno=True).renameat2
one, other = map(os.fsencode, sys.argv[1:])
assert exchange(-100, one, -100, other, 2) == 0, os.strerror(ctypes.get_errno())
print("at work", flush=True)
while True:
    exchange(-100, one, -100, other, 2)
"""
OTHER_USER = 65_534


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """The folder that the files are confined to."""
    folder = tmp_path / "root"
    folder.mkdir()
    return folder


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    """A folder beside it, with a file that must stay as it is."""
    folder = tmp_path / "outside"
    folder.mkdir()
    (folder / "f.txt").write_bytes(b"outside")
    return folder


@pytest.fixture
def files(root: Path) -> Iterator[ConfinedFiles]:
    """The files beneath the root."""
    with ConfinedFiles(root) as opened:
        yield opened


def mode(path: Path) -> int:
    """The permission bits of a file."""
    return stat.S_IMODE(path.stat().st_mode)


def descriptors() -> int:
    """How many files this process has open."""
    return len(list(Path("/proc/self/fd").iterdir()))


def test_what_is_written_is_read(files: ConfinedFiles, root: Path) -> None:
    """Content and mode come back; folders are created; an absent file is None."""
    assert files.read("a/b/c.txt") is None

    written = files.write("a/b/c.txt", b"one\r\n")

    read = files.read("a/b/c.txt")
    assert read == written
    assert (written.data, written.mode) == (b"one\r\n", 0o644)
    assert (root / "a/b/c.txt").read_bytes() == b"one\r\n"
    assert files.read("a/b/c.txt/d") is None
    assert [p.name for p in (root / "a/b").iterdir()] == ["c.txt"]


def test_the_mode_is_kept_but_for_setuid(files: ConfinedFiles, root: Path) -> None:
    """An executable stays one; setuid and setgid go."""
    script = root / "run.sh"
    script.write_bytes(b"#!/bin/sh\n")
    script.chmod(0o6755)

    assert files.write("run.sh", b"#!/bin/sh\ntrue\n").mode == 0o755
    assert mode(script) == 0o755


def test_the_umask_does_not_matter(files: ConfinedFiles, root: Path) -> None:
    """New files are 0644 and new folders 0755 under any umask."""
    old = os.umask(0o077)
    try:
        files.write("d/e/f", b"")
    finally:
        os.umask(old)

    assert [mode(root / p) for p in ("d", "d/e", "d/e/f")] == [0o755, 0o755, 0o644]


def test_a_hard_link_is_broken_not_followed(
    files: ConfinedFiles, root: Path, outside: Path
) -> None:
    """A file with a second name elsewhere is replaced; the other name keeps the old content."""
    os.link(outside / "f.txt", root / "f.txt")

    files.write("f.txt", b"inside")

    assert (outside / "f.txt").read_bytes() == b"outside"
    assert (root / "f.txt").read_bytes() == b"inside"


def test_a_reader_sees_the_old_file_until_it_is_replaced(files: ConfinedFiles, root: Path) -> None:
    """A reader that has the file open keeps the old content: nothing is written in place."""
    (root / "f").write_bytes(b"old")

    with (root / "f").open("rb") as reader:
        files.write("f", b"new content")

        assert reader.read() == b"old"


def test_a_failed_write_leaves_nothing(files: ConfinedFiles, root: Path) -> None:
    """When a write fails in its middle, the old file stays and no half-written one is left."""
    (root / "f").write_bytes(b"old")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)

    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, limits[1]))
    try:
        with pytest.raises(OSError, match="File too large"):
            files.write("f", bytes(1_000_000))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)

    assert {p.name: p.read_bytes() for p in root.iterdir()} == {"f": b"old"}


@pytest.mark.parametrize(
    "path",
    ["", "/etc/passwd", "../outside/f.txt", "a/../../x", ".git/config", "x/.GIT/hooks/h", "a\0b"],
    ids=ascii,
)
def test_refused_names_reach_no_file(files: ConfinedFiles, root: Path, path: str) -> None:
    """What the rules for paths refuse is refused by every method, before anything is touched."""
    (root / ".git").mkdir()
    for act in (files.read, files.is_folder):
        with pytest.raises(PathRefused):
            act(path)
    with pytest.raises(PathRefused):
        list_directory(files, path)
    with pytest.raises(PathRefused):
        files.write(path, b"x")

    assert [p.name for p in root.rglob("*")] == [".git"]


@pytest.mark.parametrize(
    ("link", "target", "path", "sentence"),
    [
        ("l.txt", "real.txt", "l.txt", "'l.txt' is a symbolic link to 'real.txt': use 'real.txt'"),
        ("l", "d", "l/x.txt", "'l' is a symbolic link to 'd': use 'd/x.txt'"),
        ("d/l", "../real.txt", "d/l", "'d/l' is a symbolic link to 'real.txt': use 'real.txt'"),
        ("l", "ROOT/d", "l/x.txt", "'l' is a symbolic link to 'd': use 'd/x.txt'"),
        ("l", "OUTSIDE", "l/f.txt", "'l' is a symbolic link that leaves the repository"),
        ("l", "OUTSIDE/f.txt", "l", "'l' is a symbolic link that leaves the repository"),
        ("l", "../outside/new", "l", "'l' is a symbolic link that leaves the repository"),
        ("l", "/proc/self/root", "l/etc/hostname", "'l' is a symbolic link that leaves"),
        ("l", "l", "l", "'l' is a symbolic link to 'l'"),
    ],
    ids=[
        *("file", "folder", "upwards", "absolute-inside", "folder-outside", "file-outside"),
        *("dangling", "magic", "loop"),
    ],
)
def test_symbolic_links_are_refused_with_the_path_to_use(
    root: Path, outside: Path, link: str, target: str, path: str, sentence: str
) -> None:
    """Every method names the link and the real path inside, and no path of the host."""
    (root / "d").mkdir()
    (root / "real.txt").write_bytes(b"real")
    (root / "d/x.txt").write_bytes(b"x")
    real = target.replace("ROOT", str(root)).replace("OUTSIDE", str(outside))
    (root / link).symlink_to(real)

    with ConfinedFiles(root) as files:
        acts = (files.read, lambda p: files.write(p, b"changed"))
        for act in acts:
            with pytest.raises(PathRefused, match=re.escape(sentence)) as refused:
                act(path)
            assert str(root.parent) not in str(refused.value)

    assert (root / link).is_symlink()
    assert (root / "real.txt").read_bytes() == b"real"
    assert [p.name for p in outside.iterdir()] == ["f.txt"]
    assert (outside / "f.txt").read_bytes() == b"outside"


def test_what_is_no_regular_file_is_refused(files: ConfinedFiles, root: Path) -> None:
    """A FIFO does not block, a socket, a device and a folder are named as what they are."""
    os.mkfifo(root / "pipe")
    (root / "folder").mkdir()
    names = ["pipe", "folder", "folder/", "socket"]
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(root / "socket"))
        if os.geteuid() == 0:
            os.mknod(root / "null", 0o666 | stat.S_IFCHR, os.makedev(1, 3))
            names.append("null")

        for name in names:
            for act in (files.read, lambda p: files.write(p, b"x")):
                with pytest.raises(PathRefused, match=r"not a (regular )?file"):
                    act(name)

    assert stat.S_ISFIFO((root / "pipe").stat().st_mode)


def test_a_file_in_the_way_of_a_folder_is_refused(files: ConfinedFiles, root: Path) -> None:
    """A file is never replaced by a folder, and a name that is too long is never cut."""
    (root / "a").write_bytes(b"file")

    with pytest.raises(PathRefused, match="has a file where a folder is needed"):
        files.write("a/b", b"x")
    with pytest.raises(PathRefused, match="too long"):
        files.write("n" * 300, b"x")

    assert (root / "a").read_bytes() == b"file"


def test_a_file_beyond_the_limit_is_refused(files: ConfinedFiles, root: Path) -> None:
    """The limit itself is allowed, one byte more is not, and a huge file is not read
    to find out.
    """
    (root / "f").write_bytes(b"12345")
    with (root / "sparse").open("wb") as sparse:
        sparse.truncate(1 << 40)

    state = files.read("f", limit_bytes=5)
    assert state is not None
    assert state.data == b"12345"
    for name, limit in (("f", 4), ("sparse", 20 * 1024 * 1024)):
        with pytest.raises(PathRefused, match=f"larger than {limit:,} bytes"):
            files.read(name, limit_bytes=limit)


def test_a_listing_is_bounded_and_leaves_out_control_folders(
    files: ConfinedFiles, root: Path
) -> None:
    """Two levels, folders with a slash, links with their target, odd names escaped, .git left out;
    where they do not fit, folders with the counts of their files.
    """
    for path in ("b/c/d.txt", "a.txt", "node_modules/x/y.js"):
        files.write(path, b"")
    (root / ".git").mkdir()
    (root / ".orchestcode-0123456789abcdef").touch()
    (root / "link").symlink_to("b/c")
    (root / "away").symlink_to("/etc")
    (root / "new\nline").touch()
    Path(os.fsdecode(os.fsencode(root) + b"/\xff")).touch()

    entries = list_directory(files, ".")

    top = ["a.txt", "away -> a place outside", "b/", "link -> b/c", "new\\nline", "node_modules/"]
    assert entries == sorted([*top, "b/c/", "\\udcff"])
    assert list_directory(files, "b/", depth=1) == ["b/c/"]
    assert "b/c/d.txt" in list_directory(files, ".", depth=3)
    few = list_directory(files, ".", limit=3)
    assert few == ["\\udcff", "b/ (1 file)", "node_modules/", "[4 more entries are not shown]"]
    assert "\n".join(entries).encode()
    assert files.is_folder("b")
    assert not files.is_folder("a.txt")
    assert not files.is_folder("none")
    for path, sentence in (("a.txt", "is not a folder"), ("link", "symbolic link to 'b/c'")):
        with pytest.raises(PathRefused, match=sentence):
            list_directory(files, path)


@pytest.mark.needs_root
def test_new_files_and_folders_belong_to_the_owner(root: Path) -> None:
    """With an owner everything new is the owner's, existing folders stay as they were; for root
    without one, a replaced file keeps its owner.
    """
    (root / "old").mkdir()
    with ConfinedFiles(root, owner=(OTHER_USER, OTHER_USER)) as files:
        files.write("old/new/f", b"")
    with ConfinedFiles(root) as files:
        files.write("old/new/f", b"again")

    owners = [(root / p).stat().st_uid for p in ("old", "old/new", "old/new/f")]
    assert owners == [0, OTHER_USER, OTHER_USER]


@pytest.mark.needs_root
def test_a_hard_link_to_another_users_file_is_not_read(root: Path, outside: Path) -> None:
    """The agent's user cannot lend itself the worker's rights by linking what it cannot read."""
    os.link(outside / "f.txt", root / "f.txt")

    with (
        ConfinedFiles(root, owner=(OTHER_USER, OTHER_USER)) as files,
        pytest.raises(PathRefused, match="hard link to another user's file"),
    ):
        files.read("f.txt")


@pytest.mark.every_user
@pytest.mark.parametrize(
    "tries",
    [RACE_TRIES, pytest.param(4_000, marks=pytest.mark.security_long, id="4,000 tries")],
)
def test_a_swapped_folder_leads_nowhere(root: Path, outside: Path, tries: int) -> None:
    """While another process exchanges a folder and a link to the outside, no write or read reaches
    the outside, and enough of them succeed to show that both states occurred.
    """
    (root / "d").mkdir()
    (root / "d/f.txt").write_bytes(b"inside")
    (root / "swap").symlink_to(outside)
    attack = [sys.executable, "-c", ATTACK, str(root / "d"), str(root / "swap")]
    with subprocess.Popen(attack, stdout=subprocess.PIPE) as attacker:
        assert attacker.stdout is not None
        attacker.stdout.readline()
        try:
            came_through = [_try_one(root, index) for index in range(tries)]
            # Where the other process gets little time, both states take more tries to occur.
            while len(set(came_through)) < 2 and len(came_through) < 50 * tries:
                came_through.append(_try_one(root, len(came_through)))
        finally:
            attacker.kill()

    assert [p.name for p in outside.iterdir()] == ["f.txt"]
    assert (outside / "f.txt").read_bytes() == b"outside"
    assert {True, False} == set(came_through)


def _try_one(root: Path, index: int) -> bool:
    """Write or read something in the swapped folder; return whether it was not refused."""
    with ConfinedFiles(root) as files:
        try:
            if index % 2:
                state = files.read("d/f.txt")
                assert state is not None
                assert state.data == b"inside"
            else:
                files.write(f"d/folder-{index % 4}/f.txt", b"written")
                files.write("d/g.txt", b"written")
        except PathRefused:
            return False
    return True


def test_without_openat2_nothing_is_read_or_written(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A kernel that lacks the syscall is refused at once with what it needs, never
    worked around.
    """
    monkeypatch.setattr(openat2, "_OPENAT2", 9_999)  # no kernel has this one
    before = descriptors()

    with pytest.raises(ConfinementUnavailableError, match=re.escape("Linux 5.6 or newer")):
        ConfinedFiles(root)

    assert descriptors() == before


def test_no_descriptor_is_left_open(root: Path) -> None:
    """After success and after refusal every descriptor is closed."""
    (root / "l").symlink_to("x")
    before = descriptors()

    for _ in range(20):
        with ConfinedFiles(root) as files:
            files.write("a/b/c", b"x")
            files.read("a/b/c")
            list_directory(files, ".")
            for path in ("l", "l/x", "a", "a/b/c/d"):
                with pytest.raises(PathRefused):
                    files.write(path, b"x")

    assert descriptors() == before
