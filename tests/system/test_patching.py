"""A coder that works by patches, as models learn them elsewhere, delivers what it meant."""

from collections.abc import AsyncIterator

import pytest

from tests.local_deployment import LocalDeployment, git
from tests.model_scripts import Task, approves, finish, play, script, turn

pytestmark = pytest.mark.minutes

ADDS = (
    "*** Begin Patch\n*** Add File: lines.txt\n+one\n+two\n+three\n"
    "*** Add File: sub/more.txt\n+more\n*** End Patch\n"
)
CHANGES = "--- a/lines.txt\n+++ b/lines.txt\n@@ -1,9 +1,9 @@\n one\n-two\n+TWO\n"
MOVES = (
    "*** Begin Patch\n*** Update File: sub/more.txt\n*** Move to: more.txt\n@@\n-more\n+MORE\n"
    "*** End Patch\n"
)
PATCHES = Task(
    id="lines",
    writes=("lines.txt", "sub/more.txt", "more.txt"),
    acceptance=("grep -qx TWO lines.txt && grep -qx MORE more.txt",),
    coder=(
        turn({"tool": "shell", "input": {"command": ["apply_patch", ADDS]}}),
        turn(
            {"tool": "apply_patch", "input": {"patch": CHANGES.replace(" one", " 1")}},
            expect={"results": [{"is_error": False, "contains": "A sub/more.txt"}]},
        ),
        turn(
            {"tool": "apply_patch", "input": {"input": CHANGES}},
            {"tool": "apply_patch", "input": {"patch": MOVES}},
            expect={"results": [{"is_error": True, "contains": "-1"}]},
        ),
        turn(
            {"tool": "edit", "input": {"command": "undo_edit", "path": "lines.txt"}},
            expect={
                "results": [
                    {"is_error": False, "contains": "M lines.txt: lines 1-2"},
                    {"is_error": False, "contains": "R sub/more.txt -> more.txt"},
                ]
            },
        ),
        turn(
            {
                "tool": "MultiEdit",
                "input": {
                    "file_path": "lines.txt",
                    "edits": [
                        {"old_string": "two", "new_string": "TWO"},
                        {"old_string": "three\n", "new_string": ""},
                    ],
                },
            },
            expect={"results": [{"is_error": False, "contains": "is undone"}]},
        ),
        turn(
            finish(summary="Two files.", commit_title="Add lines"),
            expect={"results": [{"is_error": False, "contains": "Done: lines.txt"}]},
        ),
    ),
    reviewer=(approves(),),
)


@pytest.fixture(scope="module")
async def own() -> AsyncIterator[LocalDeployment]:
    """A deployment of this module alone."""
    async with LocalDeployment(script(play("patched", PATCHES))) as deployment:
        yield deployment


async def test_a_request_by_patches_ends_with_the_right_files(own: LocalDeployment) -> None:
    """Patches as a command and as a tool, one that does not fit, an undo, several edits at once."""
    repository = own.repository("patched", {"README.md": "A small thing.\n"})
    status = await own.delivered(await own.start_request("patched", repository), seconds=240)

    assert git(repository, "show", f"{status.branch}:lines.txt") == "one\nTWO"
    assert git(repository, "ls-tree", "-r", "--name-only", f"{status.branch}").split() == [
        "README.md", "lines.txt", "more.txt",
    ]  # fmt: skip
    assert {entry.status for entry in own.journal("request/patched")} == {200}
