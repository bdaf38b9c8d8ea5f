"""Figures with units, and untrusted texts made harmless to a terminal."""

from collections.abc import Sequence

from domain.text import for_people, one_line, visible


def clean(text: str, limit: int = 300) -> str:
    """Return an untrusted text as one harmless line of at most `limit` characters."""
    return one_line(text, limit)


def name(text: str) -> str:
    """Return an id, a name or an address as it is, on one line, with nothing hidden in it."""
    return visible(text).replace("\n", "\\n").replace("\t", "\\t")


def clean_lines(text: str, limit: int = 40) -> list[str]:
    """Return an untrusted text as at most `limit` harmless, still indented lines."""
    lines = [line.rstrip() for line in for_people(text, 20_000).strip("\n").split("\n")]
    lines = lines if any(lines) else []
    hidden = len(lines) - limit
    return lines if hidden <= 0 else [*lines[:limit], f"… {hidden} more lines"]


def money(usd: float) -> str:
    """Return dollars, below one dollar to the hundredth of a cent."""
    return f"${usd:.2f}" if usd >= 1 or usd == 0 else f"${usd:.4f}"


def cost(usd: float, unpriced_tokens: int) -> str:
    """Return what something cost; of tokens whose price nobody has said, only that."""
    if not unpriced_tokens:
        return money(usd)
    unknown = f"price of {count(unpriced_tokens)} tokens unknown"
    return f"{money(usd)}, {unknown}" if usd else unknown


def count(number: int) -> str:
    """Return a count in at most five characters: 950, 12.3k, 1.2M."""
    if number < 1_000:
        return str(number)
    if number < 999_950:
        return f"{number / 1_000:.1f}k"
    return f"{number / 1_000_000:.1f}M"


def size(count_bytes: int) -> str:
    """Return an amount of disk: 0 kB, 12 kB, 3.4 MB, 1.2 GB."""
    for unit, word in ((1_000_000_000, "GB"), (1_000_000, "MB")):
        if count_bytes >= unit:
            return f"{count_bytes / unit:.1f} {word}"
    return f"{max(count_bytes, 0) / 1_000:.0f} kB"


def span(seconds: float) -> str:
    """Return a duration: 8.3 s, 2 min 05 s, 1 h 02 min."""
    if seconds < 59.95:
        return f"{max(seconds, 0):.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min"


def age(seconds: float) -> str:
    """Return how long ago something was, roughly: 40 s, 5 min, 3 h, 12 d."""
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= size:
            return f"{int(seconds // size)} {unit}"
    return f"{int(max(seconds, 0))} s"


def commit(object_id: str | None) -> str:
    """Return the beginning of an object id, "" when there is none."""
    return (object_id or "")[:10]


def plural(number: int, noun: str) -> str:
    """Return a count with its noun: 1 task, 3 tasks."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def columns(rows: Sequence[Sequence[str]], *, right: int | None = None) -> list[str]:
    """Return rows as lines with aligned cells; from the column `right` on to the right."""
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    last = len(widths) if right is None else right
    return [
        "  ".join(
            cell.ljust(width) if place < last else cell.rjust(width)
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]


def narrowed(
    rows: Sequence[Sequence[str]],
    choices: Sequence[Sequence[str]],
    width: int,
    *,
    right: str = "",
) -> list[str]:
    """Return a table, its head first, as lines within a width: without what the first choice drops.

    Args:
        rows: the head's cells name the columns.
        choices: titles of columns that are left out, the widest table first.
        width: of the terminal; 0 where there is none: the whole table.
        right: the title of the first column whose cells stand to the right; "" for none.
    """
    head = rows[0]
    left = head.index(right) if right else len(head)
    lines = list[str]()
    for left_out in ((), *choices):
        places = [place for place, title in enumerate(head) if title not in left_out]
        cells = [[row[place] for place in places] for row in rows]
        lines = columns(cells, right=sum(place < left for place in places))
        if not width or max(map(len, lines)) <= width:
            break
    return lines
