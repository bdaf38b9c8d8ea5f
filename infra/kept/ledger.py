"""An agent's ledger, from what its logs and the store recorded: the model's word is its note."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from contracts.handoff import HandoffNote
from contracts.model import ToolAnswer, ToolUse
from contracts.spending import AgentOpened
from contracts.verdicts import Effect, Permission
from domain import ids
from domain.agent import messages
from domain.editing import seen
from domain.handoff.facts import CallFact, FileFact, TurnFact, WindowFacts, parts_of, shortened
from domain.handoff.handles import Handle
from domain.handoff.ledger import Ledger, updated
from infra.conversation.log import LEDGER_FILE
from infra.kept.agents import TurnRecord, turns_until
from infra.kept.call_results import journaled_answer
from infra.store import Store, diffs

_READ_CHARS = 20_000
_WHOLE_TURNS = 3
"""The last turns, whose results are read whole; of the others what failed and what commands say."""
_CUT = "\n[… {cut} characters …]\n"
_CHANGES = {"A": "added", "D": "deleted", "M": "changed", "T": "changed"}
_DENIED = "Denied: "
_NOT_ENDED = "It had not ended, or not begun, when its agent was stopped."


async def ledger_before(store: Store, root: str) -> Ledger:
    """Return the ledger with which a window began: empty in an agent's first one."""
    entry = await store.entry_at(root, LEDGER_FILE)
    if entry is None:
        return Ledger()
    return Ledger.model_validate_json(await store.get_blob(entry.oid))


async def ledger_at(store: Store, head: str, window: int) -> Ledger:
    """Return the ledger at a turn of a window (from 0), as far as its log tells it."""
    root, records = await turns_until(store, head)
    return await _ledger(store, root, records, window)


@dataclass(frozen=True)
class PastWork:
    """What an agent's work came to, however it ended: by itself, cut, or killed.

    Attributes:
        says: the words of its last reply that was not discarded.
        finish: what it handed in, as JSON; None when it was cut before.
    """

    ledger: Ledger
    says: str = ""
    finish: str | None = None


async def past_work(
    store: Store,
    request_key: str,
    agent: AgentOpened,
    *,
    changed: tuple[FileFact, ...] | None = None,
) -> PastWork | None:
    """Return what is kept of an agent's work at the end of its last turn; None without a turn.

    What its last calls came to, which it was not told any more, stands in the journal. `changed`
    are the files that differ from what its work began on.
    """
    tip = store.ref(ids.conversation_ref(agent.conversation))
    root, records = await turns_until(store, tip) if tip else ("", [])
    if not records:
        return None
    last = records[-1]
    answers = [
        answer
        for use in last.turn.tool_uses
        if (answer := await _last_answer(store, request_key, agent, use))
    ]
    ledger = await _ledger(store, root, records, agent.window, answers, changed)
    whole = next((each for each in reversed(records) if not each.turn.discarded), last)
    said = "" if whole.turn.discarded else _said(whole)
    return PastWork(ledger, said, whole.turn.finish)


async def _last_answer(
    store: Store, request_key: str, agent: AgentOpened, use: ToolUse
) -> ToolAnswer | None:
    """Return what a call came to that may have no answer; None of one that only read."""
    answer = await journaled_answer(store, request_key, agent, use)
    if answer.output or use.problem:
        return answer
    if use.effect is not Effect.WRITE:
        return None
    return answer.model_copy(update={"text": _NOT_ENDED})


async def _ledger(
    store: Store,
    root: str,
    records: Sequence[TurnRecord],
    window: int,
    answers: Sequence[ToolAnswer] = (),
    changed: tuple[FileFact, ...] | None = None,
) -> Ledger:
    turns = await turn_facts(store, records, window=window + 1, answers=answers)
    recorded = WindowFacts(window + 1, tuple(turns), changed=changed)
    return updated(await ledger_before(store, root), recorded)


async def turn_facts(
    store: Store, records: Sequence[TurnRecord], *, window: int, answers: Sequence[ToolAnswer] = ()
) -> list[TurnFact]:
    """Return what the turns of a window (from 1) were; `answers` are those that it was not told."""
    facts = []
    for place, record in enumerate(records):
        following = records[place + 1] if place + 1 < len(records) else None
        results = _results(following) if following else dict(_given(answers))
        last = place + _WHOLE_TURNS >= len(records)
        facts.append(await _turn(store, record, results, window, whole=last))
    return facts


async def _turn(
    store: Store,
    record: TurnRecord,
    results: Mapping[str, tuple[object, bool]],
    window: int,
    *,
    whole: bool,
) -> TurnFact:
    calls = [
        await _call(
            store, use, results.get(use.id), Handle(window, record.number, number), whole=whole
        )
        for number, use in enumerate(record.turn.tool_uses, start=1)
        if use.effect is not Effect.END
    ]
    return TurnFact(
        at=str(Handle(window, record.number)),
        told=tuple(_told(record)),
        calls=tuple(calls),
        says=_said(record),
        model=record.turn.model,
    )


def _said(record: TurnRecord) -> str:
    texts = (str(block.get("text") or "") for block in record.reply if block.get("type") == "text")
    return "\n".join(filter(None, texts))


async def _call(
    store: Store, use: ToolUse, result: tuple[object, bool] | None, at: Handle, *, whole: bool
) -> CallFact:
    content, failed = result or ("", False)
    asked = use.verdict is not None and use.verdict.permission is Permission.ASK
    text = ""
    if whole or failed or use.name == "run_command":
        text = shortened(await text_of(store, content), _READ_CHARS, _CUT)
    subject = await _command(store, use) if use.name == "run_command" else use.subject
    return CallFact(
        at=str(at),
        tool=use.name,
        subject=subject,
        text=text,
        failed=failed,
        why=(use.verdict.reason or use.verdict.rule) if asked and use.verdict else "",
        approved=not (failed and text.startswith(_DENIED)),
    )


async def _command(store: Store, use: ToolUse) -> str:
    """Return a command line whole; what people are shown of it is cut."""
    if use.arguments is None:
        return use.subject
    given = json.loads(await store.get_blob(use.arguments))
    return str(given.get("command") or use.subject)


def _told(record: TurnRecord) -> Iterator[tuple[str, str]]:
    blocks = [block for message in record.input for block in message["content"]]
    texts = [block["text"] for block in blocks if block.get("type") == "text"]
    for text in texts:
        if isinstance(text, str):
            yield from parts_of(text, record.parts, messages.GAP)


def _results(record: TurnRecord) -> dict[str, tuple[object, bool]]:
    """Return what the calls of the turn before a record came to, by the call's id."""
    blocks = [block for message in record.input for block in message["content"]]
    return {
        str(block["tool_use_id"]): (block.get("content", ""), bool(block.get("is_error")))
        for block in blocks
        if block.get("type") == "tool_result"
    }


def _given(answers: Sequence[ToolAnswer]) -> Iterator[tuple[str, tuple[object, bool]]]:
    for answer in answers:
        content: object = {"$blob": answer.output} if answer.output else answer.text
        yield answer.tool_use_id, (content, answer.is_error)


async def text_of(store: Store, content: object) -> str:
    """Return the text of a result as it is kept: whole, also where the agent was told less."""
    if isinstance(content, Mapping):
        oid = content.get("$whole") or content.get("$blob")
        return (await store.get_blob(str(oid))).decode("utf-8", "replace") if oid else ""
    return str(content or "")


async def changed_files(store: Store, base: str, checkpoint: str) -> tuple[FileFact, ...]:
    """Return the files that differ from what the work began on, by path."""
    return tuple(
        FileFact(each.path, "" if each.status == "D" else each.after, _change(each))
        for each in await diffs.changes(store, base, checkpoint)
    )


def _change(each: diffs.PathChange) -> str:
    lines = "binary" if each.added_lines is None else f"+{each.added_lines} -{each.deleted_lines}"
    return f"{_CHANGES[each.status]} {lines}"


async def read_files(store: Store, oid: str | None) -> tuple[FileFact, ...]:
    """Return the files of which an agent knows the content, by path, from its record of them."""
    if oid is None:
        return ()
    known: dict[str, str] = json.loads(await store.get_blob(oid))
    return tuple(
        FileFact(path, seen.version(record) or "")
        for path, record in sorted(known.items())
        if not path.startswith("/")
    )


async def note_fields(store: Store, oid: str | None, said: str) -> dict[str, tuple[str, ...]]:
    """Return an agent's note by field: the arguments of its call, else its words; {} of neither."""
    if oid is None:
        return {"state": (said.strip()[:2_000],)} if said.strip() else {}
    note: dict[str, Any] = HandoffNote.model_validate_json(await store.get_blob(oid)).model_dump()
    return {
        name: (value,) if isinstance(value, str) else tuple(value) for name, value in note.items()
    }
