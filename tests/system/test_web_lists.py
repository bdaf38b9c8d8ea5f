"""The lists of docs/operating.md: each query, asked as it is printed there, finds its rows."""

import re

import pytest
from temporalio.client import Client

from tests.local_deployment import ROOT, Handle, LocalDeployment, until
from tests.model_scripts import Task, create, done, plan_of, play, turn, writes_file

ASKS = Task(id="only", writes=(".envrc",), coder=(turn(create(".envrc", "x=1\n")), done()))
"""Its agent may write that file only if a person allows it."""
OVERLOADED = plan_of([writes_file("only", "a.txt", "a\n")]) | {
    "fault": [{"kind": "status", "code": 529, "times": 400}]
}
RED = Task(
    id="only",
    writes=("r.txt",),
    acceptance=("exit 7",),
    coder=(turn(create("r.txt", "r\n")), *[done()] * 9),
)
PLAYS = [
    play("row-plan", writes_file("only", "a.txt", "a\n")),
    play("row-tool", ASKS),
    play("row-review", writes_file("only", "b.txt", "b\n")),
    play("row-model", planner=(OVERLOADED,)),
    play("row-cancelled", planner=(OVERLOADED,)),
    play("row-failed", RED),
]
SMALL = {"README.md": "A small thing.\n"}


def queries() -> list[str]:
    """Return the queries of the page's table in their order."""
    page = (ROOT / "docs" / "operating.md").read_text(encoding="utf-8")
    table = page.partition("temporal workflow list --query` (and")[2].partition("\n\n")[0]
    return re.findall(r"^\| `'(.+?)'` \|", table, re.MULTILINE)


async def _found(client: Client, query: str) -> set[str]:
    """Return the rows of this test's requests, without what stands before their names."""
    rows = [row.id async for row in client.list_workflows(query)]
    return {row.removeprefix("request/row-") for row in rows if row.startswith("request/row-")}


async def _waits_for_the_model(deployment: LocalDeployment, handle: Handle) -> None:
    async def waits() -> bool:
        return (await deployment.status(handle)).state == "WAITING_MODEL"

    await until(waits)


@pytest.mark.minutes
async def test_every_query_of_the_page_finds_what_it_says(deployment: LocalDeployment) -> None:
    """What waits, for whom, what is open, what failed; the planner of a request that was cancelled
    while it waited for the model stands in none.
    """
    folder = deployment.repository("rows", SMALL)
    handles = {
        name: await deployment.start_request(
            f"row-{name}",
            folder,
            branch=f"out/{name}",
            approve=[name] if name in {"plan", "review"} else [],
        )
        for name in ("plan", "tool", "review", "model", "cancelled", "failed")
    }
    for name in ("plan", "tool", "review"):
        await deployment.waiting(handles[name])
    for name in ("model", "cancelled"):
        await _waits_for_the_model(deployment, handles[name])
    await handles["cancelled"].cancel()
    assert (await deployment.ending(handles["cancelled"])).state == "CANCELLED"
    assert (await deployment.ending(handles["failed"])).state == "FAILED"

    person, state, waits, running, failed = queries()
    reviewed = {"review", "review/task/only"}
    wanted = {
        person: {"plan", "tool"} | reviewed,
        state: {"plan", "tool"},
        waits: {"plan", "tool", "model", "model/planner-1"} | reviewed,
        running: {"plan", "tool", "review", "model"},
        failed: {"failed"},
    }
    client = await deployment.client()
    for query, rows in wanted.items():

        async def listed(query: str = query, rows: set[str] = rows) -> bool:
            return await _found(client, query) == rows

        try:
            await until(listed, seconds=20)
        except TimeoutError:
            raise AssertionError(f"{query}: {await _found(client, query)}, not {rows}") from None
    for handle in handles.values():
        await handle.cancel()
    for handle in handles.values():
        await deployment.ending(handle)
