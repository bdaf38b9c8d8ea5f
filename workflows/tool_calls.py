"""An agent's tool calls: run in order, reads together, writes one by one.

Whether a call may be run was judged where its arguments were in hand, and is recorded with it.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from itertools import groupby
from typing import Any, TypeVar

from temporalio import workflow
from temporalio.exceptions import ActivityError

with workflow.unsafe.imports_passed_through():
    from contracts.agent import AgentStart
    from contracts.approvals import Approval, Choice, Decision
    from contracts.failures import FailureKind
    from contracts.handoff import HANDOFF
    from contracts.model import ToolAnswer, ToolUse
    from contracts.planning import WriteScope
    from contracts.ports import ToolActivities, WorktreeActivities
    from contracts.setup import WantedSetup
    from contracts.tools import (
        HISTORY,
        CallApproval,
        ReadCall,
        ToolCall,
        ToolOutcome,
        ToolResult,
    )
    from contracts.verdicts import CallVerdict, Effect, Permission
    from contracts.worktrees import LeaseWorktree, WorktreeLease
    from domain import ids, lanes, retries, wire
    from domain.agent import loop
    from domain.approvals import calls, questions, shared
    from domain.approvals.questions import Asker
    from domain.planning import scope as scopes
    from workflows import activity_options, cancellation, retrying
    from workflows.setup_run import run_setup

Call = TypeVar("Call", ReadCall, ToolCall)
Result = TypeVar("Result")


class ToolDispatcher:
    """One agent's dealings with its worktree.

    Attributes:
        lease: the worktree; another one when it was lost.
        seen: the agent's record of file digests.
        scope: by what its writes of undeclared paths are judged.
        doing: what is going on, for people.
        left_out: what of the worktree the last checkpoint does not hold, for people; None before
            a call has looked.
    """

    def __init__(self, start: AgentStart) -> None:
        self._start = start
        self._decisions: dict[str, Decision] = {}
        self._approved: dict[str, CallApproval] = {}
        self.lease = start.lease.plain()
        self.checkpoint = start.checkpoint
        self.seen = start.seen
        self.scope = start.scope
        self.left_out = start.left_out
        self.doing = "starting"
        self._waited = 0.0

    def take_waited(self) -> float:
        """Return for how many seconds people and setups were waited for since the last call."""
        waited, self._waited = self._waited, 0.0
        return waited

    def decided(self, decision: Decision) -> None:
        """Take a person's decision; the first one stands."""
        self._decisions.setdefault(decision.approval, decision)

    def noted(self, text: str) -> None:
        """Keep the paths that a person's note asks for."""
        if self.scope:
            self.scope = scopes.with_notes(self.scope, (text,))

    async def act(self, conversation: str, uses: Sequence[ToolUse]) -> tuple[ToolAnswer, ...]:
        """Answer the calls of one turn, in their order."""
        answers: dict[str, ToolAnswer] = {}
        judged = [(use, await self._judge(use)) for use in uses]
        for reading, group in groupby(judged, key=lambda pair: wire.effect(pair[0]) is Effect.READ):
            pairs = list(group)
            answers |= {use.id: answer for use, answer in pairs if answer is not None}
            free = [use for use, answer in pairs if answer is None]
            if reading and free:
                answers |= await self._read(conversation, free)
            elif not reading:
                for use in free:
                    answers[use.id] = await self._write(conversation, use)
        return tuple(answers[use.id] for use in uses)

    async def _judge(self, use: ToolUse) -> ToolAnswer | None:
        """Return the answer of a call that is not run, None for one that may be."""
        effect = wire.effect(use)
        if use.problem or use.arguments is None or effect is None:
            return ToolAnswer(tool_use_id=use.id, text=use.problem or "no arguments", is_error=True)
        if effect is Effect.END:
            why = loop.TOO_EARLY if use.name == HANDOFF else loop.FINISH_ALONE
            return ToolAnswer(tool_use_id=use.id, text=why, is_error=True)
        verdict = wire.verdict(use)
        match verdict.permission:
            case Permission.ALLOW:
                return None
            case Permission.DENY:
                return _refused(use, verdict.reason)
            case Permission.ASK:
                return await self._ask(use, verdict)

    async def _ask(self, use: ToolUse, verdict: CallVerdict) -> ToolAnswer | None:
        """Ask a person through the request; None when they approve this very call."""
        asker = Asker(workflow.info().workflow_id, self._start.limits.approval_seconds)
        task, checkpoint = self._start.task_ref, self.checkpoint
        asked = calls.question(use, verdict, task_ref=task, asker=asker, checkpoint=checkpoint)
        since = workflow.time()
        decision = await self._decision(asked)
        if workflow.patched("person-waited-for-2026-12"):
            self._waited += workflow.time() - since
        if decision.choice is Choice.APPROVE:
            self._approved[use.id] = calls.approved(asked, decision, checkpoint)
            return None
        return _refused(use, decision.reason or "a person denied it")

    async def _decision(self, approval: Approval) -> Decision:
        self.doing = f"waits for a person: {approval.what}"
        inbox = workflow.get_external_workflow_handle(self._start.request_id)
        # Shielded: a cancellation that comes while a signal is under way would be lost with it.
        await asyncio.shield(inbox.signal("ask", approval))
        await workflow.wait_condition(lambda: approval.id in self._decisions)
        return self._decisions[approval.id]

    async def _set_up(self, use: ToolUse, wanted: WantedSetup) -> ToolAnswer | None:
        """Have installed what a call needs; return its answer where a person refuses that."""
        me, start = workflow.info().workflow_id, self._start
        decision = None
        if wanted.ask:
            asked = questions.setup_approval(
                wanted,
                deadline_seconds=start.limits.approval_seconds,
                call=f"{start.task_ref}/{ids.digest(me, use.id)}",
                commit=self.checkpoint,
                asked_by=me,
            )
            decision = await self._decision(asked)
            if decision.choice is not Choice.APPROVE:
                return _refused(use, decision.reason or "a person does not allow this setup")
        self.doing = f"{use.name} {use.subject}"[:120]
        by = decision.by if decision else ""
        allowed = True if decision else None
        commit = self.checkpoint
        if decision and decision.commit and shared.is_of_another(decision, wanted.digest):
            # What the person saw runs, not what this agent has changed beside.
            commit = decision.commit
            wanted = wanted.model_copy(update={"digest": decision.digest})
        await run_setup(start.repository, commit, wanted, allowed=allowed, by=by)
        return None

    async def _read(self, conversation: str, uses: Sequence[ToolUse]) -> dict[str, ToolAnswer]:
        self.doing = f"reads {', '.join(use.subject for use in uses)}"[:120]
        found = await self._reach(
            ToolActivities.read_files,
            ReadCall(
                repository=self._start.repository,
                lease=self.lease,
                task_ref=self._start.task_ref,
                expected=self.checkpoint,
                calls=tuple((use.id, use.name, use.arguments or "") for use in uses),
                seen=self.seen,
                conversation=conversation if any(use.name in HISTORY for use in uses) else "",
                approvals=tuple(
                    (use.id, self._approved.pop(use.id)) for use in uses if use.id in self._approved
                ),
            ),
        )
        self.seen = found.seen
        return {use.id: _answer(use, got) for use, got in zip(uses, found.results, strict=True)}

    async def _write(self, conversation: str, use: ToolUse) -> ToolAnswer:
        self.doing = f"{use.name} {use.subject}"[:120]
        call = ToolCall(
            repository=self._start.repository,
            lease=self.lease,
            task_ref=self._start.task_ref,
            call_id=ids.call_id(conversation, use.id),
            tool=use.name,
            expected=self.checkpoint,
            arguments=use.arguments or "",
            seen=self.seen,
            scope=self._scope(use),
            approval=self._approved.pop(use.id, CallApproval()),
        )
        result = await self._reach(_activity(use.name), call)
        if result.setup is not None:
            since = workflow.time()
            refused = await self._set_up(use, result.setup)
            self._waited += workflow.time() - since
            if refused:
                return refused
            call = call.model_copy(update={"lease": self.lease})
            result = await self._reach(_activity(use.name), call)
        self.checkpoint = result.checkpoint or self.checkpoint
        self.seen = result.seen or self.seen
        if result.left_out is not None:
            self.left_out = result.left_out
        return _answer(use, result)

    def _scope(self, use: ToolUse) -> WriteScope | None:
        """Return by what the paths are judged that a call changes; of an edit only what matters."""
        match use.name:
            case "edit" if self.scope is not None:
                return scopes.about(self.scope, use.subject)
            case "apply_patch" | "run_command" | "install_dependencies":
                return self.scope
            case _:
                return None

    async def _reach(self, port: Callable[[Any, Call], Awaitable[Result]], request: Call) -> Result:
        """Have a call carried out in the worktree; in another one, when this one is lost."""
        for _ in range(retries.MOST_MOVES):
            try:
                return await self._carry_out(port, request)
            except ActivityError as error:
                # The store has what was in the lost one, up to the last checkpoint.
                lost = retrying.kind_of(error) == FailureKind.FENCED
                if not (lost and workflow.patched("lease-again-2026-11")):
                    raise
            self.lease = await self._another()
            request = request.model_copy(update={"lease": self.lease})
        return await self._carry_out(port, request)

    async def _carry_out(
        self, port: Callable[[Any, Call], Awaitable[Result]], request: Call
    ) -> Result:
        result = await retrying.execute(
            port, request, activity_options.host(self.lease.host_id, self.doing)
        )
        cancellation.raise_if_cancelled()
        return result

    async def _another(self) -> WorktreeLease:
        """Lease again under the first lease's owner, who frees both."""
        start, parent = self._start, workflow.info().parent
        lease = await cancellation.complete_despite_cancel(
            retrying.execute(
                WorktreeActivities.lease_worktree,
                LeaseWorktree(
                    repository=start.repository,
                    owner=(parent or workflow.info()).workflow_id,
                    purpose=ids.purpose(start.role, start.attempt),
                    commit=self.checkpoint,
                    lane=lanes.again(start.lease),
                ),
                activity_options.store("lease another worktree: the last one is lost"),
            )
        )
        cancellation.raise_if_cancelled()
        # Its files are those of the checkpoint; commands go on seeing the base as their HEAD.
        return lease.plain().model_copy(update={"commit": start.lease.commit})


def _activity(tool: str) -> Callable[[Any, ToolCall], Awaitable[ToolResult]]:
    """Return the activity that carries a tool out: two have names of their own in histories."""
    match tool:
        case "edit":
            return ToolActivities.apply_edit
        case "run_command":
            return ToolActivities.run_command
        case _:
            return ToolActivities.call_tool


def _answer(use: ToolUse, result: ToolResult) -> ToolAnswer:
    return ToolAnswer(
        tool_use_id=use.id,
        output=result.output,
        is_error=result.outcome is not ToolOutcome.DONE,
    )


def _refused(use: ToolUse, why: str) -> ToolAnswer:
    return ToolAnswer(tool_use_id=use.id, text=f"Denied: {why}"[:1_000], is_error=True)
