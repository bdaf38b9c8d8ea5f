"""What an agent is told first: its environment and the repository's instructions, from facts."""

import json
from pathlib import Path
from typing import Any

from contracts import roles
from contracts.baseline import Survey
from contracts.model import OpenConversation
from domain.agent.instructions import INSTRUCTIONS
from infra.store import Store, trees
from infra.store.object_format import EMPTY_TREE
from rehearsal import journal
from rehearsal.server import serve
from tests.activities.test_model import REPOSITORY, ModelEnv, call, desk, script, turn
from tests.architecture import model_page

__all__ = ["desk"]
SURVEY = Survey(
    date="2026-11-29",
    system="Debian GNU/Linux 12, x86_64",
    base="main at 0123456789ab",
    tools=("Python 3.13.1", "git"),
    dependencies=("Python packages: pytest 9.0",),
)


async def committed(store: Store, files: dict[str, str], *parents: str, title: str = "base") -> str:
    """Return a commit of files on its parents."""
    entries: dict[str, Any] = {
        path: ("120000" if text.startswith("-> ") else "100644",
               await store.put_blob(text.removeprefix("-> ").encode()))
        for path, text in files.items()
    }  # fmt: skip
    tree = await trees.with_paths(store, parents[0] if parents else EMPTY_TREE, entries)
    return await store.put_commit(tree, parents, title, when=1_700_000_000)


async def opening(desk: ModelEnv, role: roles.RoleName, **fields: Any) -> dict[str, str]:
    """Return the sections of an agent's first request by name, as the service is sent it."""
    request = OpenConversation(
        repository=REPOSITORY, agent_id=f"request/x/{role}-1", role=role,
        facts=(("Task", "Do it."),), **fields,
    )  # fmt: skip
    journal_path = Path(desk.store.path).parent / f"{role}.jsonl"
    async with serve(
        script({"say": "So."}), journal_bodies=True, journal_path=journal_path
    ) as server:
        model = desk.model(server)
        conversation = await model.open_conversation(request)
        again = await model.open_conversation(request)
        assert again == conversation, "a repeated attempt opens the same conversation"
        await turn(model, call(conversation))
    body = json.loads(journal.read(journal_path)[0].body or "")
    told = body["messages"][0]["content"]
    return sections("\n".join(block["text"] for block in told))


def sections(text: str) -> dict[str, str]:
    """Return the texts of sections and documents by name."""
    found = {}
    for part in text.split("<section name=")[1:] + text.split("<document name=")[1:]:
        name, _, rest = part.partition(">\n")
        found[json.loads(name)] = rest.split("\n</section>")[0].split("\n</document>")[0]
    return found


async def test_every_role_is_told_its_environment(desk: ModelEnv) -> None:
    """Date, system, tools, dependencies, base, what landed, recent log and limits: one section,
    the same for all roles but for their limits.
    """
    base = await committed(desk.store, {"a.py": "1\n"}, title="Begin")
    landed = await committed(desk.store, {"b.py": "2\n"}, base, title="Add b")
    oid = await desk.store.put_blob(SURVEY.model_dump_json().encode())
    texts = {
        role: (await opening(
            desk, role, commit=landed, base=base, tip=landed, survey=oid, budget_microusd=1_500_000
        ))["Environment"]
        for role in (roles.PLANNER, roles.CODER, roles.REVIEWER)
    }  # fmt: skip

    for text in texts.values():
        lines = text.splitlines()
        assert lines[:5] == [
            "Date: 2026-11-29",
            "System: Debian GNU/Linux 12, x86_64",
            "Found here: Python 3.13.1, git",
            "Dependencies: Python packages: pytest 9.0",
            "Base: main at 0123456789ab",
        ]
        assert lines[-4:] == [
            "Landed in this request, newest first:",
            f"  {landed[:7]} Add b",
            "Recent commits of the base:",
            f"  {base[:7]} Begin",
        ]
    assert "Limits: 60 turns, 120 minutes, $1.50 in all" in texts[roles.CODER]
    assert "Limits: 20 turns, 120 minutes" in texts[roles.REVIEWER]


async def test_the_instructions_of_the_base_commit_are_told(desk: ModelEnv) -> None:
    """Of each folder from the root to the declared paths the first file that is not empty, with
    what it imports; what an agent has changed in its own worktree does not count.
    """
    base = await committed(
        desk.store,
        {
            "AGENTS.md": "Root rule. @docs/style.md\n",
            "CLAUDE.md": "Not read beside AGENTS.md.\n",
            "docs/style.md": "Style rule. @../AGENTS.md\n",
            "src/AGENTS.md": "\n",
            "src/CLAUDE.md": "Inner rule.\n",
            "other/AGENTS.md": "Of another folder.\n",
            "src/app/AGENTS.md": "-> ../CLAUDE.md",
            "src/lib/CLAUDE.md": "@../../docs/style.md",
            "src/out/AGENTS.md": "-> ../../../etc/passwd",
        },
    )
    changed = await committed(desk.store, {"AGENTS.md": "My own rule.\n"}, base, title="Mine")

    told = await opening(
        desk, roles.CODER, commit=changed, base=base, tip=changed,
        scope=("src/app/main.py", "src/lib/**", "src/out/x"),
    )  # fmt: skip

    assert told[INSTRUCTIONS] == (
        "# AGENTS.md\n\nRoot rule. @docs/style.md\n\n"
        "# docs/style.md\n\nStyle rule. @../AGENTS.md\n\n"
        "# src/CLAUDE.md\n\nInner rule."
    )


async def test_without_instructions_there_is_no_section_of_them(desk: ModelEnv) -> None:
    """Nothing is said of files that are not there."""
    base = await committed(desk.store, {"a.py": "1\n"})

    assert INSTRUCTIONS not in await opening(desk, roles.CODER, commit=base, base=base, tip=base)


async def test_the_first_request_for_a_small_repository_is_small(desk: ModelEnv) -> None:
    """Prompt, tools and opening of every role together stay below 12 kB as they are sent."""
    sizes = {}
    for start in await model_page.starts_of(desk.store):
        request = start.opening.model_copy(update={"repository": REPOSITORY})
        async with serve(script({"say": "So."})) as server:
            model = desk.model(server)
            await turn(model, call(await model.open_conversation(request)))
            sizes[start.role] = server.entries[0].request_bytes

    assert set(sizes) == {roles.PLANNER, roles.CODER, roles.REVIEWER}
    assert max(sizes.values()) < 12_000, sizes
    assert min(sizes.values()) > 3_000, sizes
