"""How long a person waits for `--help`, `list` and `inbox`, beside a Python that does nothing."""

import asyncio
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence

from temporalio.client import Client

from bench.figures import Figure, Name
from bench.waiting import waiting_requests
from contracts.task_queue import TaskQueue
from contracts.visibility import OC_COST, OC_PENDING_APPROVALS, OC_REPOSITORY
from examples.demo.rehearsed import ROOT
from runtime.connect import connect
from runtime.services.startup import ensure_services
from runtime.settings import load
from runtime.tcp_ports import free_port

REQUESTS = 500
OPEN = 10
_TIMES = 15
_AT_ONCE = 8


async def measure() -> list[Figure]:
    """Time the commands on a home with 500 requests that have ended, ten more that are open, then
    500 that wait for an answer.
    """
    with tempfile.TemporaryDirectory(prefix="orchestcode-bench-") as home:
        ui_port = free_port([])
        environ = {
            "ORCHESTCODE_HOME": home,
            "HOME": home,
            "PATH": os.environ["PATH"],
            "ORCHESTCODE_TEMPORAL_PORT": str(free_port([], exclude=ui_port)),
            "ORCHESTCODE_UI_PORT": str(ui_port),
        }
        settings = load(environ)
        async with ensure_services(settings, announce=lambda _line: None, worker=False):
            client = await connect(settings)
            await _start(client, range(REQUESTS), ended=True)
            nothing, shown, ended = await asyncio.to_thread(_time, environ)
            await _start(client, range(REQUESTS, REQUESTS + OPEN), ended=False)
            _, _, with_open = await asyncio.to_thread(_time, environ)
            inbox = await _inbox(client, environ)
    return [
        Figure(Name.CLI_HELP, shown, "ms", baseline=nothing),
        Figure(Name.CLI_LIST, ended, "ms", baseline=nothing),
        Figure(Name.CLI_LIST_OPEN, with_open, "ms", baseline=nothing),
        Figure(Name.CLI_INBOX, inbox, "ms", baseline=nothing),
    ]


def _time(environ: Mapping[str, str]) -> list[float]:
    """Return the medians of doing nothing, `--help` and `list` by turns, in milliseconds."""
    commands = (["-c", "pass"], ["starter.py", "--help"], ["starter.py", "list"])
    times: list[list[float]] = [[] for _ in commands]
    for _ in range(_TIMES):
        for taken, words in zip(times, commands, strict=True):
            taken.append(_milliseconds(words, environ))
    return [statistics.median(taken) for taken in times]


def _milliseconds(words: Sequence[str], environ: Mapping[str, str]) -> float:
    begun = time.perf_counter()
    subprocess.run(
        [sys.executable, *words],
        cwd=ROOT,
        env=dict(environ),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        check=True,
    )
    return (time.perf_counter() - begun) * 1000


async def _inbox(client: Client, environ: Mapping[str, str]) -> float:
    """Return how long `inbox` takes with 500 requests that all wait, the median in ms."""
    async with waiting_requests(client):
        await _start(client, range(REQUESTS + OPEN, 2 * REQUESTS), ended=False)
        query = f'{OC_PENDING_APPROVALS} > 0 AND ExecutionStatus="Running"'
        while (await client.count_workflows(query)).count < REQUESTS:
            await asyncio.sleep(0.1)
        words = ["starter.py", "inbox"]
        times = [await asyncio.to_thread(_milliseconds, words, environ) for _ in range(5)]
    return statistics.median(times)


async def _start(client: Client, numbers: range, *, ended: bool) -> None:
    turn = asyncio.Semaphore(_AT_ONCE)

    async def start(number: int) -> None:
        async with turn:
            handle = await client.start_workflow(
                "RequestWorkflow",
                id=f"request/listed-{number:04d}",
                task_queue=TaskQueue.WORKFLOWS,
                memo={OC_REPOSITORY: "/srv/shop", **({OC_COST: 0.25} if ended else {})},
            )
            if ended:
                await handle.terminate()

    await asyncio.gather(*map(start, numbers))
