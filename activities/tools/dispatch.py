"""Tool calls as activities: each a transaction on a worktree.

A call is journaled under its id before it is answered, fenced by the worktree's epoch, and starts
from the expected checkpoint, whatever an earlier attempt left in the worktree.
"""

import json
from pathlib import Path

from temporalio import activity
from typing_extensions import override

from activities.corruption import sound_checkpoint
from activities.failures import failed, translated_failures
from activities.memory import AgentMemories
from activities.tools.permissions import policy_of
from activities.tools.registry import tools_by_name
from activities.tools.tool import Tool, ToolContext, ToolOutput
from contracts.failures import FailureKind
from contracts.ports import ToolActivities
from contracts.tools import (
    MOST_LEFT_OUT,
    CallApproval,
    ReadCall,
    ReadResults,
    ToolCall,
    ToolOutcome,
    ToolResult,
)
from contracts.verdicts import Permission
from domain import ids, lanes
from domain.approvals import calls
from domain.policy.judge import judge
from domain.text import Redact, shown
from infra.commands import CommandRunner
from infra.disk_space import is_disk_full
from infra.kept.history import History
from infra.store import Batch, RefUpdate, Store, journal
from infra.store.open_stores import OpenStores
from infra.worktrees.handle import WorktreeHandle
from infra.worktrees.open_pools import OpenPools

_UNAPPROVED = "nobody has approved exactly this call, and the rules ask for it now:"


class WorktreeTools(ToolActivities):
    """Tool calls on this host's worktrees.

    Args:
        recall: the folder of the indexes by which memories and conversations are searched.
    """

    def __init__(
        self,
        stores: OpenStores,
        pools: OpenPools,
        commands: CommandRunner,
        *,
        redact: Redact,
        recall: Path,
    ) -> None:
        self._stores = stores
        self._pools = pools
        self._commands = commands
        self._redact = redact
        self._recall = recall

    @override
    @activity.defn
    async def read_files(self, request: ReadCall) -> ReadResults:
        """Answer the read-only calls of one turn.

        Safe to repeat: it changes nothing but the record of what the agent has seen, and notes
        once that a memory was read.
        """
        lease = request.lease
        store = await self._stores.get(request.repository.key)
        pool = await self._pools.get(request.repository.key)
        results: list[ToolResult] = []
        async with (
            translated_failures(),
            sound_checkpoint(store, request.expected),
            pool.open_worktree(
                lease.worktree, lease.epoch, request.expected, lease.commit
            ) as worktree,
        ):
            context = await self._context(request, store, worktree)
            for call_id, name, arguments in request.calls:
                approval = _approval_of(request, call_id)
                output = await _execute(_tool(name), context, arguments, approval)
                results.append(self._result(context.batch, call_id, output))
        known = _save_seen(context.batch, context.seen, request.seen)
        await context.batch.write()
        return ReadResults(results=tuple(results), seen=known)

    @override
    @activity.defn
    async def apply_edit(self, request: ToolCall) -> ToolResult:
        """Carry out `edit`, as `call_tool` does; this name stands in histories."""
        return await self._transact(request)

    @override
    @activity.defn
    async def run_command(self, request: ToolCall) -> ToolResult:
        """Carry out `run_command`, as `call_tool` does; this name stands in histories."""
        return await self._transact(request)

    @override
    @activity.defn
    async def call_tool(self, request: ToolCall) -> ToolResult:
        """Carry out a tool that writes and checkpoint the worktree.

        Safe to repeat: a finished call is found in the journal, an unfinished one is undone first.
        """
        return await self._transact(request)

    async def _context(
        self, request: ReadCall | ToolCall, store: Store, worktree: WorktreeHandle
    ) -> ToolContext:
        return ToolContext(
            worktree=worktree,
            store=store,
            seen=await _load_seen(store, request.seen),
            batch=store.batch(),
            expected=request.expected,
            environment=request.repository.environment,
            commands=self._commands,
            memories=AgentMemories(
                store=store,
                repository_key=request.repository.key,
                request_key=request.repository.request_key,
                task=request.task_ref,
                agent=activity.info().workflow_id or "",
                expected=request.expected,
                redact=self._redact,
                recall=self._recall,
            ),
            policy=await policy_of(store, request.repository.request_key),
            request_key=request.repository.request_key,
            installed_ref=_installed_ref(request),
            scope=request.scope if isinstance(request, ToolCall) else None,
            history=_history(store, request),
        )

    async def _transact(self, request: ToolCall) -> ToolResult:
        """Do a call once: recorded outcome, or fence, restore, act, checkpoint, journal."""
        tool, lease = _tool(request.tool), request.lease
        store = await self._stores.get(request.repository.key)
        pool = await self._pools.get(request.repository.key)
        ref = ids.call_ref(request.repository.request_key, request.task_ref, request.call_id)
        async with translated_failures(), sound_checkpoint(store, request.expected):
            found = await journal.recorded(store, ref)
            if found is not None:
                return ToolResult.model_validate_json(found)
            async with pool.open_worktree(
                lease.worktree, lease.epoch, request.expected, lease.commit
            ) as worktree:
                # Another attempt may have ended while this one waited for the worktree.
                found = await journal.recorded(store, ref)
                if found is not None:
                    return ToolResult.model_validate_json(found)
                context = await self._context(request, store, worktree)
                return await self._act(request, tool, context, ref)

    async def _act(
        self, request: ToolCall, tool: Tool, context: ToolContext, ref: str
    ) -> ToolResult:
        worktree, batch = context.worktree, context.batch
        worktree.begin(request.call_id)
        try:
            output = await _execute(tool, context, request.arguments, request.approval)
        except Exception as error:
            if is_disk_full(error):
                await worktree.clear()
            raise
        if output.setup is not None:
            return await self._unfinished(request, context, output)
        checkpoint = output.checkpoint or request.expected
        seen = _save_seen(batch, context.seen, request.seen)
        result = self._result(batch, request.call_id, output).model_copy(
            update={"checkpoint": checkpoint, "seen": seen, "left_out": self._left_out(output)}
        )
        attachments = {"output": result.output, **output.attachments}
        entry = journal.entry(batch, result.model_dump_json().encode(), attachments)
        await batch.write()
        names = (request.repository.request_key, request.task_ref, request.call_id)
        pin = RefUpdate(ids.checkpoint_ref(*names), checkpoint, None)
        await journal.settle(context.store, entry, ref, pin)
        worktree.settle(checkpoint)
        return result

    async def _unfinished(
        self, request: ToolCall, context: ToolContext, output: ToolOutput
    ) -> ToolResult:
        """Return what has to be installed before the call is made again; nothing was changed."""
        context.worktree.settle(request.expected)
        result = self._result(context.batch, request.call_id, output)
        await context.batch.write()
        return result.model_copy(update={"setup": output.setup})

    def _left_out(self, output: ToolOutput) -> str | None:
        if output.left_out is None:
            return None
        return shown(output.left_out, MOST_LEFT_OUT, self._redact)

    def _result(self, batch: Batch, call_id: str, output: ToolOutput) -> ToolResult:
        return ToolResult(
            call_id=call_id,
            outcome=output.outcome,
            output=batch.blob(output.text.encode("utf-8", "replace")),
            preview=shown(output.text, 80, self._redact),
        )


def _installed_ref(request: ReadCall | ToolCall) -> str:
    if isinstance(request, ReadCall):
        return ""
    key = request.repository.request_key
    return ids.installed_ref(key, request.task_ref, request.call_id)


def _history(store: Store, request: ReadCall | ToolCall) -> History | None:
    if not isinstance(request, ReadCall) or not request.conversation:
        return None
    return History(store, request.repository.request_key, request.conversation)


def _tool(name: str) -> Tool:
    tool = tools_by_name().get(name)
    if tool is None:
        known = ", ".join(tools_by_name())
        raise failed(
            FailureKind.REFUSED,
            f"this worker has no tool {name!r} (it has {known}): add its file to activities/tools "
            "and start the worker again",
        )
    return tool


def _approval_of(request: ReadCall, call_id: str) -> CallApproval | None:
    if request.approvals is None:
        return None
    return dict(request.approvals).get(call_id, CallApproval())


async def _execute(
    tool: Tool, context: ToolContext, arguments: str, approval: CallApproval | None
) -> ToolOutput:
    """Carry a call out, unless the rules deny it: it is judged once more, just before.

    What the rules ask about is carried out only when a person has approved exactly this.
    """
    if context.worktree.seconds_left() == 0:
        return ToolOutput(lanes.TIME_IS_OVER, ToolOutcome.FAILED)
    data = await context.store.get_blob(arguments)
    checked = tool.spec.arguments.model_validate_json(data)
    verdict = judge(context.policy, tool.spec, checked.model_dump())
    if verdict.permission is Permission.DENY:
        return ToolOutput(f"Denied: {verdict.reason}", ToolOutcome.DENIED)
    asks = verdict.permission is Permission.ASK
    if asks and not calls.is_approved(approval, tool.spec.name, arguments):
        return ToolOutput(f"Denied: {_UNAPPROVED} {verdict.reason}", ToolOutcome.DENIED)
    return await tool.execute(context, checked)


async def _load_seen(store: Store, oid: str | None) -> dict[str, str]:
    """Return the agent's record of file digests."""
    if oid is None:
        return {}
    loaded: dict[str, str] = json.loads(await store.get_blob(oid))
    return loaded


def _save_seen(batch: Batch, seen: dict[str, str], before: str | None) -> str | None:
    """Add the record of file digests and return its id; an empty one is not written."""
    if not seen:
        return before
    return batch.blob(json.dumps(seen, sort_keys=True).encode())
