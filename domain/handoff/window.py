"""When a window ends, and what its agent is asked then."""

from contracts.agent import AgentLimits
from contracts.handoff import HandoffCause
from contracts.store import ConversationRef

FEWEST_TURNS = 3
"""No window ends for being full before it has so many turns: the next would be as full."""
NOTE_TOKENS = 4_000
"""Of a reply that hands over."""

ASK = (
    "This window is nearly full: {tokens:,} tokens. You go on in a fresh one. Call `handoff` now, "
    "alone: say where the work stands, what you decided and why, what you tried without success, "
    "and what comes next. What was done, run, changed and told is kept by the system; your files "
    "stay. No other call is run."
)
ASK_STUCK = (
    "You go in circles: {why}. You go on in a fresh window. Call `handoff` now, alone: say what is "
    "in the way, what you tried without success, and what another way could be. Your files stay. "
    "No other call is run."
)


def due(conversation: ConversationRef, limits: AgentLimits) -> HandoffCause | None:
    """Return why a window ends after a finished step, None when it goes on."""
    full = 0 < limits.window_tokens <= conversation.context_tokens
    return HandoffCause.FULL if full and conversation.turns >= FEWEST_TURNS else None


def may_ask(conversation: ConversationRef, limits: AgentLimits) -> bool:
    """Return whether an agent may hand over by itself: not in a window that has just begun."""
    return limits.window_tokens > 0 and conversation.turns > FEWEST_TURNS


def may_overflow(conversation: ConversationRef, limits: AgentLimits) -> bool:
    """Return whether a fresh window can help one that does not fit its model: not a fresh one."""
    return limits.window_tokens > 0 and conversation.turns > 0


def ask(cause: HandoffCause, conversation: ConversationRef, why: str = "") -> str:
    """Return how an agent is asked for its note."""
    if cause is HandoffCause.STUCK:
        return ASK_STUCK.format(why=why)
    return ASK.format(tokens=conversation.context_tokens)
