"""A text file as lines, so that what an edit does not touch comes back byte for byte.

Decoding remembers the byte order mark, the encoding and the end of every single line;
encoding gives exactly the same bytes back. Knows nothing of paths, edits or matches.
"""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import accumulate

LINE_END = re.compile(r"(\r\n|\n|\r)")

# Longest mark first: the mark of UTF-32 (little end first) begins with that of UTF-16.
_MARKS = (
    (b"\xff\xfe\x00\x00", "utf-32-le"),
    (b"\x00\x00\xfe\xff", "utf-32-be"),
    (b"\xef\xbb\xbf", "utf-8"),
    (b"\xff\xfe", "utf-16-le"),
    (b"\xfe\xff", "utf-16-be"),
)
_LEGACY = "windows-1252"
# Western text in one byte per character has few accented letters, and they stand alone or in
# pairs ("Größe"); the two-byte encodings of East Asia and the Cyrillic ones come in long runs.
_LEGACY_MAX_SHARE = 0.3
_ASCII = bytes(range(0x80))
_LONG_RUN = re.compile(rb"[\x80-\xff]{4,}")
_CONTROL = re.compile(rb"[\x00-\x08\x0e-\x1a\x1c-\x1f\x7f]")


def universal(text: str) -> str:
    """Return `text` with every line end (CRLF, CR, LF) written as LF."""
    return LINE_END.sub("\n", text)


@dataclass(frozen=True, slots=True)
class Document:
    """The lines of one text file.

    Attributes:
        contents: the lines without their ends, first line first; a file that ends with a line
            end has an empty last item, an empty file has one empty item.
        ends: the end of each line, same length as `contents`; the last one is empty.
        encoding: Python's name of the encoding.
        mark: the byte order mark, or nothing.
    """

    contents: tuple[str, ...]
    ends: tuple[str, ...]
    encoding: str = "utf-8"
    mark: bytes = b""

    @property
    def text(self) -> str:
        """The text with LF line ends: what a reader of the numbered view knows of the file."""
        return "\n".join(self.contents)

    @property
    def raw(self) -> str:
        """The text with its own line ends."""
        return "".join(c + e for c, e in zip(self.contents, self.ends, strict=True))

    @property
    def line_count(self) -> int:
        """How many lines a reader counts: a final line end starts no further line."""
        return len(self.contents) - (self.contents[-1] == "")

    @property
    def main_end(self) -> str:
        """The line end most lines have; LF for a file without any."""
        ends = Counter(end for end in self.ends if end)
        return ends.most_common(1)[0][0] if ends else "\n"

    @property
    def starts(self) -> tuple[int, ...]:
        """The offset of each line's first character in `text`, ascending."""
        return tuple(accumulate((len(c) + 1 for c in self.contents[:-1]), initial=0))

    def encode(self) -> bytes:
        """Return the file's bytes.

        Raises:
            UnicodeEncodeError: a character that the file's encoding does not have.
        """
        return self.mark + self.raw.encode(self.encoding)

    def with_lines(self, first: int, last: int, lines: Sequence[tuple[str, str]]) -> "Document":
        """Return a document with `lines`, and their ends, from line `first` to before `last`."""
        contents = (*self.contents[:first], *(c for c, _ in lines), *self.contents[last:])
        ends = (*self.ends[:first], *(e for _, e in lines), *self.ends[last:])
        return replace(self, contents=contents, ends=ends)

    def with_raw(self, text: str) -> "Document":
        """Return a document of the same encoding and mark that holds `text` as it stands."""
        return parse(text, encoding=self.encoding, mark=self.mark)

    def describe(self) -> str:
        """Return what is unusual about the file's form; nothing for UTF-8 with LF and no mark."""
        kinds = sorted({end for end in self.ends if end})
        names = {"\r\n": "CRLF", "\n": "LF", "\r": "CR"}
        encoding = self.encoding + (" with a byte order mark" if self.mark else "")
        parts = [] if encoding == "utf-8" else [encoding]
        if kinds not in ([], ["\n"]):
            parts.append(" and ".join(names[k] for k in kinds) + " line ends")
        return ", ".join(parts)


def parse(text: str, *, encoding: str = "utf-8", mark: bytes = b"") -> Document:
    """Return the document that holds `text`, its line ends as they are."""
    pieces = LINE_END.split(text)
    return Document(tuple(pieces[0::2]), (*pieces[1::2], ""), encoding, mark)


def decode(data: bytes) -> Document | None:
    """Return the text that `data` is, or None when it is not text.

    UTF-8, or Unicode under a byte order mark, or, when the bytes look like Western European
    text, windows-1252. What is returned encodes to exactly `data` again.
    """
    if b"\0" in data and not data.startswith(tuple(mark for mark, _ in _MARKS)):
        return None  # at once: most of what is searched and is no text ends here
    mark, encoding = _form(data)
    try:
        text = data[len(mark) :].decode(encoding)
    except UnicodeDecodeError:
        return None
    if "\0" in text or (encoding == _LEGACY and _CONTROL.search(data)):
        return None
    document = parse(text, encoding=encoding, mark=mark)
    return document if document.encode() == data else None


def _form(data: bytes) -> tuple[bytes, str]:
    for mark, encoding in _MARKS:
        if data.startswith(mark):
            return mark, encoding
    try:
        data.decode()
    except UnicodeDecodeError:
        return b"", _LEGACY if _looks_western(data) else "utf-8"
    return b"", "utf-8"


def _looks_western(data: bytes) -> bool:
    high = len(data.translate(None, delete=_ASCII))
    return high <= _LEGACY_MAX_SHARE * len(data) and not _LONG_RUN.search(data)
