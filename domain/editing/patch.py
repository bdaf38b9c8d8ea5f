"""A patch of several files: its parts, whatever the form in which it was written."""

from collections.abc import Sequence
from dataclasses import dataclass

from domain.editing.document import LINE_END


class PatchProblem(ValueError):  # noqa: N818 - a sentence for the agent, an answer like others
    """A text that is no patch, and how to write it; in words for the agent."""


@dataclass(frozen=True, slots=True)
class PatchLine:
    """One line of a hunk.

    Attributes:
        mark: " " for a line that stays, "-" for one that goes, "+" for one that comes.
        text: without its end.
        end: the line end that the patch gives it; "" where the patch does not tell line ends.
    """

    mark: str
    text: str
    end: str = ""


@dataclass(frozen=True, slots=True)
class Hunk:
    """One place of a file that changes.

    Attributes:
        number: the line of the patch on which it begins, from 1.
        start: the line of the file, from 1, at which its old lines begin; where it has none, the
            line behind which it inserts; None when the patch does not say.
        anchors: lines of the file above it, outermost first, by which to find it.
        at_end: whether it ends with the file's last line.
        ends: whether the file's last line has a line end, before and after; None when the patch
            does not say.
    """

    lines: tuple[PatchLine, ...]
    number: int
    start: int | None = None
    anchors: tuple[str, ...] = ()
    at_end: bool = False
    ends: tuple[bool, bool] | None = None

    @property
    def old(self) -> tuple[str, ...]:
        """The lines that must stand in the file."""
        return tuple(line.text for line in self.lines if line.mark != "+")

    @property
    def new(self) -> tuple[str, ...]:
        """The lines that stand there afterwards."""
        return tuple(line.text for line in self.lines if line.mark != "-")


@dataclass(frozen=True, slots=True)
class FilePatch:
    """What a patch does to one file.

    Attributes:
        path: as the patch writes it, without the prefixes of a diff.
        number: the line of the patch on which the file's part begins, from 1.
        added: the text of a new file; None for one that exists.
        deleted: whether the file goes; its hunks, if any, hold all of its lines.
        moved_to: its new path, None when it keeps its own.
        executable: whether it may be run afterwards; None = as before.
    """

    path: str
    number: int
    hunks: tuple[Hunk, ...] = ()
    added: str | None = None
    deleted: bool = False
    moved_to: str | None = None
    executable: bool | None = None


@dataclass(frozen=True, slots=True)
class PatchText:
    """Changes of files, in the order in which they are written."""

    files: tuple[FilePatch, ...]

    @property
    def paths(self) -> tuple[str, ...]:
        """Every path that it changes, each once, in order."""
        both = ((each.path, each.moved_to) for each in self.files)
        return tuple(dict.fromkeys(path for pair in both for path in pair if path is not None))


def patch_lines(mark: str, text: str, *, told: bool, last_end: str = "\n") -> Sequence[PatchLine]:
    """Return the lines of a file that one line of a patch is: several where it holds a CR.

    `told` = line ends of this patch are those of the file.
    """
    pieces = LINE_END.split(text)
    ends = [*pieces[1::2], last_end]
    texts = pieces[0::2]
    if len(texts) > 1 and texts[-1] == "":  # the line end of the file before that of the patch
        texts.pop()
        ends[len(texts) - 1 :] = [ends[len(texts) - 1] + last_end]
    pairs = zip(texts, ends, strict=True)
    return [PatchLine(mark, line, end if told else "") for line, end in pairs]
