"""What an agent hands in counts as handed in only where it was taken."""

from contracts.model import ModelTurn, ToolUse
from contracts.spending import AgentOpened
from contracts.store import ConversationRef
from domain.agent.loop import FINISH_DEFERRED
from infra.kept.turns import Called, LoggedTurn, UserBlock, as_refused, refusal

AGENT = AgentOpened(agent="request/x/task/a/coder-1", conversation="c", role="coder", task="a")
USE = ToolUse(id="1", name="finish")
TURN = ModelTurn(
    conversation=ConversationRef(id="c", head="a" * 40, turns=1),
    stop_reason="tool_use",
    tool_uses=(USE,),
    finish="{}",
)


def logged(*told: UserBlock) -> LoggedTurn:
    """Return a turn that hands something in, with what was told before it."""
    calls = (Called("finish", "done", {}),)
    return LoggedTurn(AGENT, 1, 0.0, told, calls=calls, handed_in={"summary": "done"}, turn=TURN)


def test_a_finish_that_is_answered_with_an_error_was_not_taken() -> None:
    """As where a note came before it was told: the reason stands with the call."""
    after = logged(UserBlock(FINISH_DEFERRED, "finish done", is_error=True), UserBlock("In blue"))
    why = refusal(after)
    before = as_refused(logged(), why)

    assert why == FINISH_DEFERRED
    assert before.handed_in is None
    assert [call.problem for call in before.calls] == [FINISH_DEFERRED]


def test_a_finish_without_an_answer_or_with_words_from_outside_was_taken() -> None:
    """What was sent back by checks or a review had been handed in."""
    assert refusal(logged(UserBlock("The checks fail."))) == ""
    assert refusal(logged(UserBlock("no file", "view a.py", is_error=True))) == ""
