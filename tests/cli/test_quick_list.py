"""What `--help` and `list` load, and the quick list beside the usual one, on a real server."""

import asyncio
import io
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

import pytest
from temporalio.client import Client

from cli.context import CliContext
from cli.listing import show_list
from cli.quick import list as quick_list
from cli.quick.web_lists import WebListError, count_requests
from cli.request_rows import SHOWN
from contracts.task_queue import TaskQueue
from contracts.visibility import OC_COST, OC_REFUSED, OC_REPOSITORY
from runtime.connect import connect
from runtime.records import DiskUse
from runtime.services.startup import ensure_services
from runtime.settings import load
from runtime.tcp_ports import free_port
from tests.local_deployment import until

ROOT = Path(__file__).resolve().parents[2]
HEAVY = ("temporalio", "pydantic", "cyclopts", "rich", "anthropic", "httpx", "git", "google")
NOW = 4_000_000_000.0

pytestmark = pytest.mark.system


@pytest.fixture(scope="module")
async def environ(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Mapping[str, str]]:
    """Variables of a home whose server has a web UI, as a command that only looks starts it."""
    home = tmp_path_factory.mktemp("listed")
    ui_port = free_port([])
    variables = {
        "ORCHESTCODE_HOME": str(home),
        "HOME": str(home),
        "PATH": os.environ["PATH"],
        "ORCHESTCODE_TEMPORAL_PORT": str(free_port([], exclude=ui_port)),
        "ORCHESTCODE_UI_PORT": str(ui_port),
    }
    async with ensure_services(load(variables), announce=print, worker=False):
        await until(lambda: _answers(ui_port))
        yield variables


def _answers(port: int) -> bool:
    """Return whether the web UI has found its server, which takes it a second or more."""
    try:
        count_requests(port, "default")
    except WebListError:
        return False
    return True


async def _start(client: Client, number: int, memo: Mapping[str, object]) -> None:
    await client.start_workflow(
        "RequestWorkflow",
        id=f"request/listed-{number:03d}",
        task_queue=TaskQueue.WORKFLOWS,
        memo={OC_REPOSITORY: "/srv/sh\u00f6p", **memo},
    )


async def _listed(client: Client, *, ended: int) -> None:
    """Wait until the server's list has all that has ended."""
    for _ in range(500):
        if (await client.count_workflows('ExecutionStatus!="Running"')).count == ended:
            return
        await asyncio.sleep(0.02)
    raise AssertionError("the list does not get there")


def _context(environ: Mapping[str, str]) -> CliContext:
    return CliContext(
        environ=environ,
        folder=ROOT,
        now=lambda: NOW,
        stdout=io.StringIO(),
        stderr=io.StringIO(),
    )


def _said(context: CliContext) -> tuple[str, str]:
    assert isinstance(context.stdout, io.StringIO)
    assert isinstance(context.stderr, io.StringIO)
    return context.stdout.getvalue(), context.stderr.getvalue()


def _loaded(environ: Mapping[str, str], *words: str) -> set[str]:
    """Return the packages that a command of a process of its own imports."""
    ran = subprocess.run(
        [sys.executable, "-X", "importtime", "starter.py", *words],
        env=dict(environ),
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    rows = [line.rpartition("|")[2].strip() for line in ran.stderr.splitlines() if "|" in line]
    return {row.partition(".")[0] for row in rows}


def test_help_loads_neither_the_sdk_nor_a_parser_nor_an_event_loop() -> None:
    """Of all commands; a person who asks for it waits for Python alone."""
    loaded = _loaded({"PATH": os.environ["PATH"], "HOME": "/"}, "--help")

    assert "cli" in loaded
    assert not loaded & {*HEAVY, "asyncio", "subprocess", "ssl"}


async def test_the_quick_list_prints_what_the_usual_one_prints(
    environ: Mapping[str, str],
) -> None:
    """Open, ended and terminated requests, first few of them, then more than one page."""
    client = await connect(load(environ))
    await _start(client, 0, {})
    for number in range(1, 4):
        await _start(client, number, {OC_COST: number / 8})
        await client.get_workflow_handle(f"request/listed-{number:03d}").terminate()
    await _listed(client, ended=3)
    few = await _both(environ, whole=False)

    assert "listed-000" in few[0].splitlines()[1]
    assert "$0.2500  /srv/sh\u00f6p" in few[0]
    assert "no worker runs" in few[1]
    for number in range(4, SHOWN + 3):
        await _start(client, number, {OC_COST: 1})
        await client.get_workflow_handle(f"request/listed-{number:03d}").terminate()
    await _listed(client, ended=SHOWN + 2)
    many = await _both(environ, whole=False)
    assert len(many[0].splitlines()) == SHOWN + 1
    assert "3 more that ended earlier; list all with:" in many[1]
    whole = await _both(environ, whole=True)
    assert len(whole[0].splitlines()) == SHOWN + 4
    DiskUse(pid=1, stores_bytes=7_000_000).write(load(environ))
    over = await _both({**environ, "ORCHESTCODE_DISK_BUDGET_MB": "5"}, whole=False)
    assert "the stores and layers take 7.0 MB of disk, their budget is 5.0 MB" in over[1]
    loaded = _loaded(environ, "list")
    assert "cli" in loaded
    assert not loaded & set(HEAVY)


async def test_a_retried_request_has_one_line_and_a_refused_one_none(
    environ: Mapping[str, str],
) -> None:
    """Of the runs of one request the newest is shown; what was refused stands in the whole list."""
    client = await connect(load(environ))
    before = (await client.count_workflows('ExecutionStatus!="Running"')).count
    await _start(client, 900, {OC_COST: 0, OC_REFUSED: True})
    await client.get_workflow_handle("request/listed-900").terminate()
    await _start(client, 901, {OC_COST: 1})
    await client.get_workflow_handle("request/listed-901").terminate()
    await _listed(client, ended=before + 2)
    await _start(client, 901, {OC_COST: 2})

    few = await _both(environ, whole=False)
    assert ("listed-900" in few[0], few[0].count("listed-901")) == (False, 1)
    assert "$2.00" in few[0].splitlines()[1]
    whole = await _both(environ, whole=True)
    assert ("listed-900" in whole[0], whole[0].count("listed-901")) == (True, 1)


async def _both(environ: Mapping[str, str], *, whole: bool) -> tuple[str, str]:
    """Return what the quick list prints on both streams, which the usual one prints too."""
    words = ["--all"] if whole else []
    for _ in range(100):
        quick = _context(environ)
        before = await _usual(environ, whole=whole)
        assert await asyncio.to_thread(quick_list.command, words, quick) == 0
        # The server's list may change between two looks; between two that agree it has not.
        if before == await _usual(environ, whole=whole):
            assert _said(quick) == before
            return before
    raise AssertionError("the list does not come to rest")


async def _usual(environ: Mapping[str, str], *, whole: bool) -> tuple[str, str]:
    context = _context(environ)
    await show_list(as_json=False, whole=whole, context=context)
    return _said(context)


def test_the_quick_list_leaves_other_services_and_other_words_to_the_usual_one(
    environ: Mapping[str, str],
    tmp_path: Path,
) -> None:
    """JSON, help, a Temporal service elsewhere, a home where nothing runs."""
    elsewhere = {**environ, "TEMPORAL_ADDRESS": "127.0.0.1:1"}
    nothing = {**environ, "ORCHESTCODE_HOME": str(tmp_path)}
    (tmp_path / "temporal.db").touch()

    assert quick_list.command(["--json"], _context(environ)) is None
    assert quick_list.command(["--help"], _context(environ)) is None
    assert quick_list.command([], _context(elsewhere)) is None
    assert quick_list.command([], _context(nothing)) is None


def test_in_a_home_that_was_never_used_nothing_is_started_to_list(tmp_path: Path) -> None:
    """It has no request; not even the home is made."""
    home, out = tmp_path / "home", io.StringIO()
    context = CliContext(
        environ={"ORCHESTCODE_HOME": str(home), "HOME": str(tmp_path), "PATH": os.environ["PATH"]},
        folder=tmp_path,
        now=lambda: NOW,
        stdout=out,
    )
    assert quick_list.command([], context) == 0
    assert out.getvalue() == "No requests yet.\n"
    assert not home.exists()
