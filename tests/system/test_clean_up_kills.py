"""Deleting finished requests, killed at every step: the same command finishes, and only that goes.

One home with a request that was ended by force (it still holds a worktree, and alone uses what its
setup installed) and one that is open, in another repository.
"""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from temporalio.client import WorkflowExecutionStatus
from temporalio.service import RPCError

from cli.client import RequestClient
from contracts.visibility import OC_KEPT
from tests.local_deployment import ROOT, Handle, LocalDeployment, until
from tests.model_scripts import Task, command, create, done, play, script, turn, writes_file

pytestmark = pytest.mark.minutes

HOLDS = "mkdir -p node_modules/greet && echo {} > node_modules/greet/index.js"


def _at_work(marker: str) -> Task:
    """Return a task whose command goes on for long once this file is there."""
    return Task(
        id="only",
        writes=("z.txt",),
        coder=(
            turn(create("z.txt", "z\n")),
            turn(command(f"touch {marker}; sleep 600", timeout_seconds=900)),
            done(),
        ),
    )


PLAYS = [
    play("gone", _at_work("begun")),
    play("open", writes_file("only", "x.txt", "x\n")),
    play("last", _at_work("last-begun")),
]
FILES = {".gitignore": "node_modules/\n", "README.md": "A small thing.\n"}


@dataclass
class Home:
    """The deployment, and what must not change of it.

    Attributes:
        key: of the request that goes.
        open: the request that stays, waiting for a person.
        cleaner: cleans up on order.
        kept: the references of the open request's store, as they were.
    """

    deployment: LocalDeployment
    key: str
    open: Handle
    cleaner: subprocess.Popen[str]
    kept: str = ""

    @property
    def folder(self) -> Path:
        """The home."""
        return self.deployment.settings.home

    @property
    def stores(self) -> dict[str, Path]:
        """The stores by the name of their repository."""
        found = self.deployment.settings.stores.glob("*.git")
        return {path.name.partition("-")[0]: path for path in found}

    def clean(self, order: dict[str, Any], step: int = 0) -> dict[str, Any] | None:
        """Clean up in a process of its own; None when it died."""
        assert self.cleaner.stdin is not None
        assert self.cleaner.stdout is not None
        self.cleaner.stdin.write(f"{json.dumps([order, step])}\n")
        self.cleaner.stdin.flush()
        found: dict[str, Any] | None = json.loads(self.cleaner.stdout.readline())
        assert found is None or "error" not in found, found["error"]
        return found

    def save(self, place: Path) -> None:
        """Copy what is on disk of the work."""
        for name in ("stores", "worktrees", "layers"):
            place.mkdir(exist_ok=True)
            subprocess.run(["cp", "-a", str(self.folder / name), str(place)], check=True)

    async def restore(self, place: Path) -> None:
        """Have everything be again as it was saved, the histories of the request included."""
        for name in ("stores", "worktrees", "layers"):
            shutil.rmtree(self.folder / name)
        self.save_from(place)
        client = await self.deployment.client()
        new: set[str | None] = set()
        for name in ("", "/task/only", "/task/only/coder-1"):
            handle = await client.start_workflow(
                "SubtaskWorkflow" if name else "RequestWorkflow",
                id=f"request/gone{name}",
                task_queue="nobody",
                memo={OC_KEPT: f"refs/oc/{self.key}/"},
            )
            new.add(handle.result_run_id)
            await handle.terminate()

        # The list of executions is a moment late, also of what was deleted before.
        async def listed() -> bool:
            return {run for run, status in (await self.histories()).items() if status} >= new

        await until(listed)

    async def histories(self) -> dict[str, bool]:
        """Return the runs of the request that goes, and whether each has ended."""
        client = await self.deployment.client()
        runs = client.list_workflows('WorkflowId STARTS_WITH "request/gone"')
        return {run.run_id: run.status is WorkflowExecutionStatus.TERMINATED async for run in runs}

    def save_from(self, place: Path) -> None:
        """Copy what was saved back."""
        subprocess.run(["cp", "-a", *map(str, place.iterdir()), str(self.folder)], check=True)

    def age(self) -> None:
        """Have what is installed and written look two hours old."""
        then = time.time() - 7_200
        for record in self.deployment.settings.layers.glob("*/layer.json"):
            os.utime(record, (then, then))
        for folder, _, names in os.walk(self.stores["gone"] / "objects"):
            for name in names:
                os.utime(f"{folder}/{name}", (then, then))

    def left(self) -> list[str]:
        """Return what is left of the request that goes, and what is half removed."""
        rows = _refs(self.stores["gone"]).splitlines()
        refs = [row for row in rows if self.key in row or "/leaving/" in row]
        leases = [row for row in self.deployment.leases() if "request/gone" in row]
        drafts = [path.name for path in self.deployment.settings.layers.glob(".draft-*")]
        return [*refs, *leases, *drafts]

    def layers(self) -> list[str]:
        """Return what setups installed, by what they wrote."""
        files = self.deployment.settings.layers.glob("*/tree/node_modules/greet/index.js")
        return sorted(path.read_text().strip() for path in files)


def _refs(store: Path) -> str:
    words = ["git", "-C", str(store), "for-each-ref", "--format=%(refname) %(objectname)"]
    return subprocess.run(words, capture_output=True, text=True, check=True).stdout


def _healthy(store: Path) -> bool:
    words = ["git", "-C", str(store), "fsck", "--connectivity-only", "--no-dangling"]
    return subprocess.run(words, capture_output=True, check=False).returncode == 0


@pytest.fixture(scope="module")
async def home() -> AsyncIterator[Home]:
    """Two requests, each with a setup of its own; the worker is gone, the server runs."""
    async with LocalDeployment(script(*PLAYS)) as deployment:
        handles = {}
        for name, approve in (("gone", []), ("open", ["delivery"])):
            folder, line = deployment.repository(name, FILES), HOLDS.format(name)
            handles[name] = await deployment.start_request(
                name, folder, setup=[line], approve=approve
            )
        await deployment.waiting(handles["open"])
        await until(lambda: deployment.has_file("begun"))
        await handles["gone"].terminate()
        client = await deployment.client()
        key = (await RequestClient(client).find("gone")).key
        for task in ("task/only", "task/only/coder-1"):
            with contextlib.suppress(RPCError):
                await client.get_workflow_handle(f"request/gone/{task}").terminate()
        await deployment.kill_worker()
        words = ("tests.system.dying_cleaner", str(deployment.settings.home))
        with subprocess.Popen(
            [sys.executable, "-m", *words, deployment.server.address],
            env=deployment.environ,
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        ) as cleaner:
            made = Home(deployment, key, handles["open"], cleaner)
            made.kept = _refs(made.stores["open"])
            yield made
            cleaner.kill()


ORDERS: dict[str, dict[str, Any]] = {
    "gc": {"budget_bytes": 1},
    "forget": {"request_id": "request/gone"},
}


@pytest.mark.parametrize(("by", "every"), [("gc", 4), ("forget", 12)])
async def test_a_clean_up_that_is_killed_at_any_step_is_finished_by_the_next(
    home: Home, by: str, every: int, tmp_path: Path
) -> None:
    """Of the request nothing is left, half removed or held; of the open one nothing is lost; what
    only the first one's setup installed goes with `gc`, and what an open request uses stays.
    """
    order, before = ORDERS[by], tmp_path / "before"
    home.save(before)
    home.age()
    whole = home.clean(order)
    assert whole is not None
    assert [each["id"] for each in whole["report"]["gone"]] == ["request/gone"]
    assert len(whole["report"]["layers"]) == (1 if by == "gc" else 0)
    steps, died = range(1, whole["steps"] + 1, every), 0
    for step in steps:
        await home.restore(before)
        home.age()
        died += home.clean(order, step) is None
        assert home.clean(order) is not None
        where = f"killed before step {step} of {whole['steps']}"
        assert home.left() == [], where
        assert _refs(home.stores["open"]) == home.kept, where
        assert home.layers() == (["open"] if by == "gc" else ["gone", "open"]), where
        assert _healthy(home.stores["gone"]), where
    assert died >= len(steps) - 2
    await home.restore(before)


async def test_the_open_request_goes_on_after_all_of_that(home: Home) -> None:
    """A worker is there again, a person agrees, and the branch is delivered."""
    await home.deployment.start_worker()
    answered = await home.deployment.starter("approve", "open")
    assert answered.returncode == 0, answered
    await home.deployment.delivered(home.open)
    await home.deployment.kill_worker()


async def test_a_worker_and_a_command_that_are_killed_delete_all_the_same(home: Home) -> None:
    """`forget` is killed once it has ordered the deletion, the worker while it deletes; the next
    worker finishes it, and the same command finds nothing more.
    """
    own = home.deployment
    await own.start_worker()
    last = await own.start_request("last", own.repository("last", FILES))
    await until(lambda: own.has_file("last-begun"))
    await last.cancel()
    await own.ending(last)
    key = (await RequestClient(await own.client()).find("last")).key
    store = next(own.settings.stores.glob("last-*.git"))
    log = own.folder / "forget.log"
    forget = own.open_starter("forget", "last", "--yes", log=log)
    first = _refs(store).count(key)
    await until(lambda: _refs(store).count(key) < first)
    await own.kill_worker()
    os.kill(forget.pid, signal.SIGKILL)
    await forget.wait()
    await own.start_worker()
    await until(lambda: key not in _refs(store))

    async def unknown() -> bool:
        again = await own.starter("forget", "last", "--yes")
        return again.returncode == 2 and "no request" in again.stderr.lower()

    # The list of executions is a moment late.
    await until(unknown)
    assert _healthy(store)
    assert own.left_behind() == []
