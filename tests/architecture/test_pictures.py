"""The pictures of README.md show views that there still are; `make picture` makes them anew."""

import html
import io
import re

import pytest
from rich.console import Console

from cli.answer_pad import AnswerPad
from cli.snapshot import Snapshot
from cli.views.live import live_view
from cli.views.pad import PadView
from contracts.task import TaskState
from domain.request.markdown import card
from ops.picture import COLUMNS, PICTURES, ROOT, texts
from tests.cli.builders import agent, approval, status, task


def words_of(name: str) -> str:
    """Return the words of a picture, with single blanks."""
    svg = (PICTURES / f"{name}.svg").read_text(encoding="utf-8")
    return " ".join(html.unescape(" ".join(texts(svg))).split())


def test_the_picture_of_the_live_view_has_the_words_of_todays() -> None:
    """The heading of the plan, the keys, the states and the mark of a reply that comes."""
    shown = Snapshot(
        status(
            task("a", TaskState.RUNNING, turns=1, tokens=5, cost_usd=1.0, rounds=1),
            model="m (rehearsed)",
        ),
        agents={"a": agent("a")},
    )
    out = io.StringIO()
    keys = PadView(AnswerPad(), shown.status.id, "orchestcode")
    Console(file=out, width=COLUMNS, height=40).print(
        live_view(shown, program="orchestcode", fit=True, asked=keys)
    )
    lines = [" ".join(line.split()) for line in out.getvalue().splitlines()]
    heading = next(line for line in lines if line.startswith("plan "))
    bar = next(line for line in lines if "help" in line)
    picture = words_of("watch")

    assert heading in picture
    assert bar in picture
    assert "(rehearsed)" in picture
    assert re.search(r"~ \S+ (coder|reviewer) turn \d+: [\d,]+ characters", picture)


def test_the_picture_of_the_card_has_the_words_of_todays() -> None:
    """What waits, and how it is answered."""
    asked = card(status(task("a"), approvals=(approval(),)))
    picture = words_of("card")

    for words in ("Waits for you:", "Answer here:", "Or in a terminal:", "Tasks: 0 of"):
        assert words in asked
        assert words in picture
    assert "temporal workflow signal --name approve" in picture


@pytest.mark.parametrize("name", ["watch", "card"])
def test_a_picture_is_in_the_readme_and_fetches_nothing(name: str) -> None:
    """Neither a font nor a style from elsewhere: a viewer needs no network."""
    svg = (PICTURES / f"{name}.svg").read_text(encoding="utf-8")

    assert f"(docs/pictures/{name}.svg)" in (ROOT / "README.md").read_text(encoding="utf-8")
    assert "url(" not in re.sub(r"url\(#[\w-]+\)", "", svg)
