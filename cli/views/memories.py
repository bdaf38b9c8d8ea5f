"""Memories and what a search found, as lines and as JSON; all of it is untrusted text."""

from collections.abc import Sequence

from cli.command_words import command_line, short_id
from cli.formatting import age, clean, clean_lines, columns, name, plural
from domain import ids
from domain.memory.memory import Memory, moment
from domain.memory.recall import Hit
from domain.text import Redact, for_people
from infra.memory.kept_memories import MemoryState, Used


def listed(
    proposals: Sequence[Memory], kept: MemoryState, redact: Redact, *, now: float
) -> list[str]:
    """Return the lines of a list: what waits, then what is accepted."""
    lines = []
    if proposals:
        lines.append(f"{how_many_wait(len(proposals))} for you:")
        rows = [
            (f"  {each.name}", each.type.value, age(now - each.modified), _line(each, redact))
            for each in proposals
        ]
        lines += columns(rows)
    if kept.lines:
        lines += [""] if lines else []
        lines.append(f"{len(kept.lines):,} accepted, the newest first:")
        rows = [
            (
                f"  {each.name}",
                each.type.value,
                _uses(kept.used.get(each.name, Used())),
                clean(redact(each.description)),
            )
            for each in kept.lines
        ]
        lines += columns(rows)
    return lines or ["There are no memories."]


def how_many_wait(count: int) -> str:
    """Return how many memories wait, as the start of a sentence."""
    return f"{count} memories wait" if count > 1 else "1 memory waits"


def _line(memory: Memory, redact: Redact) -> str:
    return clean(redact(memory.description))


def _uses(used: Used) -> str:
    return f"given {used.given}, read {used.read}"


def whole(memory: Memory, kept: MemoryState, redact: Redact) -> list[str]:
    """Return the lines of one memory."""
    used = kept.used.get(memory.name, Used())
    facts = {
        "state": _state(memory),
        "from": f"{memory.request}, {memory.agent}",
        "noted": moment(memory.modified),
        "evidence": memory.evidence,
        "files": ", ".join(f"{path}@{oid[:10]}" for path, oid in memory.files),
        "used": f"told to {plural(used.given, 'agent')}, read in {plural(used.read, 'request')}",
    }
    rows = [(f"{key}:", clean(redact(value), 600)) for key, value in facts.items() if value]
    text = clean_lines(redact(memory.text), 200)
    title = f"{memory.name} ({memory.type.value})"
    return [title, _line(memory, redact), "", *(f"  {line}" for line in text), "", *columns(rows)]


def _state(memory: Memory) -> str:
    if not memory.accepted_by:
        return "waits for you"
    return f"accepted {moment(memory.accepted)} by {memory.accepted_by}"


def documents(
    proposals: Sequence[Memory], kept: MemoryState, redact: Redact
) -> list[dict[str, object]]:
    """Return what `memory list --json` prints; keys may be added, none is renamed."""
    waiting = [
        {
            **_document(each.name, each.type.value, each.description, Used(), redact),
            "state": "waiting",
            "request": each.request,
            "agent": each.agent,
            "modified": each.modified,
        }
        for each in proposals
    ]
    accepted = [
        {
            **_document(
                each.name,
                each.type.value,
                each.description,
                kept.used.get(each.name, Used()),
                redact,
            ),
            "state": "accepted",
        }
        for each in kept.lines
    ]
    return [*waiting, *accepted]


def document(memory: Memory, kept: MemoryState, redact: Redact) -> dict[str, object]:
    """Return what `memory show --json` prints; keys may be added, none is renamed."""
    used = kept.used.get(memory.name, Used())
    return {
        **_document(memory.name, memory.type.value, memory.description, used, redact),
        "state": "accepted" if memory.accepted_by else "waiting",
        "text": for_people(redact(memory.text)),
        "request": memory.request,
        "agent": memory.agent,
        "modified": memory.modified,
        "evidence": redact(memory.evidence),
        "files": [{"path": path, "object": oid} for path, oid in memory.files],
        "accepted": memory.accepted,
        "accepted_by": memory.accepted_by,
    }


def _document(
    memory: str, kind: str, description: str, used: Used, redact: Redact
) -> dict[str, object]:
    return {
        "name": memory,
        "type": kind,
        "description": redact(description),
        "given": used.given,
        "read": used.read,
        "last_used": used.last,
    }


def found(hits: Sequence[Hit], redact: Redact, *, now: float) -> list[str]:
    """Return the lines of what a search found: memories, then turns of conversations."""
    lines = []
    for hit in hits:
        passage = clean(redact(hit.passage), 400)
        if hit.memory:
            lines += [f"{hit.memory}: {clean(redact(hit.title))}", f"    {passage}"]
            continue
        request, task = name(short_id(ids.request_of(hit.agent))), _task(hit)
        who = f"{hit.title} of {task}" if task else hit.title
        lines.append(f"{request}, {clean(who)}, turn {hit.turn}, {age(now - hit.at)} ago")
        lines.append(f"    {passage}")
    return lines


def see_command(program: str, hits: Sequence[Hit]) -> list[str]:
    """Return the command that shows the conversation of the first turn that was found."""
    for hit in hits:
        if not hit.memory:
            words = (short_id(ids.request_of(hit.agent)), *filter(None, [_task(hit)]))
            return [f"To see the first conversation: {command_line(program, 'log', *words)}"]
    return []


def _task(hit: Hit) -> str:
    return ids.agent_task(hit.agent, hit.title)


def hit_document(hit: Hit, redact: Redact) -> dict[str, object]:
    """Return what `memory search --json` prints of one place; no key is renamed."""
    turn = not hit.memory
    return {
        "memory": hit.memory,
        "conversation": hit.conversation,
        "request": ids.request_of(hit.agent) if turn else "",
        "task": _task(hit) if turn else "",
        "role": hit.title if turn else "",
        "turn": hit.turn,
        "at": hit.at,
        "title": "" if turn else redact(hit.title),
        "passage": redact(hit.passage),
    }
