"""What setups installed goes when no request uses it, and never while one does."""

import os
import time
from pathlib import Path

import pytest

from activities.unused_layers import HostLayers
from domain import ids
from infra.store import ANY, RefUpdate
from tests.activities.test_installed import written
from tests.activities.test_setup import INSTALLS, LOCK, layers, project, said, set_up
from tests.infra.bench import ActivityEnv, Job
from tests.local_deployment import commit

__all__ = ["project"]

pytestmark = pytest.mark.usefixtures("project")


def _old(env: ActivityEnv) -> None:
    """Have every layer look unused for two hours."""
    then = time.time() - 7_200
    for record in (env.home / "layers").glob("*/layer.json"):
        os.utime(record, (then, then))


async def _looked(env: ActivityEnv, *jobs: Job) -> HostLayers:
    found = await HostLayers.of(env.layers)
    for job in jobs:
        await found.note_user(job.store, job.opened.repository.request_key)
    return found


async def test_a_layer_goes_with_the_last_request_that_uses_it(env: ActivityEnv) -> None:
    """Two requests share it; once both have left it is removed, and its disk is counted."""
    one = await set_up(env, INSTALLS, name="one")
    two = await set_up(env, INSTALLS, name="two")
    _old(env)
    found = await _looked(env, one, two)

    assert found.bytes > 0
    assert found.unused(()) == []
    assert found.unused({"one"}) == []
    going = found.unused({"one", "two"})
    assert [each.commands for each in going] == [(INSTALLS,)]
    assert await found.remove(going) == going[0].bytes
    assert layers(env) == []


async def test_what_was_used_within_the_hour_or_is_used_now_stays(env: ActivityEnv) -> None:
    """By a new request that has not noted it yet, by one that finds it there, by a command."""
    await set_up(env, INSTALLS)
    assert (await _looked(env)).unused(()) == []
    _old(env)
    found = await _looked(env)
    (going,) = found.unused(())
    job = await set_up(env, INSTALLS, name="again")  # finds it there after the look
    assert await found.remove([going]) == 0
    assert layers(env) == [going.name]
    _old(env)
    with env.layers.using([going.name]):
        _old(env)
        assert await found.remove([going]) == 0
    assert await said(await job.agent(), "cat node_modules/greet/index.js") == (
        "hello\n[exit code 0]"
    )


async def test_the_layer_of_a_patch_of_an_open_request_stays(env: ActivityEnv) -> None:
    """A tree of its work names the lock file by which another request made the layer."""
    job = await set_up(env, INSTALLS, name="one")
    checkpoint = await job.changed({"package-lock.json": LOCK + "\n"})
    ref = ids.checkpoint_ref(job.opened.repository.request_key, "a", "call-1")
    await job.store.update_refs(RefUpdate(ref, checkpoint, ANY))
    written(env.person, {"package-lock.json": LOCK + "\n"})
    commit(env.person, "the same lock file")
    other = await set_up(env, INSTALLS, name="other")
    _old(env)

    assert len(layers(env)) == 2
    assert (await _looked(env, job)).unused(()) == []
    assert len((await _looked(env, other)).unused(())) == 1


async def test_none_goes_while_a_store_cannot_be_read(env: ActivityEnv) -> None:
    """Who uses what is not known then."""
    await set_up(env, INSTALLS)
    _old(env)
    found = await _looked(env)
    found.keep_all()

    assert found.unused({"one"}) == []


async def test_what_a_killed_removal_left_is_removed(env: ActivityEnv) -> None:
    """The next clean-up takes what lies half removed or half made, but not what is being made."""
    await set_up(env, INSTALLS)
    folder: Path = env.home / "layers"
    for name in ("gone", "made"):
        (folder / f".draft-{name}-0123abcd" / "tree").mkdir(parents=True)
    async with env.layers.making("made"):
        (folder / ".draft-made-0123abcd").mkdir()
        await (await _looked(env)).remove([])
        assert [each.name for each in folder.glob(".draft-*")] == [".draft-made-0123abcd"]
    await (await _looked(env)).remove([])
    assert list(folder.glob(".draft-*")) == []
