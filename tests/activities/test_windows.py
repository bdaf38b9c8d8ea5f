"""Windows of an agent: the real client against the rehearsal server, logs in a real store.

The driver does what the workflow does with the same domain decisions; what is sent is read from the
raw requests of the rehearsal's journal.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from temporalio.testing import ActivityEnvironment

from activities.model import MessagesModel
from contracts import roles
from contracts.agent import AgentLimits, AgentProgress, OpenedConversation
from contracts.handoff import HANDOFF, HandoffCause, HandOver
from contracts.model import ModelTurn, OpenConversation, ToolAnswer, ToolUse
from contracts.model_choice import ModelChoice
from contracts.request import RequestEnded, RequestStatus
from contracts.task import TaskState, TaskStatus
from contracts.tools import ToolOutcome, ToolResult
from contracts.visibility import RunState
from domain import ids
from domain.agent import loop, messages
from domain.handoff import telling, window
from infra.conversation import shortening
from infra.kept.agents import agents
from infra.kept.history import History, PastMissingError
from infra.kept.ledger import ledger_at
from infra.kept.threads import past_runs
from infra.store import Store, records, trees
from infra.store import journal as store_journal
from infra.store.object_format import EMPTY_TREE
from rehearsal import journal
from rehearsal.journal import Entry
from rehearsal.server import Server, serve
from tests import journal_checks
from tests.activities.model_env import MODEL, REPOSITORY, ModelEnv, call, turn

AGENT = "request/x/task/a/coder-1"
FULL = {"input_tokens": 115_000}
VIEW = {"tool": "view", "input": {"path": "README.md"}}
NOTE = {
    "state": "The parser is half done.",
    "decisions": ["Keep the long form: old files have it."],
    "tried": ["Reusing the lexer drops comments."],
    "next": ["Write the printer."],
}
HANDS_OVER = {"call": [{"tool": HANDOFF, "input": NOTE}]}


def run(command: str) -> dict[str, Any]:
    """A call of a command."""
    return {"tool": "run_command", "input": {"command": command}}


class Driver:
    """An agent's loop over real activities; its tools answer with what a test says.

    Attributes:
        answer: the output of a call, by tool and subject; "" = "done".
        conversation: where it is.
    """

    def __init__(self, desk: ModelEnv, model: MessagesModel, base: str, tree: str) -> None:
        self.desk, self.model, self.base, self.checkpoint = desk, model, base, tree
        self.answer: dict[str, tuple[str, bool]] = {}
        self.answers: tuple[ToolAnswer, ...] = ()
        self.conversation: OpenedConversation | Any = None
        self.turns = self.cost = 0
        self.windows = 0
        self.models = ModelChoice()

    def opening(self, generation: int = 0, agent: str = AGENT) -> OpenConversation:
        """How the agent's first window was opened."""
        return OpenConversation(
            repository=REPOSITORY,
            agent_id=agent,
            role=roles.CODER,
            facts=(("Task", "Teach the parser the short form."),),
            commit=self.base,
            generation=generation,
            models=self.models,
        )

    async def open(self, agent: str = AGENT) -> None:
        """Open the first window."""
        opening = self.opening(agent=agent)
        self.conversation = await ActivityEnvironment().run(self.model.open_conversation, opening)

    async def turn(self, *texts: str, **fields: Any) -> ModelTurn:
        """Make a turn, told some texts, and answer its calls."""
        message, _ = messages.message(texts)
        parts = messages.parts(texts)
        said = call(self.conversation, answers=self.answers, message=message, parts=parts, **fields)
        made = await turn(self.model, said)
        self.conversation = made.conversation
        self.turns, self.cost = self.turns + 1, self.cost + made.cost_microusd
        self.answers = tuple([await self._answered(use) for use in made.tool_uses])
        return made

    async def _answered(self, use: Any) -> ToolAnswer:
        text, failed = self.answer.get(use.subject, ("done", False))
        output = await self.desk.store.put_blob(text.encode())
        return ToolAnswer(tool_use_id=use.id, output=output, is_error=failed)

    def order(self, cause: HandoffCause, note: str | None = None, **more: Any) -> HandOver:
        """The order for the next window."""
        return HandOver(
            opening=self.opening(self.conversation.window + 1),
            conversation=self.conversation,
            cause=cause,
            answers=self.answers,
            note=note,
            base=self.base,
            checkpoint=self.checkpoint,
            turns=self.turns,
            cost_microusd=self.cost,
            budget_microusd=5_000_000,
            **more,
        )

    async def hand_over(self, cause: HandoffCause = HandoffCause.FULL) -> HandOver:
        """Ask for the note and go on in the next window; returns the order."""
        note = None
        if cause is HandoffCause.FULL:
            asked = await self.turn(window.ASK.format(tokens=self.conversation.context_tokens))
            note = next((use.arguments for use in asked.tool_uses if use.name == HANDOFF), None)
            self.answers = ()
        order = self.order(cause, note, asked=note is None and cause is HandoffCause.FULL)
        self.conversation = await ActivityEnvironment().run(self.model.hand_over, order)
        self.answers = ()
        self.windows += 1
        return order


async def driver(desk: ModelEnv, server: Server, *, fallback: str | None = None) -> Driver:
    """An agent on a base with a file, and a checkpoint that changes it."""
    store = desk.store
    old, new = await store.put_blob(b"old\n"), await store.put_blob(b"new\n")
    before = await trees.with_paths(store, EMPTY_TREE, {"parser.py": ("100644", old)})
    base = await store.put_commit(before, (), "base", when=1)
    after = await trees.with_paths(store, before, {"parser.py": ("100644", new)})
    tree = await store.put_commit(after, (base,), "work", when=2)
    made = Driver(desk, desk.model(server), base, tree)
    made.models = ModelChoice(fallback=fallback)
    await made.open()
    return made


def journal_of(desk: ModelEnv) -> Path:
    """Where the raw requests are recorded."""
    return Path(desk.store.path).parent / "journal.jsonl"


def recorded(desk: ModelEnv) -> list[Entry]:
    """The raw requests."""
    return journal.read(journal_of(desk))


def sent(entry: Entry) -> dict[str, Any]:
    """The body of a request."""
    body: dict[str, Any] = json.loads(entry.body or "{}")
    return body


def first_text(entry: Entry) -> str:
    """All text of the first message of a request."""
    return "\n".join(block["text"] for block in sent(entry)["messages"][0]["content"])


def windows_script(*windows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """A script of windows one after the other, told apart by what their first message says."""
    casts = [
        {"match": {"contains": f"[w{number}] the window was"}, "turns": list(turns)}
        for number, turns in reversed(list(enumerate(windows[1:], start=1)))
    ]
    return {"casts": [*casts, {"turns": list(windows[0])}]}


async def test_a_fresh_window_begins_with_opening_ledger_note_and_last_results(
    desk: ModelEnv,
) -> None:
    """Its system prompt, tools and opening are those of the window before, to the byte; what was
    recorded follows, and the agent's note.
    """
    first: list[dict[str, Any]] = [
        {"say": "I look.", "call": [VIEW]},
        {"call": [run("make test")]},
        {"call": [run("make lint")], "usage": FULL},
        HANDS_OVER,
    ]
    async with serve(
        windows_script(first, [{"say": "On I go."}]),
        journal_path=journal_of(desk),
        journal_bodies=True,
    ) as server:
        agent = await driver(desk, server)
        agent.answer["make test"] = ("FAILED tests/test_p.py::test_short\n[exit code 1]", True)
        agent.answer["make lint"] = ("clean\n[exit code 0]", False)
        await agent.turn()
        await agent.turn(messages.note("Mind  the\ttabs."))
        await agent.turn("The review says: P1 parser.py:3 Zero is not handled.")
        await agent.hand_over()
        await agent.turn()

    entries = recorded(desk)
    before, after = entries[0], entries[-1]
    assert [sent(before)[key] for key in ("model", "system", "tools")] == [
        sent(after)[key] for key in ("model", "system", "tools")
    ]
    opening = sent(before)["messages"][0]["content"]
    again = sent(after)["messages"][0]["content"]
    plain = [{k: v for k, v in block.items() if k != "cache_control"} for block in opening]
    assert again[: len(opening)] == plain
    told = again[-1]["text"]
    for fact in (
        "Mind  the\ttabs.",
        "P1 parser.py:3 Zero is not handled.",
        "`make test`: exit code 1, 1 of 1 runs failed",
        "`make lint`: exit code 0",
        "tests/test_p.py::test_short",
        "parser.py 3e757656cf36 changed +1 -1",
        "Keep the long form: old files have it.",
        "Reusing the lexer drops comments.",
        "Write the printer.",
        "[w1] the window was nearly full",
        "4 turns, $",
    ):
        assert fact in told, fact
    assert after.usage
    assert after.usage["cache_read_input_tokens"] > 0


async def test_facts_of_turn_three_survive_five_handoffs(desk: ModelEnv) -> None:
    """The person's words, a decision, a failed attempt, a command and a finding of the first window
    are in the first message of the sixth, as the raw requests have it.
    """
    planted = [{"call": [VIEW]}, {"call": [VIEW]}, {"call": [run("make planted")]}, HANDS_OVER]
    note = {**NOTE, "decisions": ["Another decision."], "tried": []}
    later = [{"call": [VIEW]}, {"call": [{"tool": HANDOFF, "input": note}]}]
    script = windows_script(planted, *[later] * 4, [{"say": "Here I am."}])
    async with serve(script, journal_path=journal_of(desk), journal_bodies=True) as server:
        agent = await driver(desk, server)
        agent.answer["make planted"] = ("boom\n[exit code 7]", True)
        await agent.turn()
        await agent.turn()
        await agent.turn(
            messages.note("The colour is #aa5500."), "Review: P0 the key leaks in log.py:9."
        )
        for _ in range(5):
            await agent.hand_over()
            await agent.turn()

    entries = recorded(desk)
    told = first_text(entries[-1])
    assert "[w6.t1]" not in told
    for fact in (
        "The colour is #aa5500.",
        "P0 the key leaks in log.py:9.",
        "Keep the long form: old files have it.",
        "Another decision.",
        "Reusing the lexer drops comments.",
        "`make planted`: exit code 7",
        "[w5] the window was nearly full",
    ):
        assert fact in told, fact
    assert journal_checks.prefix_breaks(recorded(desk)) == []


async def test_a_window_is_opened_once(desk: ModelEnv) -> None:
    """A repeated order, also of a worker that was just started, gets the window that is there with
    what was said in it; nothing is paid for again.
    """
    first = [{"call": [VIEW]}, {"call": [VIEW]}, {"call": [VIEW]}, HANDS_OVER]
    async with serve(windows_script(first, [{"say": "On."}])) as server:
        agent = await driver(desk, server)
        for _ in range(3):
            await agent.turn()
        order = await agent.hand_over()
        opened = agent.conversation
        await agent.turn()
        count = len(server.entries)
        agent.model = desk.model(server)
        again = await ActivityEnvironment().run(agent.model.hand_over, order)
        made = await turn(agent.model, call(again))

    assert again == opened
    assert made.conversation == agent.conversation
    assert len(server.entries) == count
    opened_windows = await agents(desk.store, REPOSITORY.request_key)
    assert [(each.agent, each.window, each.because) for each in opened_windows] == [
        (AGENT, 0, ""),
        (AGENT, 1, HandoffCause.FULL.value),
    ]


async def test_a_window_of_a_later_round_belongs_to_the_same_agent(desk: ModelEnv) -> None:
    """An agent that goes on in another round hands over under the id of its first one."""
    async with serve({"casts": [{"turns": [{"call": [VIEW]}]}]}) as server:
        agent = await driver(desk, server)
        await agent.turn()
        order = agent.order(HandoffCause.OVERFLOW)
        opening = order.opening.model_copy(update={"agent_id": AGENT.replace("-1", "-2")})
        second = order.model_copy(update={"opening": opening})
        opened = await ActivityEnvironment().run(agent.model.hand_over, second)

    assert opened.id == ids.conversation_id(REPOSITORY.request_key, AGENT, 1)


async def test_a_window_that_ends_at_another_turn_is_another(desk: ModelEnv) -> None:
    """What was opened from a turn that the history does not know is put aside, never lost."""
    async with serve({"casts": [{"turns": [{"call": [VIEW]}, {"call": [VIEW]}]}]}) as server:
        agent = await driver(desk, server)
        await agent.turn()
        early = agent.order(HandoffCause.OVERFLOW)
        await agent.turn()
        late = agent.order(HandoffCause.OVERFLOW)
        first = await ActivityEnvironment().run(agent.model.hand_over, early)
        second = await ActivityEnvironment().run(agent.model.hand_over, late)

    assert (first.id, first.head != second.head) == (second.id, True)
    assert desk.store.ref(ids.conversation_ref(second.id)) == second.head
    aside = await desk.store.refs(ids.abandoned_refs(first.id))
    assert list(aside.values()) == [first.head]


async def test_pending_results_go_into_a_window_that_was_full_all_at_once(
    desk: ModelEnv,
) -> None:
    """What a full window was not told stands among the most recent results of the next."""
    first = [{"call": [run("make all")]}]
    second = [{"say": "I see."}]
    async with serve(
        windows_script(first, second), journal_path=journal_of(desk), journal_bodies=True
    ) as server:
        agent = await driver(desk, server)
        agent.answer["make all"] = ("linked 12 objects\n[exit code 0]", False)
        await agent.turn()
        await agent.hand_over(HandoffCause.OVERFLOW)
        await agent.turn(messages.note("Hurry."))

    body = sent(recorded(desk)[-1])
    assert "linked 12 objects" in body["messages"][0]["content"][-1]["text"]
    assert body["messages"][1]["content"][0]["text"] == messages.note("Hurry.")


async def test_history_reaches_every_turn_of_every_window_and_of_earlier_attempts(
    desk: ModelEnv,
) -> None:
    """Turns and results are found by words and read by handle; another role's are not."""
    first: list[dict[str, Any]] = [
        {"say": "Blue it is.", "call": [run("make")]},
        {"call": [VIEW]},
        {"call": [VIEW]},
    ]
    async with serve(windows_script([*first, HANDS_OVER], [{"say": "On."}])) as server:
        agent = await driver(desk, server)
        agent.answer["make"] = ("one\ntwo blue\n[exit code 0]", False)
        for _ in range(3):
            await agent.turn()
        await agent.hand_over()
        await agent.turn(messages.note("Now green."))
        first_attempt = agent.conversation
        agent.answers = ()
        await agent.open("request/x/retry-2/task/a/coder-1")
        own = History(desk.store, REPOSITORY.request_key, first_attempt.id)
        retried = History(desk.store, REPOSITORY.request_key, agent.conversation.id)

        found = [(str(each.at), line) for each, _, line in await own.search("blue", most=9)]
        assert ("w1.t1.r1", "two blue") in found
        assert ("w1.t1", "Blue it is.") in found
        assert await own.text(_at("w1.t1.r1")) == "one\ntwo blue\n[exit code 0]"
        whole = await own.text(_at("w2.t1"))
        assert "told (person):\nA note from the person" in whole
        assert "said:\nOn." in whole
        assert "Teach the parser" in await own.text(_at("w1.t0"))
        assert await retried.text(_at("a1.w1.t1.r1")) == "one\ntwo blue\n[exit code 0]"
        assert [str(each.at) for each, _, _ in await retried.search("Now green", most=9)] == [
            "a1.w2.t1"
        ]
        with pytest.raises(PastMissingError, match=r"There is nothing at w1\.t9: .* go to t4"):
            await own.text(_at("w1.t9"))
        with pytest.raises(PastMissingError, match=r"There is no window w7: w1, w2"):
            await own.text(_at("w7.t1"))


async def test_a_reviewer_and_the_next_attempt_are_told_the_ledger(desk: ModelEnv) -> None:
    """What the author ran and was told goes on to its reviewer, and to whoever tries again, as raw
    requests have it.
    """
    casts = [
        {"match": {"role": "reviewer"}, "turns": [{"say": "I review."}]},
        {"turns": [{"call": [run("make check")]}, {"say": "So."}]},
    ]
    async with serve(
        {"casts": casts}, journal_path=journal_of(desk), journal_bodies=True
    ) as server:
        agent = await driver(desk, server)
        agent.answer["make check"] = ("assertion 4711\n[exit code 2]", True)
        await agent.turn()
        await agent.turn(messages.note("Keep the port."))
        reviewer = agent.opening(agent="request/x/task/a/reviewer-1").model_copy(
            update={"role": roles.REVIEWER, "author": agent.conversation}
        )
        again = agent.opening(agent="request/x/retry-2/task/a/coder-1").model_copy(
            update={"again": True}
        )
        for opening in (reviewer, again):
            opened = await ActivityEnvironment().run(agent.model.open_conversation, opening)
            await turn(agent.model, call(opened))

    review, retried = recorded(desk)[-2:]
    for entry, label in ((review, telling.OF_AUTHOR), (retried, telling.OF_ATTEMPT)):
        told = first_text(entry)
        assert label in told
        assert "`make check`: exit code 2" in told
        assert "Keep the port." in told


async def test_an_attempt_that_was_cut_is_handed_over_with_what_its_last_calls_came_to(
    desk: ModelEnv,
) -> None:
    """At a time limit, or when it was killed, nobody told it that any more: the journal has it.
    The next attempt is told also the files that differ, the last words, and which model it was.
    """
    turns = [
        {"call": [run("make early")]},
        {"say": "Nearly there.", "call": [VIEW, run("make late"), run("make never")]},
    ]
    casts = [{"match": {"contains": telling.OF_ATTEMPT}, "turns": [{"say": "On."}]}]
    async with serve(
        {"casts": [*casts, {"turns": turns}]}, journal_path=journal_of(desk), journal_bodies=True
    ) as server:
        agent = await driver(desk, server)
        agent.answer["make early"] = ("early\n[exit code 0]", False)
        await agent.turn()
        cut = await agent.turn()
        await journaled(desk, agent, cut.tool_uses[1], "late\nFAILED t.py::test_x\n[exit code 5]")
        again = agent.opening(agent="request/x/retry-2/task/a/coder-1").model_copy(
            update={
                "again": True,
                "tip": agent.base,
                "commit": agent.checkpoint,
                "models": ModelChoice(model="claude-opus-5-5"),
            }
        )
        opened = await ActivityEnvironment().run(agent.model.open_conversation, again)
        await turn(agent.model, call(opened))

    told = first_text(recorded(desk)[-1])
    for fact in (
        "It was made by claude-sonnet-5-5 (rehearsed); you are claude-opus-5-5.",
        "`make early`: exit code 0",
        "`make late`: exit code 5, 1 of 1 runs failed",
        "Tests that failed when they were run last:\n- t.py::test_x",
        "`make never`: failed",
        "It had not ended, or not begun, when its agent was stopped.",
        "parser.py 3e757656cf36 changed +1 -1",
        "Its last words:\nNearly there.",
    ):
        assert fact in told, fact
    assert "Calls that failed" not in told


async def journaled(desk: ModelEnv, agent: Driver, use: ToolUse, text: str) -> None:
    """Journal what a call came to, as its activity does before it returns."""
    result = ToolResult(
        call_id=ids.call_id(agent.conversation.id, use.id),
        outcome=ToolOutcome.FAILED,
        output=await desk.store.put_blob(text.encode()),
        checkpoint=agent.checkpoint,
    )
    batch = desk.store.batch()
    entry = store_journal.entry(batch, result.model_dump_json().encode(), {})
    await batch.write()
    ref = ids.call_ref(REPOSITORY.request_key, "a", result.call_id)
    await store_journal.settle(desk.store, entry, ref)


REVIEW = {
    "verdict": "revise",
    "summary": "Zero breaks it.",
    "findings": [
        {"priority": 1, "title": "Zero", "detail": "Division.", "path": "parser.py", "line": 3}
    ],
}


async def test_after_a_review_its_ledger_is_told_in_a_fresh_window_and_to_the_next_attempt(
    desk: ModelEnv,
) -> None:
    """What the reviewer found, read and ran; an agent whose work no one reviewed is told none."""
    casts = [
        {
            "match": {"role": "reviewer"},
            "turns": [
                {"call": [run("make fuzz")]},
                {"call": [{"tool": "finish", "input": REVIEW}]},
            ],
        },
        {"turns": [{"call": [VIEW]}, {"call": [VIEW]}]},
    ]
    async with serve(
        {"casts": casts}, journal_path=journal_of(desk), journal_bodies=True
    ) as server:
        agent = await driver(desk, server)
        await agent.turn()
        await agent.hand_over(HandoffCause.OVERFLOW)
        await agent.turn()
        before = first_text(recorded(desk)[-1])
        await review(desk, agent)
        await agent.hand_over(HandoffCause.OVERFLOW)
        await agent.turn()
        again = agent.opening(agent="request/x/retry-2/task/a/coder-1").model_copy(
            update={"again": True}
        )
        opened = await ActivityEnvironment().run(agent.model.open_conversation, again)
        await turn(agent.model, call(opened))

    assert telling.OF_REVIEW not in before
    window, attempt = (first_text(each) for each in recorded(desk)[-2:])
    for told in (window, attempt):
        assert telling.OF_REVIEW in told
        assert "Verdict: revise. Zero breaks it." in told
        assert "- P1 parser.py:3 Zero: Division." in told
        assert "`make fuzz`: exit code 9" in told


async def review(desk: ModelEnv, agent: Driver) -> None:
    """A reviewer of the agent's work: one command, then its verdict."""
    opening = agent.opening(agent="request/x/task/a/reviewer-1").model_copy(
        update={"role": roles.REVIEWER, "author": agent.conversation}
    )
    opened = await ActivityEnvironment().run(agent.model.open_conversation, opening)
    header = {"agent": "role=reviewer; task=a; attempt=1; agent=r; request=r"}
    ran = await turn(agent.model, call(opened).model_copy(update=header))
    output = await desk.store.put_blob(b"crash\n[exit code 9]")
    answer = ToolAnswer(tool_use_id=ran.tool_uses[0].id, output=output, is_error=True)
    last = call(ran.conversation, answers=(answer,))
    await turn(agent.model, last.model_copy(update=header))


async def test_the_next_run_of_a_thread_is_told_the_ledger_of_its_agents(desk: ModelEnv) -> None:
    """Decisions of all windows, what failed last, what they handed in; damage hides no outcome."""
    first = [{"call": [VIEW]}, {"call": [run("make fuzz")]}, {"call": [VIEW]}, HANDS_OVER]
    last = [{"call": [{"tool": "finish", "input": {"summary": "Both forms."}}]}]
    key = REPOSITORY.request_key
    row = TaskStatus(id="a", title="Parse", state=TaskState.DONE)
    status = RequestStatus(
        id="request/x", state=RunState.DONE, request="Parse it.", tasks=(row,), summary="One plan."
    )
    async with serve(windows_script(first, last)) as server:
        agent = await driver(desk, server)
        agent.answer["make fuzz"] = ("boom\n[exit code 9]", True)
        for _ in range(3):
            await agent.turn()
        await agent.hand_over()
        await agent.turn()
        await records.write_first(desk.store, ids.ended_ref(key), RequestEnded(status=status))
        (told,) = await past_runs(desk.store, key)
        (plain,) = await past_runs(desk.store, key, ledgers=False)
        entry = await desk.store.entry_at(agent.conversation.head, "turn.json")
        assert entry
        damage_object(desk.store, entry.oid)
        (damaged,) = await past_runs(desk.store, key)

    assert (told.outcome, plain.ledger, damaged.outcome) == ("One plan.", "", "One plan.")
    for fact in (
        "Decisions:\n- [a] Keep the long form: old files have it.",
        "Tried without success:\n- [a] Reusing the lexer drops comments.",
        "- [a] `make fuzz`: exit code 9",
        "Done, as its agents say:\n- [a] Both forms.",
    ):
        assert fact in told.ledger, fact


def damage_object(store: Store, oid: str) -> None:
    """Make an object of a store unreadable, as a bad disk does."""
    file = Path(store.path) / "objects" / oid[:2] / oid[2:]
    file.chmod(0o600)
    file.write_bytes(b"damaged")


async def test_a_fresh_window_of_another_model_is_told_from_which_to_which(
    desk: ModelEnv,
) -> None:
    """Also when the model changed within a window; a window of the same model says nothing."""
    turns = [{"call": [VIEW]}, {"call": [VIEW]}]
    async with serve(
        {"casts": [{"turns": turns}]}, journal_path=journal_of(desk), journal_bodies=True
    ) as server:
        agent = await driver(desk, server, fallback="claude-opus-5-5")
        await agent.turn()
        order = agent.order(HandoffCause.STUCK, fallback=True)
        agent.conversation = await ActivityEnvironment().run(agent.model.hand_over, order)
        agent.answers = ()
        await agent.turn(fallback=True)
        changed = first_text(recorded(desk)[-1])
        agent.answers = ()
        same = agent.order(HandoffCause.OVERFLOW, fallback=True)
        agent.conversation = await ActivityEnvironment().run(agent.model.hand_over, same)
        await agent.turn(fallback=True)

    assert [each.model for each in recorded(desk)] == [MODEL, *["claude-opus-5-5"] * 2]
    line = f"from {MODEL} (rehearsed) to claude-opus-5-5"
    assert changed.count(line) == 1
    assert first_text(recorded(desk)[-1]).count(line) == 1


@pytest.mark.parametrize("content", ["The port is 4711.", None])
async def test_a_window_that_the_service_shortens_unasked_is_handed_over_with_its_summary(
    desk: ModelEnv, content: str | None
) -> None:
    """It is never asked to. The block itself is sent nowhere; where it failed, the ledger goes on
    alone; nothing of the window before is changed.
    """
    fault = {"kind": "compaction", "content": content}
    first: list[dict[str, Any]] = [{"call": [VIEW]}, {"say": "x", "fault": [fault]}]
    async with serve(
        windows_script(first, [{"say": "On I go."}]),
        journal_path=journal_of(desk),
        journal_bodies=True,
    ) as server:
        agent = await driver(desk, server)
        await agent.turn()
        shortened = await agent.turn()
        step = loop.after_turn(shortened, AgentProgress(), AgentLimits(window_tokens=110_000))
        assert step == loop.OpenWindow(HandoffCause.OVERFLOW)
        await agent.hand_over(HandoffCause.OVERFLOW)
        await agent.turn()

    entries = recorded(desk)
    told = first_text(entries[-1])
    assert (telling.SUMMARY in told) is (content is not None)
    assert ("The port is 4711." in told) is (content is not None)
    assert '"compaction"' not in (entries[-1].body or "")
    assert all("compaction" not in sent(each) for each in entries)
    assert all("context_management" not in sent(each) for each in entries)
    assert journal_checks.prefix_breaks(entries) == []


async def test_a_long_result_is_shortened_once_with_a_handle_to_the_whole(
    desk: ModelEnv, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is cut is cut when it is appended: a later limit changes nothing of what was sent, and
    the whole is read by its handle.
    """
    monkeypatch.setattr(shortening, "RESULT_CHARS", 5_000)
    lines = "\n".join(f"line {number}" for number in range(2_000))
    turns: list[dict[str, Any]] = [
        {"call": [VIEW, run("make long")]},
        {"call": [VIEW]},
        {"say": "Fine."},
    ]
    async with serve(
        {"casts": [{"turns": turns}]}, journal_path=journal_of(desk), journal_bodies=True
    ) as server:
        agent = await driver(desk, server)
        agent.answer["make long"] = (lines, False)
        await agent.turn()
        await agent.turn()
        monkeypatch.setattr(shortening, "RESULT_CHARS", 50_000)
        agent.model = desk.model(server)
        await agent.turn()
        past = History(desk.store, REPOSITORY.request_key, agent.conversation.id)
        assert await past.text(_at("w1.t1.r2")) == lines

    result = sent(recorded(desk)[1])["messages"][2]["content"][1]["content"]
    assert len(result) <= 5_000
    assert "characters are left out here; history_read w1.t1.r2 shows them]" in result
    assert (result.startswith("line 0"), result.endswith("line 1999")) == (True, True)
    assert journal_checks.prefix_breaks(recorded(desk)) == []


async def test_a_ledger_is_known_at_any_turn(desk: ModelEnv) -> None:
    """Also within a window, as a reviewer or the next attempt is told it."""
    turns = [{"call": [run("make a")]}, {"call": [run("make b")]}, {"say": "Done."}]
    async with serve({"casts": [{"turns": turns}]}) as server:
        agent = await driver(desk, server)
        agent.answer["make a"] = ("bad\n[exit code 2]", True)
        for _ in range(3):
            await agent.turn()
        ledger = await ledger_at(desk.store, agent.conversation.head, 0)

    assert [(run.command, run.ending) for run in ledger.commands] == [
        ("make a", "exit code 2"),
        ("make b", "ended"),
    ]
    assert ledger.turns == 3


def _at(text: str) -> Any:
    from domain.handoff.handles import parsed  # noqa: PLC0415 - one word in the tests above

    found = parsed(text)
    assert found
    return found
