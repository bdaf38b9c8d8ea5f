"""What a person has written for every agent, of whatever repository: files of their own home."""

from collections.abc import Sequence
from pathlib import Path

from domain.agent.instructions import BUDGET_BYTES, cut_to, prose
from domain.text import for_people
from infra.regular_file import regular_content


def person_instructions(files: Sequence[Path]) -> tuple[Path, str] | None:
    """Return the first file with a text, and its prose; None when there is none.

    It is cut at a line where it is longer than what is told of a repository's.
    """
    for file in files:
        data = regular_content(file)
        if data is None or b"\0" in data:
            continue
        text = data.decode("utf-8", "replace")
        if told := prose(for_people(text, len(text))):
            return file, cut_to(told, BUDGET_BYTES)[0]
    return None
