"""Finished requests are forgotten, and gone by age or disk; what is open or delivered stays."""

import os
import subprocess
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from cli.client import RequestClient
from contracts.visibility import RunState
from tests.local_deployment import LocalDeployment, git, until
from tests.model_scripts import play, script, writes_file

SMALL = {"README.md": "A small thing.\n"}
REQUESTS = ("forgotten", "stays", "after", "pruned", "retried")
OWN_PLAYS = [play(name, writes_file("only", f"{name}.txt", f"{name}\n")) for name in REQUESTS]


@pytest.fixture(scope="module")
async def own() -> AsyncIterator[LocalDeployment]:
    """A deployment of its own: cleaning up looks at every store of a host."""
    async with LocalDeployment(script(*OWN_PLAYS)) as deployment:
        yield deployment


async def _says(deployment: LocalDeployment, *words: str) -> str:
    ended = await deployment.starter(*words)
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


def _refs(store: Path) -> set[str]:
    words = ["git", "-C", str(store), "for-each-ref", "--format=%(refname) %(objectname)"]
    ran = subprocess.run(words, capture_output=True, text=True, check=True)
    return set(ran.stdout.splitlines())


def _has(store: Path, oid: str) -> bool:
    words = ["git", "-C", str(store), "cat-file", "-e", oid]
    return subprocess.run(words, capture_output=True, check=False).returncode == 0


def _healthy(store: Path) -> bool:
    words = ["git", "-C", str(store), "fsck", "--connectivity-only", "--no-dangling"]
    return subprocess.run(words, capture_output=True, check=False).returncode == 0


def _age(store: Path) -> None:
    """Have every object of a store look two hours old."""
    then = time.time() - 7_200
    for folder, _, names in os.walk(store / "objects"):
        for name in names:
            os.utime(f"{folder}/{name}", (then, then))


@pytest.mark.minutes
async def test_a_forgotten_request_leaves_nothing_but_its_branch(own: LocalDeployment) -> None:
    """While another request of the same repository waits for a person, which then delivers; later
    `gc` deletes what is beyond a budget, objects included, and the repository works as before.
    """
    folder = own.repository("cleaned", SMALL)
    first = await own.start_request("forgotten", folder)
    branch = (await own.delivered(first)).branch
    other = await own.start_request("stays", folder, approve=["delivery"])
    await own.waiting(other)
    store = next(own.settings.stores.glob("cleaned-*.git"))
    client = await own.client()
    requests = RequestClient(client)
    key = (await requests.find(first.id)).key
    before = _refs(store)
    conversations = [row for row in before if "/conv/forgotten" in row]
    assert conversations

    refused = await own.starter("forget", "stays", "--yes")
    assert (refused.returncode, "once it has ended" in refused.stderr) == (2, True)
    assert "forgotten" in await _says(own, "memory", "search", "forgotten", "--repo", str(folder))
    found = (own.settings.home / "cache" / "recall").iterdir()
    (index,) = (each for each in found if not each.name.endswith(("-journal", "-wal", "-shm")))
    told = await _says(own, "forget", "forgotten")
    assert "conversations" in told
    assert "Nothing was deleted" in told
    assert _refs(store) == before
    told = await _says(own, "forget", "forgotten", "--yes")
    assert "is forgotten" in told
    assert f"branch -d {branch}" in told
    assert "once no request of that repository is open" in told
    assert not [row for row in _refs(store) if key in row or "/conv/forgotten" in row]
    assert not index.exists(), "it held texts of the conversations"

    async def unknown() -> bool:
        query = 'WorkflowId STARTS_WITH "request/forgotten"'
        return (await client.count_workflows(query)).count == 0

    await until(unknown)
    assert git(folder, "rev-parse", "--verify", f"refs/heads/{branch}")
    await _says(own, "approve", "stays")
    await own.delivered(other)
    assert _healthy(store)

    (store / "filler").write_bytes(os.urandom(3_000_000))
    _age(store)
    told = await _says(own, "gc", "--budget-mb", "1", "--dry-run")
    assert "stays" in told
    assert "their budget is 1 MB" in told
    assert (await requests.find("stays")).state is RunState.DONE
    told = await _says(own, "gc", "--budget-mb", "1", "--yes")
    assert "1 request deleted" in told
    assert not any(_has(store, row.split()[1]) for row in conversations)
    assert _healthy(store)
    await own.delivered(await own.start_request("after", folder))
    assert "Nothing is to be deleted" in await _says(own, "gc")


@pytest.mark.minutes
async def test_a_request_is_retried_after_its_store_was_pruned(own: LocalDeployment) -> None:
    """All that the retry needs is reached by a reference, the environment of its commands too."""
    folder = own.repository("pruned", SMALL)
    cancelled = await own.start_request("retried", folder, approve=["delivery"])
    await own.waiting(cancelled)
    await cancelled.cancel()
    await own.ending(cancelled)
    await own.delivered(await own.start_request("pruned", folder))
    store = next(own.settings.stores.glob("pruned-*.git"))
    _age(store)
    told = await _says(own, "forget", "pruned", "--yes")
    assert "once no request" not in told
    retried = await own.starter("retry", "retried", "--detach")
    assert retried.returncode == 3, retried
    await own.waiting(cancelled)
    await _says(own, "approve", "retried")
    await own.delivered(cancelled)
    assert _healthy(store)
