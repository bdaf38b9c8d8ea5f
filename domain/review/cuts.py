"""An agent that was cut: what it left is offered when it is green, and kept in any case."""

from contracts.agent import AgentResult
from contracts.review import Patch
from contracts.tools import CoderFinish
from domain.text import one_line


def reason(result: AgentResult) -> str:
    """Return why an agent was cut, cause first."""
    return f"{result.reason or 'no reason was given'} ({result.cut or 'cut'})"


def left(why: str) -> CoderFinish:
    """Return what stands in the place of the words of an agent that did not come to any."""
    return CoderFinish(
        summary=f"The agent was cut before it said that it was done: {why}. What it had changed "
        "until then is offered because the task's acceptance commands pass on it."
    )


def offered(why: str) -> str:
    """Return what people and the reviewer are told of a patch that is offered after a cut."""
    return f"Its agent was cut before it said that it was done: {why}." if why else ""


def not_offered(why: str, *, changed: bool = True, problem: str = "", again: bool = False) -> str:
    """Return why a task whose agent was cut fails, the cause first."""
    cause = f"the agent was cut: {why}"
    if not changed:
        return f"{cause}; it had changed nothing"
    if again:
        return f"{cause}; nothing had changed since the patch was sent back"
    return f"{cause}; what it left cannot be offered: {one_line(problem, 500)}"


def useless(why: str, patch: Patch, problem: str, *, before: str) -> str:
    """Return why what a cut agent left cannot be offered, "" when it may be.

    `before` is the tree that was offered last.
    """
    again = patch.tree == before
    if patch.files and not again and not problem:
        return ""
    return not_offered(why, changed=patch.files > 0, problem=problem, again=again)


def unreviewed(result: AgentResult) -> str:
    """Return why a task fails whose review cannot be paid for, while nobody is to be asked."""
    return f"its patch passes its checks, but its review was cut: {reason(result)}"
