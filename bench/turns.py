"""What one turn of an agent costs, beside a pair of empty activities on the same server."""

import itertools
import uuid
from collections.abc import Iterable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any

from temporalio.client import Client
from temporalio.worker import Worker

from bench.deployment import BenchDeployment, bytes_below, counter_repository, deployed, folder
from bench.figures import Figure, Name, quantile
from bench.flows import (
    FIRST_QUEUE,
    PAIRS_QUEUE,
    SECOND_QUEUE,
    BenchAgent,
    BenchAgentWorkflow,
    BenchPairsWorkflow,
    PairTimes,
    empty_first,
    empty_second,
)
from rehearsal import journal
from runtime.workflow_sandbox import workflow_runner

WARM_TURNS = 5
"""The first turns open connections and start git children; they are left out."""
PAIRS = 40
"""In each block."""


def counting(turns: int) -> dict[str, Any]:
    """Return the script of a coder that edits one file `turns` times and finishes."""
    path = "counter/count.txt"
    edit = {
        "command": "str_replace", "path": path,
        "old_str": "step {{n}}\n", "new_str": "step {{n+1}}\n",
    }  # fmt: skip
    create = {"command": "create", "path": path, "file_text": "step 0\n"}
    cast = {
        "match": {"role": "coder"},
        "turns": [{"call": [{"tool": "edit", "input": create}]}],
        "generate": {"turns": turns, "bytes": 0, "say": "Next.", "tool": "edit", "input": edit},
        "finish": [{"call": [{"tool": "finish", "input": {"summary": "Counted."}}]}],
    }
    return {"casts": [cast]}


@dataclass(frozen=True)
class Played:
    """What one agent's run left behind.

    Attributes:
        gaps: milliseconds from each reply's last byte to the next request, in order.
        entries: its model calls, in order.
        history: bytes of its workflow's history.
    """

    gaps: Sequence[float]
    entries: Sequence[journal.Entry]
    history: int


async def measure(turns: int, rounds: int = 3) -> list[Figure]:
    """Run agents of so many edit turns, and empty pairs before, between and after them.

    They take turns because the machine's other work comes and goes.
    """
    with folder() as place:
        async with deployed(place, counting(turns)) as bench, AsyncExitStack() as stack:
            for worker in _workers(bench.client):
                await stack.enter_async_context(worker)
            repository = str(counter_repository(place / "repository"))
            await _pairs(bench.client, PAIRS)
            played: list[Played] = []
            empty = [await _pairs(bench.client, PAIRS)]
            for _ in range(rounds):
                played.append(await _play(bench, repository, turns))
                empty.append(await _pairs(bench.client, PAIRS))
            stored = bytes_below(bench.settings.stores)
    gaps = [gap for one in played for gap in one.gaps[WARM_TURNS:]]
    base = [gap for pairs, _ in empty for gap in pairs]
    calls = sum(len(one.entries) for one in played)
    history = sum(one.history for one in played)
    first = played[0].entries
    return [
        _gap(Name.GAP_P50, gaps, base, 0.5),
        _gap(Name.GAP_P95, gaps, base, 0.95),
        Figure(Name.HISTORY, history / calls, "bytes", empty[0][1]),
        Figure(Name.STORED, stored[0] / calls, "bytes"),
        Figure(Name.STORED_DISK, stored[1] / calls, "bytes"),
        Figure(Name.CACHE_READ, cache_read_share(first), "share"),
        Figure(Name.FIRST_REQUEST, first[0].request_bytes, "bytes"),
    ]


async def measure_long(turns: int = 500) -> list[Figure]:
    """Compare an agent's late turns with its early ones: neither may depend on what came before."""
    with folder() as place:
        async with deployed(place, counting(turns)) as bench, AsyncExitStack() as stack:
            for worker in _workers(bench.client):
                await stack.enter_async_context(worker)
            repository = counter_repository(place / "repository")
            played = await _play(bench, str(repository), turns)
    early, late = played.gaps[25:75], played.gaps[turns - 50 : turns]
    return [_gap(Name.LONG_GAP_P50, late, early, 0.5)]


def cache_read_share(entries: Iterable[journal.Entry]) -> float:
    """Return the share of input tokens that was read from the cache, 0 to 1."""
    used = [entry.usage for entry in entries if entry.usage and entry.billed]
    read = sum(int(usage["cache_read_input_tokens"]) for usage in used)
    rest = sum(
        int(usage["cache_creation_input_tokens"]) + int(usage["input_tokens"]) for usage in used
    )
    return read / (read + rest) if read + rest else 0.0


def _gap(name: Name, values: Sequence[float], base: Sequence[float], share: float) -> Figure:
    return Figure(name, quantile(values, share), "ms", quantile(base, share))


def _workers(client: Client) -> list[Worker]:
    return [
        Worker(
            client,
            task_queue=PAIRS_QUEUE,
            workflows=[BenchPairsWorkflow, BenchAgentWorkflow],
            workflow_runner=workflow_runner(),
        ),
        Worker(client, task_queue=FIRST_QUEUE, activities=[empty_first]),
        Worker(client, task_queue=SECOND_QUEUE, activities=[empty_second]),
    ]


async def _pairs(client: Client, pairs: int) -> tuple[list[float], float]:
    """Return the milliseconds between the first activities of pairs, and history bytes a pair."""
    PairTimes.begun.clear()
    PairTimes.ended.clear()
    handle = await client.start_workflow(
        BenchPairsWorkflow.run, pairs, id=f"bench-pairs-{uuid.uuid4().hex}", task_queue=PAIRS_QUEUE
    )
    await handle.result()
    times = zip(PairTimes.ended, PairTimes.begun[1:], strict=False)
    gaps = [1_000 * (begun - ended) for ended, begun in times]
    return gaps, await _history_bytes(client, handle.id) / pairs


async def _history_bytes(client: Client, workflow_id: str) -> int:
    described = await client.get_workflow_handle(workflow_id).describe()
    return described.raw_description.workflow_execution_info.history_size_bytes


async def _play(bench: BenchDeployment, repository: str, turns: int) -> Played:
    name = f"bench-agent-{uuid.uuid4().hex[:8]}"
    result = await bench.client.execute_workflow(
        BenchAgentWorkflow.run,
        BenchAgent(path=repository, turns=turns + 10),
        id=name,
        task_queue=PAIRS_QUEUE,
    )
    agent = f"{name}/agent"
    entries = [entry for entry in journal.read(bench.journal) if entry.agent == agent]
    if result.cut or journal.failures(entries):
        raise SystemExit(f"The agent did not count to its end: {result.cut} {result.reason}")
    gaps = [
        1_000 * (after.time_received - before.time_done)
        for before, after in itertools.pairwise(entries)
    ]
    return Played(gaps, entries, await _history_bytes(bench.client, agent))
