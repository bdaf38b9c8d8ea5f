"""The first message of a window after an agent's first: its opening, ledger, note, last results."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from contracts.handoff import HandoffCause
from domain.agent.sections import sections
from domain.handoff import telling
from domain.handoff.facts import CallFact
from domain.handoff.ledger import Ledger
from infra.conversation.log import HANDOFF_FILE, LEDGER_FILE, NOTE_FILE, WindowRoot
from infra.conversation.messages import Message, canonical
from infra.store import Store


@dataclass(frozen=True)
class HandedOver:
    """What goes on into a window.

    Attributes:
        conversation, head: of the window that ended.
        note: by field.
        calls: its last ones.
        held: what it was not told yet, with links to its texts.
        others: label and text of what is told of others' work.
    """

    conversation: str
    head: str
    cause: HandoffCause
    ledger: Ledger
    note: Mapping[str, tuple[str, ...]]
    calls: Sequence[CallFact]
    held: Sequence[dict[str, Any]] = ()
    others: Sequence[tuple[str, str]] = ()


async def next_window(
    store: Store, root: str, given: HandedOver, *, seed: str
) -> tuple[Message, WindowRoot]:
    """Return the first message of a window, and what its root keeps beside it.

    `root` is that of the window that ended: what the agent was told at its beginning is told
    again, to the byte, so that the model's service has it in its cache.
    """
    (first,) = json.loads(await store.get_blob(f"{root}:input.json"))
    entry = await store.entry_at(root, HANDOFF_FILE)
    count = json.loads(await store.get_blob(entry.oid))["opening"] if entry else None
    opening = first["content"][:count]
    handed = {
        "conversation": given.conversation,
        "head": given.head,
        "cause": given.cause.value,
        "opening": len(opening),
    }
    told = sections(
        [
            ("Handed over", telling.begin(given.cause)),
            (telling.LEDGER, telling.told(given.ledger)),
            *given.others,
            (telling.NOTE, telling.note(given.note)),
            (telling.RESULTS, telling.results(given.calls)),
        ],
        seed=seed,
    )
    files = {
        HANDOFF_FILE: canonical(handed),
        LEDGER_FILE: given.ledger.model_dump_json().encode(),
        NOTE_FILE: canonical(dict(given.note)),
    }
    message = {"role": "user", "content": [*opening, {"type": "text", "text": told}, *given.held]}
    return message, WindowRoot(given.head, files)
