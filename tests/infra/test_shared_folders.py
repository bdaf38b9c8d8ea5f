"""Folders of the host in a worktree: seen by commands, never written, never reached by a link."""

from dataclasses import replace
from pathlib import Path

import pytest

from infra.sandbox import Mounts, Sandbox, SharedFolder
from tests.infra.test_sandbox import SandboxFolders, folders, sandbox, seed, text_of

__all__ = ["folders", "sandbox", "seed"]


@pytest.fixture
def shared(folders: SandboxFolders) -> SandboxFolders:
    """A worktree in which `modules` and `pack/env` of a hidden checkout stand."""
    checkout, changes = folders.data / "checkout", folders.data / "changes"
    for each in (checkout / "modules/lib", checkout / "env", folders.mounts.worktree / "pack"):
        each.mkdir(parents=True)
    changes.mkdir()
    (checkout / "modules/lib/main.js").write_text("one\n")
    (checkout / "env/tool").write_text("two\n")
    found = (
        SharedFolder(path="modules", source=checkout / "modules"),
        SharedFolder(path="pack/env", source=checkout / "env", below="pack", read_only=True),
    )
    return replace(folders, mounts=replace(folders.mounts, shared=found, changes=changes))


def source_of(mounts: Mounts, path: str) -> Path:
    """Return where a shared folder lies on the host."""
    return next(each.source for each in mounts.shared if each.path == path)


async def test_a_command_finds_the_host_s_folders_in_its_worktree(
    sandbox: Sandbox, shared: SandboxFolders
) -> None:
    """Both are read where they stand in the worktree; the checkout itself stays hidden."""
    line = f"cat modules/lib/main.js pack/env/tool; ls {shared.data / 'checkout'} 2>&1; true"
    said = await text_of(sandbox, shared, line)
    assert said.startswith("one\ntwo\n")
    assert "No such file or directory" in said


async def test_what_a_command_writes_there_is_kept_apart(
    sandbox: Sandbox, shared: SandboxFolders
) -> None:
    """A later command finds what an earlier one wrote; the host's folder, the worktree on disk and
    another lease's changes do not hold it.
    """
    await text_of(sandbox, shared, "mkdir modules/.cache && echo made > modules/.cache/x")
    assert await text_of(sandbox, shared, "cat modules/.cache/x") == "made\n"

    assert [each.name for each in source_of(shared.mounts, "modules").iterdir()] == ["lib"]
    assert not list((shared.mounts.worktree / "modules").iterdir())
    other = shared.data / "other"
    other.mkdir()
    fresh = replace(shared, mounts=replace(shared.mounts, changes=other))
    assert await text_of(sandbox, fresh, "ls -A modules") == "lib\n"


async def test_a_read_only_folder_takes_no_writing(
    sandbox: Sandbox, shared: SandboxFolders
) -> None:
    """A command that writes there is told so by the system, with or without room for changes."""
    line = "touch pack/env/x 2>&1; true"
    assert "Read-only file system" in await text_of(sandbox, shared, line)
    sealed = replace(shared, mounts=replace(shared.mounts, changes=None))
    line = "touch modules/x 2>&1; cat modules/lib/main.js"
    said = await text_of(sandbox, sealed, line)
    assert "Read-only file system" in said
    assert said.endswith("one\n")


@pytest.mark.parametrize("taken", ["link", "file", "content", "link above", "nothing above"])
async def test_nothing_is_mounted_where_the_worktree_has_something(
    sandbox: Sandbox, shared: SandboxFolders, tmp_path: Path, taken: str
) -> None:
    """A link is not followed, a file or a folder with content stays as it is, and no folder is
    made below one that an agent removed.
    """
    outside, worktree = tmp_path / "outside", shared.mounts.worktree
    outside.mkdir()
    pack, modules = worktree / "pack", worktree / "modules"
    match taken:
        case "link":
            modules.symlink_to(outside)
        case "file":
            modules.write_text("mine")
        case "content":
            modules.mkdir()
            (modules / "mine").touch()
        case _:
            pack.rmdir()
            if taken == "link above":
                pack.symlink_to(outside)

    await text_of(sandbox, shared, "true")
    path = "pack/env/tool" if "above" in taken else "modules/lib/main.js"
    assert "one" not in await text_of(sandbox, shared, f"cat {path} 2>/dev/null; true")
    assert not list(outside.iterdir())


async def test_a_folder_that_is_gone_from_the_host_is_left_out(
    sandbox: Sandbox, shared: SandboxFolders
) -> None:
    """The command runs without it; the other is still there."""
    source_of(shared.mounts, "modules").rename(shared.data / "elsewhere")
    line = "ls modules 2>/dev/null; cat pack/env/tool"
    assert await text_of(sandbox, shared, line) == "two\n"
