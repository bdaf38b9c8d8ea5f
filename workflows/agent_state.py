"""What an agent is at: its conversation, its counters, what waits to be told, what it may do."""

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from contracts.agent import (
        AgentLimits,
        AgentProgress,
        AgentResult,
        AgentStart,
        AgentStatus,
        ModelPrices,
    )
    from contracts.model import ToolAnswer
    from contracts.store import ConversationRef
    from domain import wire
    from domain.agent import loop
    from workflows.tool_calls import ToolDispatcher


class AgentState:
    """One agent's state between two steps: all that continue-as-new carries.

    Attributes:
        conversation: None before it is opened.
        config: as pinned by the agent's first run; None before that.
        answers: to the open calls, for the next call of the model.
        notes: texts that wait to be told.
        handed_over: why the last window ended; None in the first.
        documents: told with the next message.
    """

    def __init__(self, start: AgentStart, tools: ToolDispatcher) -> None:
        self._start = start
        self._tools = tools
        self.conversation = start.conversation
        self.config = start.config
        self.progress = start.progress or AgentProgress(started_at=workflow.time())
        self.answers: tuple[ToolAnswer, ...] = start.answers
        self.notes = [*([start.message] if start.message else []), *start.notes]
        self.documents = start.documents
        self.handed_over = start.handed_over

    def tell(self, message: str | None) -> None:
        """Keep a text for the next call of the model."""
        if message:
            self.notes.append(message)

    def limits(self) -> AgentLimits:
        """Return the pinned limits with those that the agent's caller set."""
        own = self._start.limits
        budget = own.budget_microusd + self.progress.granted_microusd
        if self.config is None:
            return own.model_copy(update={"budget_microusd": budget})
        pinned = loop.sized(self.config.limits, self._start.size)
        return pinned.model_copy(
            update={
                "turns": loop.turns_of_round(pinned, self._start.turns_before),
                "budget_microusd": budget,
                "approval_seconds": own.approval_seconds,
            }
        )

    def permit(self, conversation: ConversationRef) -> int | loop.Stop:
        """Return the output tokens of the next call, or why there is none."""
        prices, now = self._prices(conversation), workflow.time()
        return loop.may_call(
            self.progress, self.limits(), prices, conversation=conversation, now=now
        )

    def _prices(self, conversation: ConversationRef) -> ModelPrices:
        config = self.config
        return config.prices_of(self.progress) if config else wire.prices(conversation.model)

    def _priced(self) -> bool:
        return self.config is None or self.config.prices_of(self.progress).known

    def header(self) -> str:
        """Return who calls the model, as it is sent in the request's agent header."""
        start = self._start
        return (
            f"role={start.role}; task={start.task_ref}; attempt={start.attempt}; "
            f"agent={workflow.info().workflow_id}; request={start.request_id}"
        )

    def status(self) -> AgentStatus:
        """Return what the `status` query tells."""
        conversation = self.conversation
        return AgentStatus(
            role=self._start.role,
            task_ref=self._start.task_ref,
            turns=self.progress.turns,
            tokens=self.progress.usage.total_tokens,
            cost_usd=self.progress.cost_microusd / 1e6,
            doing=self._tools.doing,
            priced=self._priced(),
            model=self.progress.model,
            context_tokens=conversation.context_tokens if conversation else 0,
            window=conversation.window if conversation else 0,
            handed_over=self.handed_over.value if self.handed_over else "",
        )

    def carried(self) -> AgentStart:
        """Return the input of the run that goes on after continue-as-new."""
        return self._start.model_copy(
            update={
                "conversation": self.conversation,
                "config": self.config,
                "lease": self._tools.lease,
                "checkpoint": self._tools.checkpoint,
                "seen": self._tools.seen,
                "scope": self._tools.scope,
                "answers": self.answers,
                "left_out": self._tools.left_out,
                "message": None,
                "notes": tuple(self.notes),
                "documents": self.documents,
                "progress": self.progress,
                "handed_over": self.handed_over,
            }
        )

    def result(self, *, output: str | None = None, cut: loop.Stop | None = None) -> AgentResult:
        """Return how the agent ended: with its output, or what cut it."""
        return AgentResult(
            output=output,
            cut=cut.cut if cut else None,
            reason=cut.reason[:1_000] if cut else "",
            checkpoint=self._tools.checkpoint,
            conversation=self.conversation,
            config=self.config,
            seen=self._tools.seen,
            turns=self.progress.turns,
            usage=self.progress.usage,
            cost_microusd=self.progress.cost_microusd,
            priced=self._priced(),
            model=self.progress.model,
            left_out=self._tools.left_out,
            granted_microusd=self.progress.granted_microusd,
        )
