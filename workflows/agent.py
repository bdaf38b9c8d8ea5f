"""AgentWorkflow: one role at work, turn by turn.

It knows ids of texts, never texts; what follows from a turn is decided in domain.agent.loop.
"""

from temporalio import workflow
from temporalio.exceptions import ActivityError, is_cancelled_exception

with workflow.unsafe.imports_passed_through():
    from contracts.agent import (
        AgentLimits,
        AgentProgress,
        AgentResult,
        AgentStart,
        AgentStatus,
        ModelPrices,
        Note,
        StopCause,
    )
    from contracts.approvals import Decision
    from contracts.budget import MoneyAnswer
    from contracts.failures import FailureKind, RetryAdvice
    from contracts.model import ModelCall, ModelTurn, ToolAnswer, ToolUse
    from contracts.ports import ModelActivities
    from contracts.store import ConversationRef
    from domain import wire
    from domain.agent import loop, messages
    from workflows import activity_options, retrying
    from workflows.money import DOING, AgentMoney
    from workflows.retrying import ChildOfRequest
    from workflows.tool_calls import ToolDispatcher


@workflow.defn
class AgentWorkflow(ChildOfRequest):
    """One agent.

    1. opens its conversation, or goes on with one;
    2. model -> tools -> model, until it calls `finish` or a limit cuts it;
    3. returns what it handed in, or what cut it.
    """

    @workflow.init
    def __init__(self, start: AgentStart) -> None:
        self._start = start
        self._request_id = start.request_id
        self._tools = ToolDispatcher(start)
        self._money = AgentMoney(start)
        self._unpaid: loop.Stop | None = None
        self._conversation: ConversationRef | None = start.conversation
        self._config = start.config
        self._progress = start.progress or AgentProgress(started_at=workflow.time())
        self._answers = start.answers
        self._notes = [*([start.message] if start.message else []), *start.notes]
        self._documents = start.documents

    @workflow.run
    async def run(self, start: AgentStart) -> AgentResult:
        """Run the loop to its end."""
        while True:
            try:
                return await self._loop()
            except ActivityError as error:
                if is_cancelled_exception(error):
                    raise
                if self._unpaid is None or not await self._more_money(self._unpaid):
                    return self._failed(error)

    async def _loop(self) -> AgentResult:
        conversation = self._conversation
        if conversation is None:
            conversation = self._conversation = await self._open()
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
        """Keep a person's text for the next turn."""
        self._notes.append(messages.note(note.text))
        self._tools.noted(note.text)

    @workflow.signal(description="A person's decision on a question that this agent asked")
    def decided(self, decision: Decision) -> None:
        """Take a person's decision; the first one stands."""
        self._tools.decided(decision)

    @workflow.signal(description="More money for this agent, or none")
    def grant_money(self, answer: MoneyAnswer) -> None:
        """Take the request's answer to a need."""
        self._money.answered(answer)

    @workflow.query(description="Turns, tokens, cost and what the agent is doing")
    def status(self) -> AgentStatus:
        """Return the agent's present standing."""
        conversation = self._conversation
        return AgentStatus(
            role=self._start.role,
            task_ref=self._start.task_ref,
            turns=self._progress.turns,
            tokens=self._progress.usage.total_tokens,
            cost_usd=self._progress.cost_microusd / 1e6,
            doing=self._tools.doing,
            priced=self._priced(),
            model=self._progress.model,
            context_tokens=conversation.context_tokens if conversation else 0,
        )

    async def _open(self) -> ConversationRef:
        """Open the conversation; the configuration that it resolves is pinned from here on."""
        opened = await retrying.execute(
            ModelActivities.open_conversation,
            self._start.opening,
            activity_options.model("open the conversation"),
        )
        self._config = opened.config
        return ConversationRef.model_validate(opened, from_attributes=True)

    async def _turn(self, conversation: ConversationRef) -> AgentResult | None:
        """Make one turn; return the result when it was the last."""
        permit = self._permit(conversation)
        if isinstance(permit, loop.Stop):
            return None if await self._more_money(permit) else self._result(cut=permit)
        turn = await self._call_model(conversation, permit)
        self._conversation = turn.conversation
        # Judged by the counters from before it: what was reminded of or repeated already.
        waiting = bool(self._notes) and workflow.patched("note-before-finish-2026-11")
        step = loop.after_turn(turn, self._progress, self._limits(), waiting=waiting)
        self._progress = loop.with_usage(self._progress, turn, self._limits())
        match step:
            case loop.Finish(output):
                return self._result(output=output)
            case loop.FinishDeferred(use, output):
                if isinstance(self._permit(turn.conversation), loop.Stop):
                    return self._result(output=output)
                self._answers = (
                    ToolAnswer(tool_use_id=use.id, text=loop.FINISH_DEFERRED, is_error=True),
                )
            case loop.Stop() as stop:
                return self._result(cut=stop)
            case loop.CallTools(uses):
                return await self._act(conversation, uses)
            case loop.Nudge(message):
                self._answers = ()
                self._tell(message)
            case loop.RetryTurn(message):
                self._tell(message)
        return None

    async def _act(
        self, conversation: ConversationRef, uses: tuple[ToolUse, ...]
    ) -> AgentResult | None:
        """Run a reply's calls; return the result when what they came to ends the agent."""
        before = self._tools.checkpoint
        self._answers = await self._tools.act(conversation.id, uses)
        changed = self._tools.checkpoint != before
        limits = self._limits()
        self._progress = loop.answered(self._progress, uses, self._answers, limits, changed=changed)
        step = loop.after_answers(self._progress, limits)
        if isinstance(step, loop.Stop):
            return self._result(cut=step)
        self._tell(step)
        return None

    def _permit(self, conversation: ConversationRef) -> int | loop.Stop:
        prices, now = self._prices(conversation), workflow.time()
        return loop.may_call(
            self._progress, self._limits(), prices, conversation=conversation, now=now
        )

    def _limits(self) -> AgentLimits:
        """Return the pinned limits with those that the agent's caller set."""
        own = self._start.limits
        budget = own.budget_microusd + self._progress.granted_microusd
        if self._config is None:
            return own.model_copy(update={"budget_microusd": budget})
        pinned = loop.sized(self._config.limits, self._start.size)
        return pinned.model_copy(
            update={
                "turns": loop.turns_of_round(pinned, self._start.turns_before),
                "budget_microusd": budget,
                "approval_seconds": own.approval_seconds,
            }
        )

    def _prices(self, conversation: ConversationRef) -> ModelPrices:
        return self._config.prices if self._config else wire.prices(conversation.model)

    def _priced(self) -> bool:
        return self._config is None or self._config.prices.known

    def _tell(self, message: str | None) -> None:
        if message:
            self._notes.append(message)

    async def _call_model(self, conversation: ConversationRef, output_tokens: int) -> ModelTurn:
        """Call the model with all that waits to be told; a discarded reply keeps it waiting."""
        number = conversation.turns + 1
        self._progress, low = loop.running_low(self._progress, self._limits(), now=workflow.time())
        self._tell(low)
        self._tools.doing = f"turn {number}: model"
        message, told = messages.message(self._notes)
        turn = await retrying.execute(
            ModelActivities.call_model,
            ModelCall(
                repository=self._start.repository,
                conversation=conversation,
                agent=self._agent_header(),
                answers=self._answers,
                message=message,
                documents=self._documents,
                max_output_tokens=output_tokens,
                variant=self._progress.variant,
                resumed=self._start.opening.resumed,
            ),
            activity_options.model(f"{self._start.role} {self._start.task_ref}: turn {number}"),
            following=self._after_lost,
        )
        if not turn.discarded:
            self._notes = self._notes[told:]
            self._documents = ()
        return turn

    def _after_lost(self, call: ModelCall, advice: RetryAdvice) -> ModelCall | None:
        """Book a call that may have to be paid for, and return the next one within the budget."""
        if not advice.cost_microusd and not advice.usage.total_tokens:
            return call
        self._progress = loop.with_lost(self._progress, advice)
        permit = loop.after_lost(self._progress, advice, self._permit(call.conversation))
        if isinstance(permit, int):
            return call.model_copy(update={"max_output_tokens": permit})
        self._unpaid = permit
        return None

    async def _more_money(self, stop: loop.Stop) -> bool:
        """Wait for more money when that is what is missing; True when there is some."""
        self._tools.doing, self._unpaid = DOING, None
        if paid := await self._money.more(stop, self._progress):
            self._progress = paid
        return paid is not None

    def _agent_header(self) -> str:
        start = self._start
        return (
            f"role={start.role}; task={start.task_ref}; attempt={start.attempt}; "
            f"agent={workflow.info().workflow_id}; request={start.request_id}"
        )

    def _failed(self, error: ActivityError) -> AgentResult:
        """Return the result of an agent whose world failed: its work so far is kept."""
        said = messages.lost(self._progress.lost) + messages.cause(error)
        if self._progress.lost and self._conversation:
            permit = self._permit(self._conversation)
            if isinstance(permit, loop.Stop):
                return self._result(cut=loop.Stop(permit.cut, f"{permit.reason}; {said}"))
        kind = retrying.kind_of(error) or FailureKind.BUG.value
        result = self._result(cut=loop.Stop(StopCause.FAILURE, said))
        return result.model_copy(update={"failure": kind})

    def _carried(self) -> AgentStart:
        return self._start.model_copy(
            update={
                "conversation": self._conversation,
                "config": self._config,
                "lease": self._tools.lease,
                "checkpoint": self._tools.checkpoint,
                "seen": self._tools.seen,
                "scope": self._tools.scope,
                "answers": self._answers,
                "left_out": self._tools.left_out,
                "message": None,
                "notes": tuple(self._notes),
                "documents": self._documents,
                "progress": self._progress,
            }
        )

    def _result(self, *, output: str | None = None, cut: loop.Stop | None = None) -> AgentResult:
        return AgentResult(
            output=output,
            cut=cut.cut if cut else None,
            reason=cut.reason[:1_000] if cut else "",
            checkpoint=self._tools.checkpoint,
            conversation=self._conversation,
            config=self._config,
            seen=self._tools.seen,
            turns=self._progress.turns,
            usage=self._progress.usage,
            cost_microusd=self._progress.cost_microusd,
            priced=self._priced(),
            model=self._progress.model,
            left_out=self._tools.left_out,
            granted_microusd=self._progress.granted_microusd,
        )
