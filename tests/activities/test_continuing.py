"""A task that goes on from a turn: what the store gives, on a real store with real worktrees."""

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import pytest
from temporalio.exceptions import ApplicationError
from temporalio.testing import ActivityEnvironment

from activities.continuation import TaskContinuations
from contracts.agent import AgentLimits
from contracts.continuation import AttemptsTold, ContinueTask, TellAttempts, TurnChoice
from contracts.failures import FailureKind
from contracts.model import ModelCall, ModelTurn, ToolAnswer, ToolUse, Usage
from contracts.spending import AgentOpened
from contracts.store import ConversationRef
from contracts.task import EarlierAttempt
from contracts.tools import ToolCall
from domain import ids
from domain.agent import models
from domain.agent.configuration import AgentConfiguration
from infra.conversation.log import HANDOFF_FILE, ConversationLog, TurnContent, WindowRoot
from infra.conversation.messages import compose, filled
from infra.kept import agents as kept_agents
from infra.kept.costs import costs_microusd
from infra.kept.request import KeptRequest
from infra.kept.spending import SpendingReader
from infra.store import RefUpdate, Store, records
from infra.store.soundness import damage
from tests.infra.bench import ActivityEnv, Agent, Job

ID = "request/one"
TASK = "a"
CONFIGURATION = AgentConfiguration(
    role="coder",
    model="m",
    effort=None,
    system="You code.",
    tools=(),
    prices=models.facts("m", {}),
    limits=AgentLimits(),
)


@dataclass
class Talk:
    """The conversation of a task's coder, turn by turn, with its calls carried out."""

    job: Job
    agent: Agent
    id: str
    at: ConversationRef
    log: ConversationLog = field(default_factory=ConversationLog)
    answers: tuple[ToolAnswer, ...] = ()
    commits: list[str] = field(default_factory=list)
    states: list[str] = field(default_factory=list)

    async def turn(self, *calls: Mapping[str, object], finish: bool = False) -> str:
        """Make a turn whose calls edit files, or which reads; return its commit."""
        store = self.job.store
        call = ModelCall(
            repository=self.job.opened.repository,
            conversation=self.at,
            agent="",
            answers=self.answers,
        )
        number = self.at.turns + 1
        uses = [
            ToolUse(
                id=f"call_{number}_{place}",
                name="finish" if finish else str(each.get("tool", "edit")),
                arguments=await store.put_blob(json.dumps(each).encode()),
                subject=str(each.get("path", "")),
            )
            for place, each in enumerate(calls)
        ]
        message = None
        if self.at.turns:
            message = compose(self.at.open_calls, self.answers, message=None, documents=())
        made = await self.log.append(
            store,
            call,
            batch=store.batch(),
            window=await self.log.window(store, self.at.head),
            said=TurnContent(
                message,
                tuple(await filled(store, [message] if message else [])),
                [{"type": "text", "text": f"turn {number}"}],
            ),
            turn=ModelTurn(
                conversation=self.at,
                stop_reason="tool_use",
                tool_uses=tuple(uses),
                finish="{}" if finish else None,
                usage=Usage(input_tokens=10 * number, output_tokens=1),
                cost_microusd=100,
                model="m",
            ),
        )
        self.at = made.conversation
        pairs = zip(uses, calls, strict=True)
        self.answers = tuple([await self._answer(use, each) for use, each in pairs])
        self.commits.append(self.at.head)
        self.states.append(self.agent.at)
        return self.at.head

    async def _answer(self, use: ToolUse, given: Mapping[str, object]) -> ToolAnswer:
        if use.name != "edit":
            output = await self.job.store.put_blob(f"read {use.subject}".encode())
            return ToolAnswer(tool_use_id=use.id, output=output)
        arguments = {"command": "create", "file_text": "x\n", **given}
        call = await self.agent.call("edit", **arguments)
        named = call.model_copy(update={"call_id": ids.call_id(self.id, use.id)})
        result = await self.agent.make(named)
        assert result.checkpoint is not None
        self.agent.at, self.agent.seen = result.checkpoint, result.seen
        return ToolAnswer(tool_use_id=use.id, output=result.output)


@pytest.fixture
async def talk(job: Job) -> Talk:
    """A coder that has made three turns: an edit and a look, an edit, an edit."""
    owner = ids.subtask_id(ID, TASK)
    workflow = ids.agent_id(owner, "coder", 1)
    name = ids.conversation_id("one", workflow, 0)
    log = ConversationLog()
    opening = {"role": "user", "content": [{"type": "text", "text": "Do it."}]}
    opened = await log.open(job.store, name, configuration=CONFIGURATION, opening=opening)
    agent = AgentOpened(
        conversation=name, agent=workflow, role="coder", task=TASK, opened=time.time()
    )
    await records.write_first(job.store, ids.agent_ref("one", name), agent)
    leased = ids.lease_ref("one", owner, ids.purpose("coder", 1))
    await job.store.update_refs(RefUpdate(leased, job.base, None))
    made = Talk(
        job, await job.agent(TASK), name, ConversationRef(id=name, head=opened.head, model="m")
    )
    made.log = log
    await made.turn({"path": "one.txt"}, {"tool": "view", "path": "a.txt"})
    await made.turn({"path": "two.txt"})
    await made.turn({"path": "three.txt"})
    return made


async def go_on(
    env: ActivityEnv,
    turn: str | None,
    *,
    parent: str = f"{ID}/rollback-1-1-x",
    fork: str | None = None,
    looks: bool = False,
    job: Job,
) -> EarlierAttempt:
    """Return what the task goes on with."""
    order = ContinueTask(
        repository=job.opened.repository,
        choice=TurnChoice(task=TASK, turn=turn, fork=fork, words="be brief"),
        parent=parent,
        looks=looks,
    )
    made: EarlierAttempt = await ActivityEnvironment().run(
        TaskContinuations(env.stores, redact=str).continue_task, order
    )
    return made


def lose(store: Store, oid: str) -> None:
    """Delete an object from the disk."""
    (store.path / "objects" / oid[:2] / oid[2:]).unlink()


def spoil(store: Store, oid: str) -> None:
    """Change a byte in the middle of an object on the disk."""
    file = store.path / "objects" / oid[:2] / oid[2:]
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 0xFF
    file.chmod(0o644)
    file.write_bytes(data)


async def fresh(env: ActivityEnv, job: Job) -> Store:
    """Return the store as a process sees it that starts now: nothing of it is in memory."""
    await env.stores.close()
    store = await env.stores.get(job.opened.repository.key)
    job.store = store
    return store


async def test_a_task_goes_on_with_files_log_and_answers_of_a_turn(
    env: ActivityEnv, job: Job, talk: Talk
) -> None:
    """The state of the files, a log of its own that ends with the turn, every answer to its calls,
    the configuration, the person's words; the log before it is as it was.
    """
    before = job.store.ref(ids.conversation_ref(talk.id))
    found = await go_on(env, talk.commits[0], job=job)
    continues = found.continues
    assert continues is not None
    assert (found.commit, found.number) == (talk.states[0], 1)
    assert found.reason == "rolled back to the state after turn 1"
    conversation = continues.conversation
    assert (conversation.head, conversation.turns) == (talk.commits[0], 1)
    assert conversation.open_calls == ("call_1_0", "call_1_1")
    assert conversation.context_tokens == 11
    assert job.store.ref(ids.conversation_ref(conversation.id)) == talk.commits[0]
    texts = [await job.store.get_blob(each.output or "") for each in continues.answers]
    assert texts[1] == b"read a.txt"
    assert continues.config is not None
    assert continues.config.limits == CONFIGURATION.limits
    assert continues.message.endswith("The person says: be brief")
    assert job.store.ref(ids.conversation_ref(talk.id)) == before == talk.commits[2]


async def test_the_window_of_a_log_that_goes_on_is_a_prefix_of_the_old_one(
    env: ActivityEnv, job: Job, talk: Talk
) -> None:
    """What is sent again is the same to the byte, so that it is read from the cache."""
    found = await go_on(env, talk.commits[1], job=job)
    assert found.continues is not None
    log = ConversationLog()
    old = await log.window(job.store, talk.commits[2])
    new = await log.window(job.store, found.continues.conversation.head)
    assert old.messages[: len(new.messages)] == new.messages
    assert (old.config, old.configuration) == (new.config, new.configuration)


async def test_a_repeated_attempt_gets_the_same_and_a_look_writes_nothing(
    env: ActivityEnv, job: Job, talk: Talk
) -> None:
    """Also once the log has gone on since; a look leaves neither log nor note."""
    looked = await go_on(env, talk.commits[1], job=job, looks=True)
    assert looked.continues is not None
    assert job.store.ref(ids.conversation_ref(looked.continues.conversation.id)) is None
    first = await go_on(env, talk.commits[1], job=job)
    assert first == looked
    assert first.continues is not None
    again = Talk(job, talk.agent, first.continues.conversation.id, first.continues.conversation)
    await again.turn()
    assert await go_on(env, talk.commits[1], job=job) == first


async def test_the_last_turn_needs_no_turn_after_it(env: ActivityEnv, job: Job, talk: Talk) -> None:
    """What a call came to is in its journal; a look that nobody was told is to be made again."""
    last = await talk.turn({"path": "four.txt"}, {"tool": "view", "path": "b.txt"})
    found = await go_on(env, last, job=job)
    assert found.continues is not None
    edited, viewed = found.continues.answers
    assert (edited.output, edited.is_error) == (talk.answers[0].output, False)
    assert viewed.is_error
    assert "make it again" in viewed.text


async def test_no_turn_is_counted_twice(env: ActivityEnv, job: Job, talk: Talk) -> None:
    """What the shared turns have cost is told once, by both readers; turns keep their numbers."""
    found = await go_on(env, talk.commits[0], job=job)
    fork = await go_on(env, talk.commits[1], job=job, fork="a-fork", parent=f"{ID}/rollback-1-2-y")
    assert found.continues is not None
    assert fork.continues is not None
    spent = await SpendingReader().of_request(job.store, "one")
    assert sum(each.turns for each in spent) == 3
    stores = job.store.path.parent
    assert await costs_microusd(stores, "one") == 300
    again = Talk(job, talk.agent, found.continues.conversation.id, found.continues.conversation)
    again.answers = found.continues.answers
    await again.turn()
    assert sum(e.turns for e in await SpendingReader().of_request(job.store, "one")) == 4
    assert await costs_microusd(stores, "one") == 400
    kept = KeptRequest(job.store, "one")
    turns = await kept.task_turns(TASK)
    assert [turn.number for turn in turns] == [1, 2, 3, 4]
    assert [turn.undone for turn in turns] == [False, True, True, False]
    assert [turn.files for turn in turns] == [("one.txt",), ("two.txt",), ("three.txt",), ()]
    assert turns[3].before == turns[0].checkpoint
    assert [each.text for each in turns[0].outputs][1] == "read a.txt"
    # The fork's turns before it are not its own, and the task's are not undone by it.
    assert await kept.task_turns("a-fork") == []


async def test_what_is_no_turn_of_the_tasks_coder_is_refused(
    env: ActivityEnv, job: Job, talk: Talk
) -> None:
    """By its commit, with a sentence; nothing is written."""
    with pytest.raises(ApplicationError, match="has no turn") as caught:
        await go_on(env, job.base, job=job)
    assert caught.value.type == FailureKind.REFUSED
    assert len(await kept_agents.agents(job.store, "one")) == 1


DAMAGES: Mapping[str, Callable[[Store, str], None]] = {"missing": lose, "spoiled": spoil}


@pytest.mark.parametrize("harm", list(DAMAGES))
@pytest.mark.parametrize("what", ["blob", "tree", "commit", "turn", "log"])
async def test_the_last_sound_turn_is_taken_where_a_later_one_is_damaged(
    env: ActivityEnv, job: Job, talk: Talk, harm: str, what: str
) -> None:
    """A file, folder or commit of the third checkpoint, or the record or commit of the third turn:
    missing or changed on the disk, it is found, and turn 2 is gone on from, visibly.
    """
    store = job.store
    harmed = {
        "blob": f"{talk.states[2]}:three.txt",
        "tree": f"{talk.states[2]}^{{tree}}",
        "commit": talk.states[2],
        "turn": f"{talk.commits[2]}:turn.json",
        "log": talk.commits[2],
    }[what]
    # An equal file of another turn would be the same object.
    if what == "blob":
        await talk.turn({"path": "three.txt", "command": "create", "file_text": "other\n"})
        harmed = f"{talk.states[3]}:three.txt"
    oid = await store.resolve(harmed)
    assert oid is not None
    DAMAGES[harm](store, oid)
    store = await fresh(env, job)
    found = await go_on(env, None, job=job)
    sound = 2 if what == "blob" else 1
    assert found.commit == talk.states[sound]
    assert found.continues is not None
    assert found.continues.conversation.head == talk.commits[sound]
    assert f"goes on after turn {sound + 1}" in found.reason
    assert "CHECKPOINT_CORRUPTION" in found.reason
    noted = [each.continues for each in await kept_agents.agents(store, "one") if each.continues]
    assert len(noted) == 1
    assert not await damage(store, [found.commit or ""], beside=job.base)


async def _next_window(talk: Talk) -> Talk:
    """Hand the conversation over to a fresh window, and return that."""
    store, name = talk.job.store, f"{talk.id}-next"
    handed = {HANDOFF_FILE: json.dumps({"head": talk.at.head, "opening": 1}).encode()}
    opening = {"role": "user", "content": [{"type": "text", "text": "Go on."}]}
    opened = await talk.log.open(
        store,
        name,
        configuration=CONFIGURATION,
        opening=opening,
        window=WindowRoot(talk.at.head, handed),
    )
    workflow = ids.agent_id(ids.subtask_id(ID, TASK), "coder", 1)
    agent = AgentOpened(
        conversation=name, agent=workflow, role="coder", task=TASK, opened=time.time(), window=1
    )
    await records.write_first(store, ids.agent_ref("one", name), agent)
    at = ConversationRef(id=name, head=opened.head, model="m", window=1)
    return Talk(talk.job, talk.agent, name, at, log=talk.log)


async def test_a_task_goes_on_over_the_windows_of_its_agent(
    env: ActivityEnv, job: Job, talk: Talk
) -> None:
    """A window goes on with the state of the one before; going back to a turn of that one undoes
    this one, and where this one is damaged the last turn of that one is taken.
    """
    window = await _next_window(talk)
    await window.turn({"tool": "view", "path": "a.txt"})
    await window.turn({"path": "four.txt"})
    kept = KeptRequest(job.store, "one")
    turns = await kept.task_turns(TASK)
    assert [turn.number for turn in turns] == [1, 2, 3, 4, 5]
    assert turns[3].checkpoint == turns[2].checkpoint == talk.states[2]
    assert turns[4].files == ("four.txt",)
    there = await go_on(env, window.commits[0], job=job, looks=True)
    assert (there.commit, there.continues and there.continues.conversation.window) == (
        talk.states[2],
        1,
    )
    oid = await job.store.resolve(f"{window.commits[0]}:turn.json")
    assert oid is not None
    lose(job.store, oid)
    await fresh(env, job)
    found = await go_on(env, None, job=job)
    assert found.commit == talk.states[2]
    assert "goes on after turn 3; CHECKPOINT_CORRUPTION: turn 4" in found.reason
    undone = [turn.undone for turn in await KeptRequest(job.store, "one").task_turns(TASK)]
    assert undone == [False, False, False, True, True]


async def test_a_lost_turn_in_the_middle_cuts_off_what_came_after_it(
    env: ActivityEnv, job: Job, talk: Talk
) -> None:
    """The turns before it are found by what they say of themselves."""
    lose(job.store, talk.commits[1])
    await fresh(env, job)
    found = await go_on(env, talk.commits[2], job=job)
    assert found.commit == talk.states[0]
    assert "CHECKPOINT_CORRUPTION: a turn before turn" in found.reason


async def test_nothing_sound_is_said_with_what_to_do(
    env: ActivityEnv, job: Job, talk: Talk
) -> None:
    """When the root of the log is gone, the task can only begin anew."""
    root = (await job.store.get_commit(talk.commits[0])).parents[0]
    oid = await job.store.resolve(f"{root}:agent.json")
    assert oid is not None
    lose(job.store, oid)
    await fresh(env, job)
    with pytest.raises(ApplicationError, match="`retry` begins it anew"):
        await go_on(env, None, job=job)


async def test_a_call_that_needs_a_damaged_checkpoint_says_so(job: Job, talk: Talk) -> None:
    """It is not tried again: its failure has the name by which its task goes on."""
    oid = await job.store.resolve(f"{talk.states[2]}^{{tree}}")
    assert oid is not None
    lose(job.store, oid)
    lease = await job.lease("another", commit=job.base)
    agent = Agent(job, lease, TASK, talk.states[2])
    call: ToolCall = await agent.call("edit", command="create", path="x", file_text="x\n")
    with pytest.raises(ApplicationError, match="CHECKPOINT_CORRUPTION") as caught:
        await agent.make(call)
    assert (caught.value.type, caught.value.non_retryable) == (
        FailureKind.CHECKPOINT_CORRUPTION,
        True,
    )


async def test_the_disk_is_read_and_not_the_memory(job: Job, talk: Talk) -> None:
    """A store that has an object in memory finds it missing on the disk all the same."""
    oid = await job.store.resolve(f"{talk.states[2]}:three.txt")
    assert oid is not None
    await job.store.get(oid)
    assert await damage(job.store, [talk.states[2]]) == ""
    lose(job.store, oid)
    assert await job.store.get(oid)
    assert "is missing" in await damage(job.store, [talk.states[2]])


async def test_what_an_agent_has_tried_is_told_without_secrets(
    env: ActivityEnv, talk: Talk
) -> None:
    """The commands of its ledger, as far as its conversation came, bounded and redacted."""
    await talk.turn({"tool": "run_command", "command": "make secret-x"})
    await talk.turn({"path": "four.txt"})
    order = TellAttempts(repository=talk.job.opened.repository, conversation=talk.at)
    continuations = TaskContinuations(env.stores, redact=lambda text: text.replace("secret-x", "…"))
    told: AttemptsTold = await ActivityEnvironment().run(continuations.tell_attempts, order)

    assert told.text.startswith("Commands, as each ended last:\n- [w1.t4.r1] `make …`")
    assert "secret" not in told.text
