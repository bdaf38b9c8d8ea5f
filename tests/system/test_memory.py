"""A memory's whole way: an agent proposes it, a person accepts it, the next request is told it."""

import json
from collections.abc import Mapping, Sequence

import pytest

from domain.memory.telling import SECTION
from tests.local_deployment import LocalDeployment
from tests.model_scripts import Json, Task, approves, create, done, plan_of, play, turn

pytestmark = pytest.mark.minutes
SMALL = {"README.md": "A small thing.\n"}
DESCRIPTION = "The build needs LANG=C.UTF-8"
TRAP = {
    "type": "project",
    "description": DESCRIPTION,
    "text": "Without it every name with an umlaut is lost, and nothing says why.",
    "evidence": "LANG=C make",
    "files": ["README.md"],
}
TOLD: Json = {"last_user_contains": f"(project) {DESCRIPTION}"}
FIRST = Task(
    id="only",
    writes=("a.txt",),
    coder=(
        turn(create("a.txt", "a\n"), {"tool": "remember", "input": TRAP}),
        done("Wrote a."),
    ),
)
NAME = r"{{user ~ - (the-build-needs-\S+) \(project\)}}"
SECOND = Task(
    id="only",
    writes=("b.txt",),
    coder=(
        turn(
            {"tool": "memory_search", "input": {"query": "umlauts build"}},
            {"tool": "memory_search", "input": {"query": NAME}},
            expect=TOLD,
        ),
        turn(
            create("b.txt", "b\n"),
            expect={
                "results": [
                    {"is_error": False, "contains": "memory the-build-needs-"},
                    {"is_error": False, "contains": "every name with an umlaut is lost"},
                ]
            },
        ),
        done("Wrote b."),
    ),
    reviewer=(approves(expect=TOLD),),
)
PLAYS = [
    play("memory-first", FIRST),
    play("memory-second", SECOND, planner=[plan_of([SECOND], expect=TOLD)]),
]


async def _says(deployment: LocalDeployment, *words: str) -> str:
    ended = await deployment.starter(*words)
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


async def _openings(deployment: LocalDeployment, request: str) -> Sequence[str]:
    """Return what each agent of a request was told first."""
    lines = (await _says(deployment, "log", request, "--json")).splitlines()
    turns: list[Mapping[str, list[Json]]] = [json.loads(line) for line in lines]
    return ["\n".join(told["text"] for told in each["told"]) for each in turns if not each["turn"]]


async def test_what_a_person_accepts_is_told_to_the_next_request(
    deployment: LocalDeployment,
) -> None:
    """The first request's agent proposes it; only once a person has accepted it does it stand in
    the raw requests of every agent of the second. Its use is counted. Forgotten, it is gone.
    """
    folder = deployment.repository("memory", SMALL)
    repo = ("--repo", str(folder))
    first = await deployment.start_request("memory-first", folder)
    await deployment.delivered(first)
    (proposal,) = json.loads(await _says(deployment, "memory", "list", "--json", *repo))
    assert (proposal["state"], proposal["request"]) == ("waiting", first.id)
    assert proposal["agent"] == "coder of only"
    ended = await _says(deployment, "watch", first.id)
    assert "1 memory waits to be accepted: " in ended
    assert f"memory list --repo {folder}" in ended
    shown = await _says(deployment, "memory", "show", "the-build", *repo)
    assert "every name with an umlaut is lost" in shown
    assert not any(SECTION in told for told in await _openings(deployment, first.id))

    assert "is accepted" in await _says(deployment, "memory", "accept", proposal["name"], *repo)
    second = await deployment.start_request("memory-second", folder)
    await deployment.delivered(second)  # its script expects the memory in each first request

    openings = await _openings(deployment, second.id)
    assert len(openings) == 3
    assert all(f"- {proposal['name']} {TOLD['last_user_contains']}" in told for told in openings)
    (used,) = json.loads(await _says(deployment, "memory", "list", "--json", *repo))
    assert (used["state"], used["given"], used["read"]) == ("accepted", 3, 1)

    found = json.loads(await _says(deployment, "memory", "search", "umlaut", "--json", *repo))
    assert found[0]["memory"] == proposal["name"]
    assert {hit["request"] for hit in found[1:]} == {first.id, second.id}
    assert "is forgotten" in await _says(deployment, "memory", "forget", proposal["name"], *repo)
    assert await _says(deployment, "memory", "list", *repo) == "There are no memories.\n"
