"""The agent's loop on paper: may it call again, and what follows from a turn."""

from collections.abc import Sequence
from dataclasses import dataclass

from contracts.agent import AgentLimits, AgentProgress, ModelPrices, StopCause
from contracts.model import ModelTurn, ToolAnswer, ToolUse
from contracts.store import ConversationRef
from contracts.tools import FINISH
from domain.ids import digest

GO_ON = (
    "You ended your turn without calling a tool. If the work is done, call `finish`; "
    "if not, go on with the next tool call."
)
CUT_SHORT = (
    "Your last reply was longer than one reply may be and was discarded. Nothing of it was run. "
    "Make smaller steps: edit one part of one file at a time."
)
CIRCLES = (
    "You have made the same call with the same result several times. Do something else: "
    "read the message again, look at another file, or finish and say what is in the way."
)
FINISH_DEFERRED = (
    "You are not done yet: a message came while you worked. Read it below, do what it asks, "
    "then call `finish` again."
)
FINISH_ALONE = "Call finish alone, after you have seen the results of your other calls."


@dataclass(frozen=True)
class CallTools:
    """Run these calls, in order."""

    uses: tuple[ToolUse, ...]


@dataclass(frozen=True)
class Finish:
    """The agent says that it is done."""

    output: str


@dataclass(frozen=True)
class FinishDeferred:
    """The agent says that it is done, but has not heard all yet.

    Attributes:
        use: its call of `finish`, to be answered with FINISH_DEFERRED.
        output: what counts all the same when it may not call again.
    """

    use: ToolUse
    output: str


@dataclass(frozen=True)
class Nudge:
    """Tell the model something and call again."""

    message: str | None


@dataclass(frozen=True)
class RetryTurn:
    """Ask for the same turn again: the reply was discarded."""

    message: str | None


@dataclass(frozen=True)
class Stop:
    """The loop is cut, and says so."""

    cut: StopCause
    reason: str


def may_call(
    progress: AgentProgress,
    limits: AgentLimits,
    prices: ModelPrices,
    *,
    conversation: ConversationRef,
    now: float,
) -> int | Stop:
    """Return the output tokens of the next call, or why there is none; `now` by the run's clock.

    The whole price of the call is reserved before it is made, so spending stays within the budget.
    """
    if progress.turns >= limits.turns:
        return Stop(StopCause.TURNS, f"{limits.turns} turns are used up")
    if now - progress.started_at >= limits.seconds:
        return Stop(StopCause.TIME, f"{limits.seconds} seconds are used up")
    context = conversation.context_tokens + limits.growth_tokens
    if conversation.turns == 0:
        context = limits.first_context_tokens
    left = limits.budget_microusd - progress.cost_microusd
    output = affordable_output(prices, context_tokens=context, money_microusd=left)
    if output < limits.smallest_reply_tokens:
        why = f"the next call could cost more than the ${left / 1e6:.2f} left"
        return Stop(StopCause.BUDGET, why)
    wanted: int = limits.output_tokens * 2**progress.variant
    ceiling = min(limits.largest_reply_tokens, prices.max_output_tokens)
    return min(wanted, output, ceiling)


def affordable_output(prices: ModelPrices, *, context_tokens: int, money_microusd: int) -> int:
    """Return how many output tokens the money buys after an uncached read of the context; ≥ 0."""
    left = money_microusd - 1.25 * prices.input_usd * context_tokens
    return max(int(left / prices.output_usd), 0)


def after_turn(
    turn: ModelTurn, progress: AgentProgress, limits: AgentLimits, *, waiting: bool = False
) -> CallTools | Finish | FinishDeferred | Nudge | RetryTurn | Stop:
    """Decide what follows from a reply. Tools run only when the reply stopped for them.

    `progress` is that from before the reply; `waiting`: something came meanwhile that the agent has
    not been told.
    """
    match turn.stop_reason:
        case "tool_use" if turn.tool_uses:
            return _tools(turn, progress, limits, waiting=waiting)
        case "end_turn" | "stop_sequence" | "tool_use":
            return _silent(progress, limits)
        case "pause_turn":
            return Nudge(None)
        case "max_tokens":
            return _too_long(progress, limits)
        case "refusal":
            return Stop(StopCause.REFUSAL, turn.says or "the model declined to answer")
        case "model_context_window_exceeded":
            return Stop(StopCause.CONTEXT, "the conversation no longer fits the model's window")
        case unknown:
            return Stop(StopCause.SILENT, f"the model stopped for an unknown reason: {unknown}")


def _tools(
    turn: ModelTurn, progress: AgentProgress, limits: AgentLimits, *, waiting: bool
) -> CallTools | Finish | FinishDeferred | Stop:
    only = turn.tool_uses[0] if len(turn.tool_uses) == 1 else None
    if only and only.name == FINISH and turn.finish is not None:
        return FinishDeferred(only, turn.finish) if waiting else Finish(turn.finish)
    if progress.bad_calls >= limits.bad_calls:
        return Stop(StopCause.LOOP, f"{progress.bad_calls} tool calls in a row could not be run")
    if _repeats(progress.recent) >= limits.same_call_stop:
        return Stop(StopCause.LOOP, f"the same call was made {limits.same_call_stop} times")
    return CallTools(turn.tool_uses)


def _silent(progress: AgentProgress, limits: AgentLimits) -> Nudge | Stop:
    if progress.nudges >= limits.nudges:
        return Stop(
            StopCause.SILENT, f"it stopped without calling finish, after {limits.nudges} reminders"
        )
    return Nudge(GO_ON)


def _too_long(progress: AgentProgress, limits: AgentLimits) -> RetryTurn | Stop:
    if progress.variant >= limits.discarded_replies:
        return Stop(StopCause.SILENT, "its replies stay longer than one reply may be")
    return RetryTurn(CUT_SHORT if progress.variant else None)


def with_usage(progress: AgentProgress, turn: ModelTurn) -> AgentProgress:
    """Return the counters after a reply."""
    silent = turn.stop_reason in {"end_turn", "stop_sequence"}
    return progress.model_copy(
        update={
            "turns": progress.turns + 1,
            "nudges": progress.nudges + 1 if silent else 0,
            "variant": progress.variant + 1 if turn.discarded else 0,
            "usage": progress.usage.plus(turn.usage),
            "cost_microusd": progress.cost_microusd + turn.cost_microusd,
            "model": turn.model or progress.model,
        }
    )


def answered(
    progress: AgentProgress, uses: Sequence[ToolUse], answers: Sequence[ToolAnswer]
) -> AgentProgress:
    """Return the counters after the calls of a turn were answered."""
    bad = progress.bad_calls
    recent = list(progress.recent)
    for use, answer in zip(uses, answers, strict=True):
        bad = bad + 1 if use.problem else 0
        recent.append(digest(use.name, use.arguments or use.problem, answer.output or answer.text))
    return progress.model_copy(update={"bad_calls": bad, "recent": tuple(recent[-8:])})


def warning(progress: AgentProgress, limits: AgentLimits) -> str | None:
    """Return what to tell an agent that goes in circles, None while it does not."""
    return CIRCLES if _repeats(progress.recent) == limits.same_call_warning else None


def _repeats(recent: Sequence[str]) -> int:
    count = 0
    for one in reversed(recent):
        if one != recent[-1]:
            break
        count += 1
    return count
