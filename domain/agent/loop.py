"""The agent's loop on paper: may it call again, and what follows from a turn."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from contracts.agent import AgentLimits, AgentProgress, ModelPrices, StopCause
from contracts.failures import RetryAdvice
from contracts.handoff import HANDOFF, HandoffCause
from contracts.model import ModelCall, ModelTurn, ReplyOutcome, ToolAnswer, ToolUse
from contracts.store import ConversationRef
from contracts.tools import FINISH
from contracts.verdicts import Effect
from domain.agent import circles
from domain.handoff import window
from domain.ids import digest

GO_ON = (
    "You ended your turn without calling a tool. If the work is done, call `finish`; "
    "if not, go on with the next tool call."
)
EMPTY = (
    "Your last reply was empty. Go on with the next tool call; if the work is done, call `finish`."
)
CUT_SHORT = (
    "Your last reply was longer than one reply may be and was discarded. Nothing of it was run. "
    "Make smaller steps: edit one part of one file at a time."
)
CIRCLES = (
    "You have made the same call with the same result several times. Do something else: "
    "read the message again, look at another file, or finish and say what is in the way."
)
FAILING = (
    "Every call of your last replies failed. Read what the errors say, view the file as it is now, "
    "and go about it in another way; or finish and say what is in the way."
)
RUNNING_LOW = (
    "{left} are left. Come to an end: leave what is not needed, make sure that what is there is "
    "right, and call `finish` while you can. At the limit you are cut, and what you leave counts "
    "only if it passes as it is."
)
FINISH_DEFERRED = (
    "You are not done yet: a message came while you worked. Read it below, do what it asks, "
    "then call `finish` again."
)
_WINDOW_FULL = "the conversation no longer fits the model's window"
FINISH_ALONE = "Call finish alone, after you have seen the results of your other calls."
TOO_EARLY = "This window has just begun: go on in it."
IDLE = (
    "Your last {replies} replies changed no file, read none for the first time and ran nothing "
    "new. Take the next step of the task now; or finish and say what is in the way."
)
_OWN = (GO_ON, EMPTY, CUT_SHORT, CIRCLES, FAILING, FINISH_DEFERRED)
_OWN_PARTS = tuple(text.split("}")[1] for text in (RUNNING_LOW, IDLE))
_RECENT = 16


def is_own(text: str) -> bool:
    """Return whether a text is one that the loop itself tells an agent."""
    return text in _OWN or any(part in text for part in _OWN_PARTS)


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
class OpenWindow:
    """Go on in a fresh window.

    Attributes:
        note: object id of the agent's note; None when it is still to be asked for it, or cannot.
        uses: calls to be run before.
        why: what a person is told beside the cause.
        fallback: the new window asks the fallback model.
    """

    cause: HandoffCause
    note: str | None = None
    uses: tuple[ToolUse, ...] = ()
    why: str = ""
    fallback: bool = False


@dataclass(frozen=True)
class Stop:
    """The loop is cut, and says so.

    Attributes:
        short_microusd: what is missing for the next call, where money is.
    """

    cut: StopCause
    reason: str
    short_microusd: int = 0


def may_call(
    progress: AgentProgress,
    limits: AgentLimits,
    prices: ModelPrices,
    *,
    conversation: ConversationRef,
    now: float,
) -> int | Stop:
    """Return the output tokens of the next call, or why there is none; `now` by the run's clock.

    Its price is reserved before it is made, as if its whole context were written to the cache.
    """
    if progress.turns >= limits.turns:
        return Stop(StopCause.TURNS, f"{limits.turns} turns are used up")
    if now - progress.started_at >= limits.seconds:
        return Stop(StopCause.TIME, f"{limits.seconds} seconds are used up")
    context = conversation.context_tokens + limits.growth_tokens
    if conversation.turns == 0 and not conversation.context_tokens:
        context = limits.first_context_tokens
    left = limits.budget_microusd - progress.cost_microusd
    output = affordable_output(prices, context_tokens=context, money_microusd=left)
    if output < limits.smallest_reply_tokens:
        least = least_microusd(
            prices, context_tokens=context, output_tokens=limits.smallest_reply_tokens
        )
        return Stop(StopCause.BUDGET, _spent(left, limits.budget_microusd), least - left)
    wanted: int = limits.output_tokens * 2**progress.variant
    ceiling = min(limits.largest_reply_tokens, prices.max_output_tokens)
    return min(wanted, output, ceiling)


def _spent(left: int, share: int) -> str:
    """Return why no further call is made; an agent has a share of the request's budget."""
    if left <= 0:
        return f"its share of the budget, ${share / 1e6:.2f}, is used up"
    return (
        f"the next call could cost more than the ${left / 1e6:.2f} that are left of its share of "
        f"the budget, ${share / 1e6:.2f}"
    )


def least_microusd(prices: ModelPrices, *, context_tokens: int, output_tokens: int) -> int:
    """Return for how much a call with this context may give so many output tokens."""
    uncached = prices.write_factor * prices.input_usd * context_tokens
    return math.floor(uncached + prices.output_usd * output_tokens) + 1


def affordable_output(prices: ModelPrices, *, context_tokens: int, money_microusd: int) -> int:
    """Return how many output tokens the money buys after an uncached read of the context; ≥ 0.

    Where the price is not known, money limits nothing.
    """
    left = money_microusd - prices.write_factor * prices.input_usd * context_tokens
    if not prices.known or (left > 0 and not prices.output_usd):
        return prices.max_output_tokens
    return max(int(left / prices.output_usd), 0) if left > 0 else 0


def after_turn(
    turn: ModelTurn, progress: AgentProgress, limits: AgentLimits, *, waiting: bool = False
) -> CallTools | Finish | FinishDeferred | OpenWindow | Nudge | RetryTurn | Stop:
    """Decide what follows from a reply: its calls are run unless it was cut or refused.

    `progress` is that from before the reply; `waiting`: something came meanwhile that the agent has
    not been told.
    """
    outcome = turn.outcome or _outcome_before(turn)
    match outcome:
        case ReplyOutcome.TOO_LONG:
            return _too_long(progress, limits)
        case ReplyOutcome.FALLBACK:
            return RetryTurn(None)
        case ReplyOutcome.REFUSED:
            return Stop(StopCause.REFUSAL, turn.says or "the model declined to answer")
        case ReplyOutcome.WINDOW_FULL:
            return overflow(turn.conversation, limits, turn.says)
        case ReplyOutcome.UNKNOWN:
            return Stop(StopCause.SILENT, turn.says)
    if not _counts_replies(limits):
        return _after_turn_before(turn, progress, limits, waiting=waiting)
    if turn.tool_uses:
        return (
            _finished(turn, waiting=waiting)
            or _handed_over(turn, limits)
            or _tools(turn.tool_uses, progress, limits)
        )
    if outcome is ReplyOutcome.PAUSED:
        return _paused(progress, limits)
    return _silent(progress, limits, GO_ON if turn.says else EMPTY)


def _outcome_before(turn: ModelTurn) -> ReplyOutcome:
    """Return what a reply means in histories from before 2026-12, by its stop reason."""
    return {
        "max_tokens": ReplyOutcome.TOO_LONG,
        "refusal": ReplyOutcome.REFUSED,
        "model_context_window_exceeded": ReplyOutcome.WINDOW_FULL,
        "pause_turn": ReplyOutcome.PAUSED,
    }.get(turn.stop_reason, ReplyOutcome.GOES_ON)


def not_run(turn: ModelTurn, stop: Stop) -> tuple[ToolAnswer, ...]:
    """Return the answers to the calls of a reply that were not run, and why."""
    return tuple(
        ToolAnswer(tool_use_id=use.id, text=f"Not run: {stop.reason}"[:1_000], is_error=True)
        for use in turn.tool_uses
    )


def overflow(
    conversation: ConversationRef, limits: AgentLimits, says: str = ""
) -> OpenWindow | Stop:
    """Decide what follows from a conversation that its model's window does not hold."""
    if window.may_overflow(conversation, limits):
        return OpenWindow(HandoffCause.OVERFLOW)
    return Stop(StopCause.CONTEXT, says or _WINDOW_FULL)


def _handed_over(turn: ModelTurn, limits: AgentLimits) -> OpenWindow | None:
    """Return the handoff that a reply asks for, with its other calls; None for none."""
    asked = next((u for u in turn.tool_uses if u.name == HANDOFF and u.arguments), None)
    if asked is None or not window.may_ask(turn.conversation, limits):
        return None
    others = tuple(use for use in turn.tool_uses if use.name != HANDOFF)
    return OpenWindow(HandoffCause.ASKED, note=asked.arguments, uses=others)


def _counts_replies(limits: AgentLimits) -> bool:
    """Return False for agents from before 2026-12, whose calls were counted."""
    return limits.bad_replies > 0


def _tools(
    uses: Sequence[ToolUse], progress: AgentProgress, limits: AgentLimits
) -> CallTools | Stop:
    if _bad(uses) and progress.bad_replies >= limits.bad_replies:
        why = f"{progress.bad_replies} replies in a row held no call that could be run"
        return Stop(StopCause.LOOP, why)
    same = [one for one in progress.recent if one.startswith(_calls(uses))]
    if any(same.count(one) >= limits.same_call_stop for one in same):
        why = f"the same call came to the same {limits.same_call_stop} times"
        return Stop(StopCause.LOOP, why)
    return CallTools(tuple(uses))


def _bad(uses: Sequence[ToolUse]) -> bool:
    """Return whether a reply is none to act on: no call can be run, or it finishes beside some."""
    return all(use.problem for use in uses) or any(use.name == FINISH for use in uses)


def _finished(turn: ModelTurn, *, waiting: bool) -> Finish | FinishDeferred | None:
    """Return the end that a reply declares, None when it has other calls or none that fits."""
    only = turn.tool_uses[0] if len(turn.tool_uses) == 1 else None
    if only is None or only.name != FINISH or turn.finish is None:
        return None
    return FinishDeferred(only, turn.finish) if waiting else Finish(turn.finish)


def _paused(progress: AgentProgress, limits: AgentLimits) -> Nudge | Stop:
    if progress.bad_replies >= limits.bad_replies:
        return Stop(StopCause.SILENT, f"its replies paused {limits.bad_replies} times")
    return Nudge(None)


def _silent(progress: AgentProgress, limits: AgentLimits, message: str) -> Nudge | Stop:
    """Decide what follows from a reply without a call."""
    if progress.nudges >= limits.nudges:
        return Stop(
            StopCause.SILENT, f"it stopped without calling finish, after {limits.nudges} reminders"
        )
    return Nudge(message)


def _too_long(progress: AgentProgress, limits: AgentLimits) -> RetryTurn | Stop:
    if progress.variant >= limits.discarded_replies:
        return Stop(StopCause.SILENT, "its replies stay longer than one reply may be")
    return RetryTurn(CUT_SHORT if progress.variant else None)


def sized(limits: AgentLimits, size: int) -> AgentLimits:
    """Return the limits of an agent whose task a plan estimates at so many turns."""
    wanted = min(limits.turns_a_size * size, limits.most_turns)
    if wanted <= limits.turns:
        return limits
    seconds = limits.seconds * wanted // limits.turns
    return limits.model_copy(update={"turns": wanted, "seconds": seconds})


def running_low(
    progress: AgentProgress, limits: AgentLimits, *, now: float
) -> tuple[AgentProgress, str | None]:
    """Return what to tell an agent that has used up most of a limit, once for each limit."""
    left = {
        "turns": (limits.turns - progress.turns, limits.turns, "{:.0f} of {:.0f} turns"),
        "time": (
            (limits.seconds - (now - progress.started_at)) / 60,
            limits.seconds / 60,
            "{:.0f} of {:.0f} minutes",
        ),
        "money": (
            (limits.budget_microusd - progress.cost_microusd) / 1e6,
            limits.budget_microusd / 1e6,
            "${:.2f} of ${:.2f}",
        ),
    }
    low = {
        name: words.format(max(rest, 0), whole)
        for name, (rest, whole, words) in left.items()
        if name not in progress.warned and 100 * (whole - rest) >= limits.warn_percent * whole > 0
    }
    if not low:
        return progress, None
    told = progress.model_copy(update={"warned": (*progress.warned, *low)})
    return told, RUNNING_LOW.format(left=" and ".join(low.values()))


def turns_of_round(limits: AgentLimits, before: int) -> int:
    """Return how many turns a round may have after so many in the rounds before it."""
    if not limits.round_turns:
        return limits.turns
    return max(limits.turns - before, min(limits.round_turns, limits.turns))


def with_usage(progress: AgentProgress, turn: ModelTurn, limits: AgentLimits) -> AgentProgress:
    """Return the counters after a reply."""
    return progress.model_copy(
        update={
            **(_unacted(progress, turn) if _counts_replies(limits) else _nudges(progress, turn)),
            "turns": progress.turns + 1,
            "variant": progress.variant + 1 if turn.discarded else 0,
            "lost": 0,
            "usage": progress.usage.plus(turn.usage),
            "cost_microusd": progress.cost_microusd + turn.cost_microusd,
            "model": turn.model or progress.model,
            "fallback": progress.fallback or turn.outcome is ReplyOutcome.FALLBACK,
        }
    )


def _unacted(progress: AgentProgress, turn: ModelTurn) -> dict[str, int]:
    if turn.tool_uses or turn.discarded:
        return {}
    if turn.stop_reason == "pause_turn":
        return {"bad_replies": progress.bad_replies + 1}
    return {"nudges": progress.nudges + 1}


def with_money(progress: AgentProgress, granted: int, *, waited: float) -> AgentProgress:
    """Return the counters of an agent that got more money after so many seconds of waiting.

    The wait takes nothing from its time; it is told once more when most of its money is used up.
    """
    return progress.model_copy(
        update={
            "granted_microusd": progress.granted_microusd + granted,
            "started_at": progress.started_at + waited,
            "warned": tuple(each for each in progress.warned if each != "money"),
        }
    )


def after_wait(progress: AgentProgress, seconds: float) -> AgentProgress:
    """Return the counters of an agent that waited for a setup, which takes nothing of its time."""
    return progress.model_copy(update={"started_at": progress.started_at + seconds})


def with_lost(progress: AgentProgress, advice: RetryAdvice) -> AgentProgress:
    """Return the counters after a call without a usable reply that may have to be paid for."""
    return progress.model_copy(
        update={
            "lost": progress.lost + 1,
            "usage": progress.usage.plus(advice.usage),
            "cost_microusd": progress.cost_microusd + advice.cost_microusd,
        }
    )


def with_fallback(
    progress: AgentProgress, call: ModelCall, advice: RetryAdvice
) -> tuple[AgentProgress, ModelCall]:
    """Return counters and next call after a failure: on the fallback model where it says so."""
    if not advice.fallback:
        return progress, call
    changed = {"fallback": True}
    return progress.model_copy(update=changed), call.model_copy(update=changed)


def doing(number: int, progress: AgentProgress) -> str:
    """Return what an agent does while a model is asked for its turn."""
    return f"turn {number}: {'fallback model' if progress.fallback else 'model'}"


def after_lost(
    progress: AgentProgress, advice: RetryAdvice, permit: int | Stop
) -> int | Stop | None:
    """Return how a turn goes on that has lost a call: tokens, what is missing, None = it is over.

    More money buys no more tries than `advice` allows without.
    """
    often = progress.lost > advice.most_pauses
    if isinstance(permit, Stop):
        return None if often else permit
    return None if often and progress.granted_microusd else permit


def answered(
    progress: AgentProgress,
    uses: Sequence[ToolUse],
    answers: Sequence[ToolAnswer],
    limits: AgentLimits,
    *,
    changed: bool,
    learned: bool = False,
) -> AgentProgress:
    """Return the counters after the calls of a reply were answered.

    `changed`: the worktree did; `learned`: the agent read something for the first time. A good
    reply has a call that was run and did not fail; from there on all is counted anew.
    """
    if not _counts_replies(limits):
        return _calls_answered(progress, uses, answers)
    failed = not changed and all(answer.is_error for answer in answers)
    good = not failed and not _bad(uses)
    outcome = digest(*(answer.output or answer.text for answer in answers))
    entry = f"{_calls(uses)}{outcome}"
    # After a change of the worktree, what was read before may well be read again.
    recent = [one for one in progress.recent if one == entry or not changed]
    return progress.model_copy(
        update={
            "nudges": 0 if good else progress.nudges,
            "bad_replies": 0 if good else progress.bad_replies + _bad(uses),
            "failed_replies": progress.failed_replies + 1 if failed else 0,
            "recent": (*recent, entry)[-_RECENT:],
            **_standstill(progress, entry, uses, limits, news=changed or learned),
        }
    )


def _standstill(
    progress: AgentProgress, entry: str, uses: Sequence[ToolUse], limits: AgentLimits, *, news: bool
) -> dict[str, object]:
    """Return the counters of an agent that does not come forward; none where nobody looks."""
    found: dict[str, object] = {}
    if limits.cycle_stop:
        found["trail"] = (*progress.trail, entry)[-circles.REMEMBERED :]
    if limits.idle_stop:
        # A command that came to something new is in the ledger, a search is not.
        ran = any(use.effect is Effect.WRITE for use in uses) and entry not in progress.recent
        found["idle"] = 0 if news or ran else progress.idle + 1
    return found


def _calls(uses: Sequence[ToolUse]) -> str:
    """Return what makes the calls of a reply the same calls."""
    return digest(*(part for use in uses for part in (use.name, use.arguments or use.problem)))


def after_answers(progress: AgentProgress, limits: AgentLimits) -> Stop | str | None:
    """Return why the loop ends, or what to tell an agent that does not come on; else None."""
    failed, most = progress.failed_replies, limits.failed_replies
    if most and failed >= most:
        return Stop(StopCause.LOOP, f"{failed} replies in a row came to nothing: every call failed")
    if limits.idle_stop and progress.idle >= limits.idle_stop:
        return Stop(StopCause.LOOP, f"{progress.idle} replies in a row brought nothing new")
    again = circles.repeats(progress.trail)
    if limits.cycle_stop and again >= limits.cycle_stop:
        return Stop(StopCause.LOOP, f"the same calls came again in turns, {again} times")
    count = _repeats if _counts_replies(limits) else _repeats_in_a_row
    if count(progress.recent) == limits.same_call_warning:
        return CIRCLES
    if limits.cycle_warning and again == limits.cycle_warning and circles.ends_one(progress.trail):
        return CIRCLES
    if limits.idle_warning and progress.idle == limits.idle_warning:
        return IDLE.format(replies=progress.idle)
    return FAILING if most and failed == most // 2 else None


def _repeats(recent: Sequence[str]) -> int:
    """Return how often the last reply with its outcome stands among the recent ones."""
    return recent.count(recent[-1]) if recent else 0


# ---- agents from before 2026-12, whose calls were counted, not their replies


def _after_turn_before(
    turn: ModelTurn, progress: AgentProgress, limits: AgentLimits, *, waiting: bool
) -> CallTools | Finish | FinishDeferred | Nudge | Stop:
    match turn.stop_reason:
        case "tool_use" if turn.tool_uses:
            return _finished(turn, waiting=waiting) or _tools_before(turn, progress, limits)
        case "end_turn" | "stop_sequence" | "tool_use":
            return _silent(progress, limits, GO_ON)
        case "pause_turn":
            return Nudge(None)
        case unknown:
            return Stop(StopCause.SILENT, f"the model stopped for an unknown reason: {unknown}")


def _tools_before(
    turn: ModelTurn, progress: AgentProgress, limits: AgentLimits
) -> CallTools | Stop:
    if progress.bad_calls >= limits.bad_calls:
        return Stop(StopCause.LOOP, f"{progress.bad_calls} tool calls in a row could not be run")
    if _repeats_in_a_row(progress.recent) >= limits.same_call_stop:
        return Stop(StopCause.LOOP, f"the same call was made {limits.same_call_stop} times")
    return CallTools(turn.tool_uses)


def _nudges(progress: AgentProgress, turn: ModelTurn) -> dict[str, int]:
    was_silent = turn.stop_reason in {"end_turn", "stop_sequence"}
    return {"nudges": progress.nudges + 1 if was_silent else 0}


def _calls_answered(
    progress: AgentProgress, uses: Sequence[ToolUse], answers: Sequence[ToolAnswer]
) -> AgentProgress:
    bad = progress.bad_calls
    recent = list(progress.recent)
    for use, answer in zip(uses, answers, strict=True):
        bad = bad + 1 if use.problem else 0
        recent.append(digest(use.name, use.arguments or use.problem, answer.output or answer.text))
    return progress.model_copy(update={"bad_calls": bad, "recent": tuple(recent[-8:])})


def _repeats_in_a_row(recent: Sequence[str]) -> int:
    count = 0
    for one in reversed(recent):
        if one != recent[-1]:
            break
        count += 1
    return count
