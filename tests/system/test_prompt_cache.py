"""A long conversation is read from the model's cache, not paid for again."""

from bench.turns import cache_read_share
from rehearsal.journal import Entry
from tests.local_deployment import LocalDeployment
from tests.model_scripts import Task, create, done, play, replace, turn

TURNS = 40
SHARE = 0.95
COUNTER = Task(
    id="count",
    writes=("count.txt",),
    coder=(
        turn(create("count.txt", "step 0\n")),
        *(
            turn(replace("count.txt", f"step {n}\n", f"step {n + 1}\n"), say="Next.")
            for n in range(TURNS - 2)
        ),
        done(),
    ),
)
PLAYS = [play("cached", COUNTER)]


def uncached(entry: Entry) -> int:
    """Return the input tokens of a request behind its last cache marker."""
    return int((entry.usage or {})["input_tokens"])


async def test_forty_turns_read_their_past_from_the_cache(deployment: LocalDeployment) -> None:
    """At least 95 % of a coder's input over 40 turns is read from the cache, the first turns'
    writes included, and every turn's markers cover the whole request.
    """
    repository = deployment.repository("cached", {"README.md": "A counter.\n"})
    await deployment.delivered(await deployment.start_request("cached", repository))

    entries = [each for each in deployment.journal("request/cached") if each.role == "coder"]
    assert [entry.status for entry in entries] == [200] * TURNS
    assert cache_read_share(entries) >= SHARE
    assert {uncached(entry) for entry in entries} == {0}
