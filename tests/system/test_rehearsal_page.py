"""The scripts of docs/rehearsal.md play whole requests with the product's real tools."""

import json
import re
from typing import Any

import pytest

from rehearsal import journal
from tests.local_deployment import ROOT, LocalDeployment, git
from tests.model_scripts import Task, play

_BLOCK = re.compile(r"```json\n(.*?)```", re.DOTALL)


def _scripts() -> list[Any]:
    page = (ROOT / "docs" / "rehearsal.md").read_text(encoding="utf-8")
    return [found for text in _BLOCK.findall(page) if "casts" in (found := json.loads(text))]


async def _played(
    script: Any, files: dict[str, str], *, shown: str
) -> tuple[str, list[journal.Entry]]:
    """Return a file of the branch that was delivered, and what the model was asked."""
    async with LocalDeployment(script) as deployment:
        folder = deployment.repository("shop", files)
        status = await deployment.delivered(await deployment.start_request("annotate", folder))
        text = git(folder, "show", f"{status.branch}:{shown}")
        return text, deployment.journal()


@pytest.mark.minutes
async def test_the_first_script_of_the_page_is_a_whole_request() -> None:
    """Its edit is delivered, after the two replies that it has cut."""
    script = _scripts()[0]
    files = {"parser.py": "def parse(text):\n    return [text]\n"}
    text, entries = await _played(script, files, shown="parser.py")

    assert text.startswith("def parse(text: str) -> list[str]:\n")
    assert journal.failures(entries) == []
    assert [entry.fault for entry in entries].count("cut_clean") == 2


@pytest.mark.minutes
async def test_the_generated_turns_of_the_page_are_turns_of_a_coder() -> None:
    """All forty edits are made, whatever its random faults; planner and reviewer are added."""
    script = _scripts()[1]
    others = play("annotate", Task(id="count", coder=(), writes=("counter.txt",)))
    others = [cast for cast in others if cast["match"]["role"] != "coder"]
    played = {**script, "casts": [*script["casts"], *others]}
    files = {"README.md": "To count.\n"}
    text, entries = await _played(played, files, shown="counter.txt")

    assert text.startswith("step 40\n")
    assert journal.failures(entries) == []
