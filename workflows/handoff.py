"""Handing an agent over to a fresh window of its own: its note, its ledger, the window.

Why a window ends, and what the fresh one is told, is decided in domain.
"""

from collections.abc import Awaitable, Callable

from temporalio import workflow
from temporalio.exceptions import ActivityError

with workflow.unsafe.imports_passed_through():
    from contracts.agent import AgentStart
    from contracts.failures import FailureKind
    from contracts.handoff import HANDOFF, HandoffCause, HandOver
    from contracts.model import ModelTurn
    from contracts.ports import ModelActivities
    from contracts.store import ConversationRef
    from domain.agent import loop, supervision
    from domain.handoff import window
    from workflows import activity_options, retrying
    from workflows.agent_state import AgentState
    from workflows.tool_calls import ToolDispatcher

LONG_RUN_EVENTS = 1_500
"""A run with a longer history goes on as a new one once a window ends."""

Ask = Callable[[ConversationRef, str, int], Awaitable[ModelTurn]]
"""Calls the model with one text of the loop's own; takes the conversation and output tokens."""


def is_overflow(error: ActivityError) -> bool:
    """Return whether a call failed because the conversation does not fit its model's window."""
    return retrying.kind_of(error) == FailureKind.CONTEXT_FULL


class Handoff:
    """The windows of one agent."""

    def __init__(
        self, start: AgentStart, state: AgentState, tools: ToolDispatcher, ask: Ask
    ) -> None:
        self._start = start
        self._state = state
        self._tools = tools
        self._ask = ask

    async def hand_over(self, conversation: ConversationRef, step: loop.OpenWindow) -> None:
        """Let the agent go on in a fresh window; what was not told yet waits for it."""
        state, note, asked = self._state, step.note, False
        if step.uses:
            state.answers = await self._tools.act(conversation.id, step.uses)
        if note is None and step.cause is not HandoffCause.OVERFLOW:
            note, asked = await self._note(conversation, step)
        conversation = state.conversation or conversation
        number = conversation.window + 1
        self._tools.doing = f"goes on in window {number + 1}: {step.cause.value}"
        opened = await retrying.execute(
            ModelActivities.hand_over,
            HandOver(
                opening=self._start.opening.model_copy(update={"generation": number}),
                conversation=conversation,
                cause=step.cause,
                answers=state.answers,
                note=note,
                asked=asked,
                why=step.why[:1_000],
                base=self._start.lease.commit,
                checkpoint=self._tools.checkpoint,
                seen=self._tools.seen,
                turns=state.progress.turns,
                cost_microusd=state.progress.cost_microusd,
                budget_microusd=state.limits().budget_microusd,
                fallback=state.progress.fallback or step.fallback,
            ),
            activity_options.model(f"open window {number + 1}: {step.cause.value}"),
        )
        state.config = opened.config
        state.conversation = ConversationRef.model_validate(opened, from_attributes=True)
        state.answers = ()
        state.handed_over = step.cause
        state.progress = supervision.in_fresh_window(state.progress, step)

    async def _note(
        self, conversation: ConversationRef, step: loop.OpenWindow
    ) -> tuple[str | None, bool]:
        """Ask the agent for its note; (None, False) where the ledger has to do without one."""
        state = self._state
        permit = state.permit(conversation)
        if isinstance(permit, loop.Stop):
            return None, False
        words = window.ask(step.cause, conversation, step.why)
        try:
            turn = await self._ask(conversation, words, min(permit, window.NOTE_TOKENS))
        except ActivityError as error:
            if not is_overflow(error):
                raise
            return None, False
        state.progress = supervision.with_note(state.progress, turn, state.limits())
        if turn.discarded:
            return None, False
        state.conversation, state.answers = turn.conversation, ()
        return next((use.arguments for use in turn.tool_uses if use.name == HANDOFF), None), True
