"""What an agent has seen of a file: which version, and whether all of its lines.

A record is a text: the digest of the version; after a blank, the line ranges when some are unseen.
"""

from collections.abc import Iterator, Sequence


def version(record: str | None) -> str | None:
    """Return the digest of the version that was seen last, None when none was."""
    return record.split(" ")[0] if record else None


def unseen(record: str | None, count: int) -> tuple[tuple[int, int], ...]:
    """Return the first and last line of each gap in what was seen of a file of `count` lines."""
    return tuple(_gaps(_ranges(record), count)) if record and " " in record else ()


def viewed(record: str | None, digest: str, first: int, last: int, count: int) -> str:
    """Return the record after the lines from `first` to `last` of `count` were shown."""
    before = record if version(record) == digest else None
    if before == digest:
        return digest
    ranges = [*_ranges(before), *([(first, last)] if first <= last else [])]
    if not tuple(_gaps(ranges, count)):
        return digest
    return " ".join([digest, *(f"{start}-{end}" for start, end in _united(ranges))])


def edited(record: str | None, before: str | None, after: str) -> str | None:
    """Return the record after an edit of the version `before` that made the version `after`.

    Who changed a version that it had not seen has not seen the new one either. `before` is None
    when there was no file.
    """
    if before is None or record == before:
        return after
    if version(record) != before:
        return record
    return f"{after} "  # the lines have moved: which are seen is unknown


def _ranges(record: str | None) -> list[tuple[int, int]]:
    pairs = (each.split("-") for each in (record or "").split(" ")[1:] if each)
    return [(int(start), int(end)) for start, end in pairs]


def _united(ranges: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """Return ranges that neither touch nor overlap, ascending."""
    united: list[tuple[int, int]] = []
    for start, end in sorted(ranges):
        if united and start <= united[-1][1] + 1:
            united[-1] = (united[-1][0], max(end, united[-1][1]))
        else:
            united.append((start, end))
    return united


def _gaps(ranges: Sequence[tuple[int, int]], count: int) -> Iterator[tuple[int, int]]:
    at = 1
    for start, end in _united(ranges):
        if start > at:
            yield at, start - 1
        at = max(at, end + 1)
    if at <= count:
        yield at, count
