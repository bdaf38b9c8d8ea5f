"""Topic files and the index: what is written is read back the same."""

from dataclasses import replace

import yaml
from hypothesis import example, given
from hypothesis import strategies as st

from domain.memory.memory import (
    DESCRIPTION_CHARS,
    IndexLine,
    Memory,
    MemoryType,
    draft,
    line_of,
    mark_of,
    parse,
    parse_index,
    render,
    render_index,
)
from domain.text import for_people

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=200)
LINE = TEXT.map(lambda text: " ".join(text.split()))
MOMENT = st.integers(0, 4_000_000_000)
PLAIN = Memory("plain-123456", MemoryType.PROJECT, "Plain", "text", 1, "request/x-1")
OID = st.from_regex(r"[0-9a-f]{40}", fullmatch=True)
DRAFTS = st.builds(draft, st.sampled_from(MemoryType), description=TEXT, text=TEXT, evidence=TEXT)


def memories() -> st.SearchStrategy[Memory]:
    return st.builds(
        lambda made, **fields: Memory(
            name=made.name, type=made.type, description=made.description, **fields
        ),
        DRAFTS,
        text=TEXT,
        modified=MOMENT,
        request=LINE,
        agent=LINE,
        evidence=TEXT,
        files=st.lists(st.tuples(TEXT, OID), max_size=3).map(tuple),
    )


@example(replace(PLAIN, text="\n---\ntype: user\n---\n\n"), None)
@example(replace(PLAIN, evidence='"\n---\n: [', description="\u2028"), ("rule: x", 1))
@given(memories(), st.one_of(st.none(), st.tuples(LINE.filter(bool), MOMENT)))
def test_a_topic_file_holds_the_memory(memory: Memory, accepted: tuple[str, int] | None) -> None:
    """Whatever its texts hold: fences, quotes, line ends of every kind."""
    memory = memory.accept(*accepted) if accepted else memory

    assert parse(render(memory)) == memory


@given(TEXT)
def test_no_text_is_mistaken_for_front_matter(text: str) -> None:
    """A file that is no topic file holds no memory, and reading it does not fail."""
    assert parse(text) is None
    assert parse(f"---\n{text}\n---\n") is None


def test_front_matter_is_yaml() -> None:
    """Other programs read it too: type, modified, the request and the evidence are there."""
    made = draft(
        MemoryType.PROJECT,
        description='Tests need "LANG": C.UTF-8',
        text="---\nor they fail",
        evidence="LANG=C make test",
    )
    memory = Memory(
        made.name, made.type, made.description, made.text, 1_796_000_000, "request/x-1",
        "coder of a", made.evidence, (("a.py", "0" * 40),),
    )  # fmt: skip

    head = render(memory).split("---\n")[1]
    fields = yaml.safe_load(head)

    assert fields["type"] == "project"
    assert fields["description"] == 'Tests need "LANG": C.UTF-8'
    assert f"{fields['modified']:%Y-%m-%d}" == "2026-11-30"
    assert fields["request"] == "request/x-1"
    assert fields["evidence"] == "LANG=C make test"
    assert fields["files"] == [f"a.py@{'0' * 40}"]
    assert "accepted" not in fields


@given(st.lists(DRAFTS.filter(lambda made: made.description), max_size=20))
def test_the_index_holds_a_line_for_each_memory(drafts: list[object]) -> None:
    """In its order, and nothing else."""
    lines = [IndexLine(made.name, made.type, made.description) for made in drafts]  # type: ignore[attr-defined]

    file = render_index(lines)

    assert parse_index(file) == lines
    assert len(file.splitlines()) >= len(lines)


def test_a_line_of_the_index_links_its_topic_file() -> None:
    """As people know it, so that a viewer of markdown follows it."""
    made = draft(MemoryType.FEEDBACK, description="Keep prices in cents", text="Always.")
    memory = Memory(made.name, made.type, made.description, made.text, 0, "r")

    row = render_index([line_of(memory)]).splitlines()[-1]

    assert row == (f"- [{made.name}](topics/{made.name}.md) (feedback) Keep prices in cents")
    assert made.name.startswith("keep-prices-in-cents-")


@given(DRAFTS)
def test_a_draft_has_nothing_hidden(made: object) -> None:
    """Its description is one line of a bounded length; what cannot be seen is gone."""
    description, text = made.description, made.text  # type: ignore[attr-defined]

    assert "\n" not in description
    assert len(description) <= DESCRIPTION_CHARS
    assert for_people(text) == text


def test_the_same_content_has_the_same_name() -> None:
    """So that a repeated proposal is the same one; the mark says nothing of the content."""
    first = draft(MemoryType.PROJECT, description="A trap", text="Mind it.")
    other = draft(MemoryType.PROJECT, description="A trap", text="Mind it well.")

    assert first.name == draft(MemoryType.PROJECT, description="A  trap", text="Mind it. ").name
    assert first.name != other.name
    assert mark_of(first.name) != mark_of(other.name)
    assert "trap" not in mark_of(first.name)
