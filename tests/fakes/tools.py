"""Tools: reads change nothing; an edit changes one path; both only with a current lease."""

import json
from collections.abc import Callable

from temporalio import activity
from typing_extensions import override

from activities.failures import failed
from contracts.failures import FailureKind
from contracts.ports import ToolActivities
from contracts.setup import WantedSetup
from contracts.tools import ReadCall, ReadResults, ToolCall, ToolOutcome, ToolResult
from contracts.worktrees import WorktreeLease
from tests.fakes.calls import Before, Fake
from tests.fakes.store import MARKED, MemoryStore


class FakeTools(Fake, ToolActivities):
    """Records each write by its call id; a repeat returns what was recorded.

    Attributes:
        fails: whether a write ends as failed.
        changes: whether an edit changes its file.
        left_out: what a checkpoint leaves out, as a call tells people.
        setup: what the first attempt at a call of `install_dependencies` needs.
        digest: of that setup for one call, None for its own.
    """

    def __init__(self, store: MemoryStore, before: Before) -> None:
        super().__init__(store, before)
        self._journal: dict[str, ToolResult] = {}
        self.fails: Callable[[ToolCall], bool] = lambda _: False
        self.changes: Callable[[ToolCall], bool] = lambda _: True
        self.left_out: Callable[[ToolCall], str | None] = lambda _: None
        self.setup: WantedSetup | None = None
        self.digest: Callable[[ToolCall], str | None] = lambda _: None
        self._asked = set[str]()

    @override
    @activity.defn
    async def read_files(self, request: ReadCall) -> ReadResults:
        self._fence(request.lease)
        await self._before("read_files", request)
        output = self._store.blob("text")
        return ReadResults(
            results=tuple(
                ToolResult(call_id=call_id, outcome=ToolOutcome.DONE, output=output)
                for call_id, _, _ in request.calls
            )
        )

    @override
    @activity.defn
    async def apply_edit(self, request: ToolCall) -> ToolResult:
        return await self._write("apply_edit", request)

    @override
    @activity.defn
    async def run_command(self, request: ToolCall) -> ToolResult:
        return await self._write("run_command", request)

    @override
    @activity.defn
    async def call_tool(self, request: ToolCall) -> ToolResult:
        return await self._write("call_tool", request)

    async def _write(self, name: str, request: ToolCall) -> ToolResult:
        if request.call_id in self._journal:
            return self._journal[request.call_id]
        self._fence(request.lease)
        await self._before(name, request)
        checkpoint = request.expected
        if self._has_to_be_set_up(request):
            output = self._store.blob("not yet")
            return ToolResult(
                call_id=request.call_id,
                outcome=ToolOutcome.FAILED,
                output=output,
                setup=self._setup_of(request),
            )
        if request.tool == "edit" and self.changes(request):
            change = json.loads(self._store.blobs[request.arguments])
            tree = dict(self._store.tree(request.expected))
            tree[change["path"]] = _edited(tree.get(change["path"], ""), change)
            checkpoint = self._store.commit(tree, request.expected, note=request.call_id)
        result = ToolResult(
            call_id=request.call_id,
            outcome=ToolOutcome.FAILED if self.fails(request) else ToolOutcome.DONE,
            output=self._store.blob(f"output of {request.tool} {request.arguments}"),
            checkpoint=checkpoint,
            left_out=self.left_out(request),
        )
        self._journal[request.call_id] = result
        return result

    def _has_to_be_set_up(self, request: ToolCall) -> bool:
        first = request.call_id not in self._asked
        self._asked.add(request.call_id)
        return first and self.setup is not None and request.tool == "install_dependencies"

    def _setup_of(self, request: ToolCall) -> WantedSetup | None:
        other = self.digest(request)
        if self.setup is None or other is None:
            return self.setup
        return self.setup.model_copy(update={"digest": other})

    def _fence(self, lease: WorktreeLease) -> None:
        if not self._store.holds(lease.worktree, lease.epoch):
            raise failed(FailureKind.FENCED, "a later holder has the worktree")


def _edited(before: str, change: dict[str, str]) -> str:
    """Return a file's new content: all of it, or what it holds without markers and one line more.

    Of a conflict both sides stay, each line once.
    """
    if "line" not in change:
        return change["file_text"] if "file_text" in change else change["content"]
    lines = [line for line in before.splitlines() if line != MARKED]
    return "\n".join(dict.fromkeys([*lines, change["line"]]))
