"""Every signal and update is decided on: whoever sends it, and what makes it count."""

from enum import Enum

from temporalio import workflow

import worker


class Counts(Enum):
    """What makes a message count on a host whose person wants answers with codes."""

    WITH_CODE = "from people: without its code it is refused, kept and shown"
    STARTS = "from people: the request that it starts is refused without the code of its start"
    INSIDE = "between workflows of a request; docs/security.md says who else can send it"


DECIDED = {
    "RequestWorkflow": {
        **dict.fromkeys(
            ("approve", "reject", "revise", "decide", "note", "budget", "set_budget"),
            Counts.WITH_CODE,
        ),
        **dict.fromkeys(("choose_turn", "hand_off"), Counts.WITH_CODE),
        **dict.fromkeys(("follow_up", "queue"), Counts.STARTS),
        **dict.fromkeys(("ask", "task_changed", "need_money", "obstacle", "wake"), Counts.INSIDE),
    },
    "SubtaskWorkflow": dict.fromkeys(
        ("add_note", "decided", "forked", "merge_verdict", "wake"), Counts.INSIDE
    ),
    "AgentWorkflow": dict.fromkeys(("add_note", "decided", "grant_money", "wake"), Counts.INSIDE),
    "MergeQueueWorkflow": dict.fromkeys(("enqueue", "leave", "withdraw", "wake"), Counts.INSIDE),
    "ReconcileWorkflow": {},
}
"""By workflow and name. What is not named here changes nothing: it is kept and shown."""


def handlers(kind: type) -> set[str]:
    """Return the names of all signals and updates of a workflow."""
    defined = workflow._Definition.must_from_class(kind)
    return {name for name in (*defined.signals, *defined.updates) if name is not None}


def test_every_signal_and_update_is_decided_on() -> None:
    """A new one stands in the table; what people send is tried without a code in
    `tests/workflows/test_codes.py`.
    """
    there = {kind.__name__: handlers(kind) for kind in worker.WORKFLOWS}

    assert there == {name: set(decided) for name, decided in DECIDED.items()}


def test_people_speak_to_requests_alone() -> None:
    """So that one inbox judges their codes, and keeps what is refused."""
    for name, decided in DECIDED.items():
        others = set(decided.values()) - {Counts.INSIDE}
        assert not others or name == "RequestWorkflow"
