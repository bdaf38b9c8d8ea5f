"""What is done with an agent that does not come on, and how it begins in a fresh window.

The steps, in their order: a warning (domain/agent/loop.py), a fresh window, another model; then
the task's supervisor asks the planner for other tasks (domain/planning/replan.py), or a person
(domain/agent/stuck.py). The thresholds are `AgentLimits`, those of the last two `RequestLimits`;
both are set in domain/limits.py.
"""

from contracts.agent import AgentLimits, AgentProgress, StopCause
from contracts.handoff import HandoffCause
from contracts.model import ModelTurn
from domain.agent import loop


def with_note(progress: AgentProgress, turn: ModelTurn, limits: AgentLimits) -> AgentProgress:
    """Return the counters after a reply that was asked for a note: it is paid for, no more."""
    kept = {"nudges": progress.nudges, "bad_replies": progress.bad_replies, "variant": 0}
    return loop.with_usage(progress, turn, limits).model_copy(update=kept)


def in_fresh_window(progress: AgentProgress, step: loop.OpenWindow) -> AgentProgress:
    """Return the counters with which a fresh window begins: what it is told is new to it."""
    return progress.model_copy(
        update={
            "nudges": 0,
            "bad_replies": 0,
            "failed_replies": 0,
            "recent": (),
            "trail": (),
            "idle": 0,
            "variant": 0,
            "stuck_windows": progress.stuck_windows + (step.cause is HandoffCause.STUCK),
            "fallback": progress.fallback or step.fallback,
        }
    )


def instead_of(
    stop: loop.Stop, progress: AgentProgress, limits: AgentLimits, *, fallback: bool
) -> loop.OpenWindow | loop.Stop:
    """Return what is tried before an agent that goes in circles ends: the supervisor's steps.

    After its warning: fresh windows, as many as its limits say; then one with the fallback model,
    where the person allows one. Then it ends, and its task's supervisor goes on.
    """
    if stop.cut is not StopCause.LOOP or not limits.window_tokens:
        return stop
    if progress.stuck_windows < limits.stuck_windows:
        return loop.OpenWindow(HandoffCause.STUCK, why=stop.reason)
    if fallback and not progress.fallback:
        return loop.OpenWindow(HandoffCause.STUCK, why=stop.reason, fallback=True)
    tried = progress.stuck_windows
    also = f", also in {tried} fresh window{'s' if tried > 1 else ''}" if tried else ""
    return loop.Stop(stop.cut, f"{stop.reason}{also}")
