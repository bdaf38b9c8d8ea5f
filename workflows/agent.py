"""
AgentWorkflow: one role at work, turn by turn.

It knows ids of texts, never texts; what follows from a turn is decided in domain.loop.
"""

from collections.abc import Sequence
from itertools import groupby

from temporalio import workflow
from temporalio.exceptions import ActivityError, is_cancelled_exception

with workflow.unsafe.imports_passed_through():
    from contracts.agent import (
        AgentProgress,
        AgentResult,
        AgentStart,
        AgentStatus,
        Cut,
        Note,
    )
    from contracts.approval import Approval, ApprovalKind, Choice, Decision
    from contracts.failure import FailureKind
    from contracts.ports import ModelActivities, ToolActivities
    from contracts.store import ConversationRef
    from contracts.tool import Effect, ReadCall, ToolCall, ToolName, ToolOutcome, ToolResult
    from contracts.turn import ModelCall, ModelTurn, ToolAnswer, ToolUse
    from domain import briefing, ids, loop, policy
    from domain.registry import Registry, ToolSpec, registry_for
    from workflows import calls


@workflow.defn
class AgentWorkflow:
    """
    One agent.

    1. opens its conversation, or goes on with one;
    2. model -> tools -> model, until it calls `finish` or a limit cuts it;
    3. returns what it handed in, or what cut it.

    Signals: `add_note` reaches the model at its next turn; `decided` answers a question to a
    person. Query: `status`.
    """

    @workflow.init
    def __init__(self, start: AgentStart) -> None:
        self._start = start
        self._registry: Registry = registry_for(start.role)
        self._conversation: ConversationRef | None = start.conversation
        self._progress = start.progress or AgentProgress(started_at=workflow.time())
        self._checkpoint = start.checkpoint
        self._seen = start.seen
        self._answers = start.answers
        self._notes: list[str] = [start.message] if start.message else []
        self._documents = start.documents
        self._decisions: dict[str, Decision] = {}
        self._doing = "starting"

    @workflow.run
    async def run(self, start: AgentStart) -> AgentResult:
        """
        Run the loop to its end.
        """
        try:
            return await self._loop()
        except ActivityError as error:
            if is_cancelled_exception(error):
                raise
            return self._failed(error)

    async def _loop(self) -> AgentResult:
        conversation = self._start.conversation
        if conversation is None:
            conversation = await workflow.execute_activity_method(
                ModelActivities.open_conversation,
                self._start.opening,
                **calls.model("open the conversation"),
            )
        while True:
            result = await self._turn(conversation)
            if result is not None:
                return result
            conversation = self._conversation or conversation
            if workflow.info().is_continue_as_new_suggested():
                await workflow.wait_condition(workflow.all_handlers_finished)
                workflow.continue_as_new(self._carried())

    @workflow.signal(description='Tell the agent something: {"text": "…"}')
    def add_note(self, note: Note) -> None:
        """
        Keep a person's text for the next turn.
        """
        self._notes.append(f"A note from the person who made the request: {note.text}")

    @workflow.signal(description="The desk's decision on a question that this agent asked")
    def decided(self, decision: Decision) -> None:
        """
        Take a person's decision; the first one stands.
        """
        self._decisions.setdefault(decision.approval, decision)

    @workflow.query(description="Turns, tokens, cost and what the agent is doing")
    def status(self) -> AgentStatus:
        """
        Return the agent's present standing.
        """
        conversation = self._conversation
        return AgentStatus(
            role=self._start.role,
            task_ref=self._start.task_ref,
            turns=self._progress.turns,
            tokens=self._progress.usage.total_tokens,
            cost_usd=self._progress.cost_microusd / 1e6,
            doing=self._doing,
            model=self._progress.model,
            context_tokens=conversation.context_tokens if conversation else 0,
        )

    async def _turn(self, conversation: ConversationRef) -> AgentResult | None:
        """
        Make one turn; return the result when it was the last.
        """
        permit = loop.may_call(
            self._progress, self._start.limits, conversation=conversation, now=workflow.time()
        )
        if isinstance(permit, loop.Stop):
            return self._result(cut=permit)
        turn = await self._call_model(conversation, permit.max_output_tokens)
        self._conversation = turn.conversation
        self._progress = loop.booked(self._progress, turn)
        match loop.after_turn(turn, self._progress):
            case loop.Finish(output):
                return self._result(output=output)
            case loop.Stop() as stop:
                return self._result(cut=stop)
            case loop.Act(uses):
                self._answers = tuple(await self._act(uses))
                self._progress = loop.answered(self._progress, uses, self._answers)
                self._tell(loop.warning(self._progress))
            case loop.Say(message):
                self._answers = ()
                self._tell(message)
            case loop.Again(message):
                self._tell(message)
        return None

    def _tell(self, message: str | None) -> None:
        if message:
            self._notes.append(message)

    async def _call_model(self, conversation: ConversationRef, output_tokens: int) -> ModelTurn:
        """
        Call the model with everything that waits to be told; a discarded reply keeps it waiting.
        """
        number = conversation.turns + 1
        self._doing = f"turn {number}: model"
        told, notes = len(self._notes), "\n\n".join(self._notes)
        turn = await workflow.execute_activity_method(
            ModelActivities.call_model,
            ModelCall(
                repository=self._start.repository,
                conversation=conversation,
                agent=self._agent_header(),
                answers=self._answers,
                message=notes[:16_000] or None,
                documents=self._documents,
                max_output_tokens=output_tokens,
                variant=self._progress.variant,
            ),
            **calls.model(f"{self._start.role.value} {self._start.task_ref}: turn {number}"),
        )
        if not turn.discarded:
            self._notes = self._notes[told:]
            self._documents = ()
        return turn

    def _agent_header(self) -> str:
        start = self._start
        return (
            f"role={start.role.value}; task={start.task_ref}; attempt={start.attempt}; "
            f"agent={workflow.info().workflow_id}; request={start.request_id}"
        )

    async def _act(self, uses: Sequence[ToolUse]) -> list[ToolAnswer]:
        """
        Answer the calls of one turn in order: reads together, writes one by one.
        """
        answers: dict[str, ToolAnswer] = {}
        judged = [(use, await self._judge(use)) for use in uses]
        for reading, group in groupby(judged, key=lambda pair: self._reads(pair[0])):
            pairs = list(group)
            answers |= {use.id: answer for use, answer in pairs if answer is not None}
            free = [use for use, answer in pairs if answer is None]
            if reading and free:
                answers |= await self._read(free)
            elif not reading:
                for use in free:
                    answers[use.id] = await self._write(use)
        return [answers[use.id] for use in uses]

    def _reads(self, use: ToolUse) -> bool:
        spec = self._registry.get(use.name)
        return spec is not None and spec.effect is Effect.READ

    async def _judge(self, use: ToolUse) -> ToolAnswer | None:
        """
        Return the answer of a call that is not carried out, None for one that may be.
        """
        spec = self._registry.get(use.name)
        if use.problem or use.arguments is None or spec is None:
            return ToolAnswer(tool_use_id=use.id, text=use.problem or "no arguments", is_error=True)
        if spec.effect is Effect.END:
            return ToolAnswer(tool_use_id=use.id, text=loop.FINISH_ALONE, is_error=True)
        match policy.judge(spec, use.subject):
            case policy.Allow():
                return None
            case policy.Deny(_, why):
                return _refused(use, why)
            case policy.Ask(rule, why):
                return await self._ask(spec, use, rule, why)

    async def _ask(self, spec: ToolSpec, use: ToolUse, rule: str, why: str) -> ToolAnswer | None:
        """
        Ask a person through the request's desk; None when they approve this very call.
        """
        approval = Approval(
            id=f"tool/{self._start.task_ref}/{ids.digest(workflow.info().workflow_id, use.id)}",
            kind=ApprovalKind.TOOL,
            what=f"{spec.name.value} {use.subject}",
            why=f"{rule}: {why}",
            digest=ids.digest(spec.name, use.arguments or "", self._checkpoint, length=64),
            artefact=use.arguments,
            asked_by=workflow.info().workflow_id,
        )
        self._doing = f"waits for a person: {approval.what}"
        desk = workflow.get_external_workflow_handle(self._start.request_id)
        await desk.signal("ask", approval)
        await workflow.wait_condition(lambda: approval.id in self._decisions)
        decision = self._decisions[approval.id]
        if decision.choice is Choice.APPROVE:
            return None
        return _refused(use, decision.reason or "a person denied it")

    async def _read(self, uses: Sequence[ToolUse]) -> dict[str, ToolAnswer]:
        self._doing = f"reads {', '.join(use.subject for use in uses)}"[:120]
        found = await workflow.execute_activity_method(
            ToolActivities.read_files,
            ReadCall(
                repository=self._start.repository,
                lease=self._start.lease,
                task_ref=self._start.task_ref,
                expected=self._checkpoint,
                calls=tuple((use.id, ToolName(use.name), use.arguments or "") for use in uses),
                seen=self._seen,
            ),
            **calls.host(self._start.lease.host_id, self._doing),
        )
        self._seen = found.seen
        return {use.id: _answer(use, got) for use, got in zip(uses, found.results, strict=True)}

    async def _write(self, use: ToolUse) -> ToolAnswer:
        conversation = self._conversation
        name = ToolName(use.name)
        self._doing = f"{name.value} {use.subject}"[:120]
        port = ToolActivities.run_command
        if name is ToolName.EDIT:
            port = ToolActivities.apply_edit
        result = await workflow.execute_activity_method(
            port,
            ToolCall(
                repository=self._start.repository,
                lease=self._start.lease,
                task_ref=self._start.task_ref,
                call_id=ids.call_id(conversation.id if conversation else "", use.id),
                tool=name,
                expected=self._checkpoint,
                arguments=use.arguments or "",
                seen=self._seen,
            ),
            **calls.host(self._start.lease.host_id, self._doing),
        )
        self._checkpoint = result.checkpoint or self._checkpoint
        self._seen = result.seen or self._seen
        return _answer(use, result)

    def _failed(self, error: ActivityError) -> AgentResult:
        """
        Return the result of an agent whose world failed: its work so far is kept.
        """
        kind = str(getattr(error.cause, "type", None) or FailureKind.BUG)
        result = self._result(cut=loop.Stop(Cut.FAILURE, briefing.cause(error)))
        return result.model_copy(update={"failure": kind})

    def _carried(self) -> AgentStart:
        """
        Return the input of the next run: everything that is not in the conversation.
        """
        return self._start.model_copy(
            update={
                "conversation": self._conversation,
                "checkpoint": self._checkpoint,
                "seen": self._seen,
                "answers": self._answers,
                "message": "\n\n".join(self._notes)[:16_000] or None,
                "documents": self._documents,
                "progress": self._progress,
            }
        )

    def _result(self, *, output: str | None = None, cut: loop.Stop | None = None) -> AgentResult:
        return AgentResult(
            output=output,
            cut=cut.cut if cut else None,
            reason=cut.reason[:1_000] if cut else "",
            checkpoint=self._checkpoint,
            conversation=self._conversation,
            seen=self._seen,
            turns=self._progress.turns,
            usage=self._progress.usage,
            cost_microusd=self._progress.cost_microusd,
            model=self._progress.model,
        )


def _answer(use: ToolUse, result: ToolResult) -> ToolAnswer:
    return ToolAnswer(
        tool_use_id=use.id,
        output=result.output,
        is_error=result.outcome is not ToolOutcome.DONE,
    )


def _refused(use: ToolUse, why: str) -> ToolAnswer:
    return ToolAnswer(tool_use_id=use.id, text=f"Denied: {why}"[:1_000], is_error=True)
