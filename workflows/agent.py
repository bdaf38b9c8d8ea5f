"""AgentWorkflow: one role at work, turn by turn.

It knows ids of texts, never texts; what follows from a turn is decided in domain.agent.loop.
"""

from temporalio import workflow
from temporalio.exceptions import ActivityError, is_cancelled_exception

with workflow.unsafe.imports_passed_through():
    from contracts.agent import AgentResult, AgentStart, AgentStatus, Note, StopCause
    from contracts.approvals import Decision
    from contracts.budget import MoneyAnswer
    from contracts.failures import FailureKind, RetryAdvice
    from contracts.handoff import PartKind
    from contracts.model import ModelCall, ModelTurn, ToolAnswer, ToolUse
    from contracts.ports import ModelActivities
    from contracts.store import ConversationRef
    from domain.agent import loop, messages, supervision
    from domain.handoff import window
    from workflows import activity_options, retrying
    from workflows.agent_state import AgentState
    from workflows.cancellation import raise_if_cancelled
    from workflows.handoff import LONG_RUN_EVENTS, Handoff, is_overflow
    from workflows.money import DOING, AgentMoney
    from workflows.retrying import ChildOfRequest
    from workflows.tool_calls import ToolDispatcher


@workflow.defn
class AgentWorkflow(ChildOfRequest):
    """One agent.

    1. opens its conversation, or goes on with one;
    2. model -> tools -> model, until it calls `finish` or a limit cuts it;
    3. goes on in a fresh window where one is full, or it goes in circles;
    4. returns what it handed in, or what cut it.
    """

    @workflow.init
    def __init__(self, start: AgentStart) -> None:
        self._start = start
        self._request_id = start.request_id
        self._tools = ToolDispatcher(start)
        self._money = AgentMoney(start)
        self._state = AgentState(start, self._tools)
        self._handoff = Handoff(start, self._state, self._tools, self._ask)
        self._unpaid: loop.Stop | None = None

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
        conversation = self._state.conversation
        if conversation is None:
            conversation = self._state.conversation = await self._open()
        while True:
            result = await self._turn_or_window(conversation)
            if result is not None:
                return result
            before, conversation = conversation, self._state.conversation or conversation
            if self._is_long(fresh=conversation.window > before.window):
                await workflow.wait_condition(workflow.all_handlers_finished)
                workflow.continue_as_new(self._state.carried())

    @staticmethod
    def _is_long(*, fresh: bool) -> bool:
        """Return whether the run goes on as a new one, soonest where a window begins."""
        info = workflow.info()
        long = fresh and info.get_current_history_length() > LONG_RUN_EVENTS
        return info.is_continue_as_new_suggested() or long

    async def _turn_or_window(self, conversation: ConversationRef) -> AgentResult | None:
        """Make one turn, or go on in a fresh window where this one is full."""
        cause = window.due(conversation, self._state.limits())
        if cause and isinstance(self._state.permit(conversation), int):
            return await self._hand_over(conversation, loop.OpenWindow(cause))
        try:
            return await self._turn(conversation)
        except ActivityError as error:
            step = loop.overflow(conversation, self._state.limits())
            if not is_overflow(error) or isinstance(step, loop.Stop):
                raise
            return await self._hand_over(conversation, step)

    @workflow.signal(description='Tell the agent something: {"text": "…"}')
    def add_note(self, note: Note) -> None:
        """Keep a person's text for the next turn."""
        self._state.notes.append(messages.note(note.text))
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
        return self._state.status()

    async def _open(self) -> ConversationRef:
        """Open the conversation; the configuration that it resolves is pinned from here on."""
        opened = await retrying.execute(
            ModelActivities.open_conversation,
            self._start.opening,
            activity_options.model("open the conversation"),
        )
        self._state.config = opened.config
        return ConversationRef.model_validate(opened, from_attributes=True)

    async def _turn(self, conversation: ConversationRef) -> AgentResult | None:
        """Make one turn; return the result when it was the last."""
        permit = self._state.permit(conversation)
        if isinstance(permit, loop.Stop):
            return None if await self._more_money(permit) else self._state.result(cut=permit)
        turn = await self._call_model(conversation, permit)
        self._state.conversation = turn.conversation
        # Judged by the counters from before it: what was reminded of or repeated already.
        waiting = bool(self._state.notes) and workflow.patched("note-before-finish-2026-11")
        step = loop.after_turn(turn, self._state.progress, self._state.limits(), waiting=waiting)
        self._state.progress = loop.with_usage(self._state.progress, turn, self._state.limits())
        match step:
            case loop.Finish(output):
                return self._state.result(output=output)
            case loop.FinishDeferred(use, output):
                if isinstance(self._state.permit(turn.conversation), loop.Stop):
                    return self._state.result(output=output)
                self._state.answers = (
                    ToolAnswer(tool_use_id=use.id, text=loop.FINISH_DEFERRED, is_error=True),
                )
            case loop.Stop() as stop:
                self._state.answers = loop.not_run(turn, stop) or self._state.answers
                return await self._stuck(turn.conversation, stop)
            case loop.OpenWindow() as step:
                return await self._hand_over(turn.conversation, step)
            case loop.CallTools(uses):
                return await self._act(turn.conversation, uses)
            case loop.Nudge(message):
                self._state.answers = ()
                self._state.tell(message)
            case loop.RetryTurn(message):
                self._state.tell(message)
        return None

    async def _act(
        self, conversation: ConversationRef, uses: tuple[ToolUse, ...]
    ) -> AgentResult | None:
        """Run a reply's calls; return the result when what they came to ends the agent."""
        before, known = self._tools.checkpoint, self._tools.seen
        self._state.answers = await self._tools.act(conversation.id, uses)
        self._state.progress = loop.after_wait(self._state.progress, self._tools.take_waited())
        limits = self._state.limits()
        self._state.progress = loop.answered(
            self._state.progress,
            uses,
            self._state.answers,
            limits,
            changed=self._tools.checkpoint != before,
            learned=self._tools.seen != known,
        )
        step = loop.after_answers(self._state.progress, limits)
        if isinstance(step, loop.Stop):
            return await self._stuck(conversation, step)
        self._state.tell(step)
        return None

    async def _stuck(self, conversation: ConversationRef, stop: loop.Stop) -> AgentResult | None:
        """End the agent, or try what is left to try with one that goes in circles."""
        state = self._state
        allowed = state.config is not None and state.config.fallback is not None
        step = supervision.instead_of(stop, state.progress, state.limits(), fallback=allowed)
        if isinstance(step, loop.Stop):
            return state.result(cut=step)
        return await self._hand_over(conversation, step)

    async def _hand_over(
        self, conversation: ConversationRef, step: loop.OpenWindow
    ) -> AgentResult | None:
        """Let the agent go on in a fresh window: never its end."""
        await self._handoff.hand_over(conversation, step)
        return None

    async def _call_model(self, conversation: ConversationRef, output_tokens: int) -> ModelTurn:
        """Call the model with all that waits to be told; a discarded reply keeps it waiting."""
        number = conversation.turns + 1
        self._state.progress, low = loop.running_low(
            self._state.progress, self._state.limits(), now=workflow.time()
        )
        self._state.tell(low)
        self._tools.doing = loop.doing(number, self._state.progress)
        message, told = messages.message(self._state.notes)
        parts = messages.parts(self._state.notes[:told])
        documents = self._state.documents
        turn = await self._call(conversation, message, parts, documents, output_tokens)
        if not turn.discarded:
            self._state.notes = self._state.notes[told:]
            self._state.documents = ()
        return turn

    async def _ask(self, conversation: ConversationRef, text: str, tokens: int) -> ModelTurn:
        """Ask the agent for something of the loop's own; what waits to be told goes on waiting."""
        self._tools.doing = f"turn {conversation.turns + 1}: hands over"
        parts = ((PartKind.SYSTEM.value, len(text)),)
        return await self._call(conversation, text, parts, (), tokens)

    async def _call(
        self,
        conversation: ConversationRef,
        message: str | None,
        parts: tuple[tuple[str, int], ...],
        documents: tuple[tuple[str, str], ...],
        output_tokens: int,
    ) -> ModelTurn:
        start, number = self._start, conversation.turns + 1
        settles = self._state.config is not None and self._state.config.settles_calls
        turn = await retrying.execute(
            ModelActivities.call_model,
            ModelCall(
                repository=start.repository,
                conversation=conversation,
                agent=self._state.header(),
                answers=self._state.answers,
                message=message,
                parts=parts,
                documents=documents,
                max_output_tokens=output_tokens,
                variant=self._state.progress.variant,
                resumed=start.opening.resumed,
                fallback=self._state.progress.fallback,
            ),
            activity_options.model(
                f"{start.role} {start.task_ref}: turn {number}", settles=settles
            ),
            following=self._after_lost,
        )
        if settles:
            raise_if_cancelled()
        return turn

    def _after_lost(self, call: ModelCall, advice: RetryAdvice) -> ModelCall | None:
        """Book a call that may have to be paid for, and return the next one within the budget."""
        self._state.progress, call = loop.with_fallback(self._state.progress, call, advice)
        if not (advice.fallback or advice.cost_microusd or advice.usage.total_tokens):
            return call
        self._state.progress = loop.with_lost(self._state.progress, advice)
        permit = loop.after_lost(
            self._state.progress, advice, self._state.permit(call.conversation)
        )
        if isinstance(permit, int):
            return call.model_copy(update={"max_output_tokens": permit})
        self._unpaid = permit
        return None

    async def _more_money(self, stop: loop.Stop) -> bool:
        """Wait for more money when that is what is missing; True when there is some."""
        self._tools.doing, self._unpaid = DOING, None
        if paid := await self._money.more(stop, self._state.progress):
            self._state.progress = paid
        return paid is not None

    def _failed(self, error: ActivityError) -> AgentResult:
        """Return the result of an agent whose world failed: its work so far is kept."""
        said = messages.lost(self._state.progress.lost) + messages.cause(error)
        if self._state.progress.lost and self._state.conversation:
            permit = self._state.permit(self._state.conversation)
            if isinstance(permit, loop.Stop):
                return self._state.result(cut=loop.Stop(permit.cut, f"{permit.reason}; {said}"))
        kind = retrying.kind_of(error) or FailureKind.BUG.value
        result = self._state.result(cut=loop.Stop(StopCause.FAILURE, said))
        return result.model_copy(update={"failure": kind})
