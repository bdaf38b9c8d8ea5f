"""How long a search takes in many memories and conversations, beside one in a store with none."""

import json
import statistics
import time
from collections.abc import Iterator
from pathlib import Path

from bench.deployment import folder
from bench.figures import Figure, Name
from domain import ids
from domain.memory.memory import INDEX, Memory, MemoryType, draft, line_of, render, render_index
from infra.git.command import GitCommand
from infra.memory.recall import Recall
from infra.store import RefUpdate, Store

MEMORIES = 10_000
CONVERSATIONS = 1_000
TURNS = 20
_TIMES = 40
_QUERIES = (
    "rounding of totals",
    "how does the parser count commas",
    "module_77 compute_total_77",
    "encoding umlaut locale",
    "return value of the price function in the cart",
    "nothing of this stands anywhere quagga",
)
_TEXT = (
    "the parser counts commas and keeps a state for each file it reads while totals are rounded "
    "half even so prices in the cart stay in cents and the test of the encoding needs a locale "
    "value function return module error output line index cache store request task agent review"
)
_WORDS = tuple(_TEXT.split())


def _text(seed: int, count: int) -> str:
    """Return words that differ by their seed, some of them rare."""
    words = [_WORDS[(seed * 31 + n * (7 + seed % 13)) % len(_WORDS)] for n in range(count)]
    words[seed % count] = f"module_{seed % 500}"
    words[(seed * 3) % count] = f"compute_total_{seed}"
    return " ".join(words)


def _memories() -> Iterator[Memory]:
    for number in range(MEMORIES):
        made = draft(MemoryType.PROJECT, description=_text(number, 12), text=_text(number * 7, 60))
        yield Memory(made.name, made.type, made.description, made.text, number, "request/x-1")


class _Stream:
    """Objects and references in the form that `git fast-import` takes."""

    def __init__(self) -> None:
        self.parts: list[bytes] = []

    def commit(self, ref: str, files: dict[str, str], *, when: int) -> None:
        data = f"commit {ref}\ncommitter a <a@b> {when} +0000\ndata 0\n"
        self.parts.append(data.encode())
        for path, text in files.items():
            blob = text.encode()
            self.parts.append(
                b"M 100644 inline %s\ndata %d\n%s\n" % (path.encode(), len(blob), blob)
            )

    def blob(self, mark: int, text: str) -> None:
        data = text.encode()
        self.parts.append(b"blob\nmark :%d\ndata %d\n%s\n" % (mark, len(data), data))

    def reference(self, ref: str, mark: int) -> None:
        self.parts.append(f"reset {ref}\nfrom :{mark}\n\n".encode())


def _conversations(stream: _Stream) -> dict[str, str]:
    """Write conversations; return what has to stand under a reference beside them, by name."""
    agents = {}
    for number in range(CONVERSATIONS):
        name, request = f"coder-{number}", f"r{number // 4}-0123456789"
        ref = ids.conversation_ref(name)
        opening = [{"role": "user", "content": [{"type": "text", "text": _text(number, 200)}]}]
        stream.commit(ref, {"input.json": json.dumps(opening)}, when=1)
        for turn in range(1, TURNS + 1):
            seed = number * TURNS + turn
            stream.commit(ref, {"turn.json": json.dumps(_turn(seed))}, when=turn)
        agents[ids.agent_ref(request, name)] = json.dumps(
            {
                "conversation": name,
                "agent": f"request/r{number // 4}/task/a/coder-1",
                "role": "coder",
                "task": "a",
                "opened": float(number),
            }
        )
    return agents


def _turn(seed: int) -> dict[str, object]:
    told = [{"type": "tool_result", "tool_use_id": "x", "content": _text(seed, 120)}]
    return {
        "key": "k",
        "at": float(seed),
        "turn": {
            "conversation": {"id": "c", "head": "0" * 40},
            "stop_reason": "tool_use",
        },
        "input": [{"role": "user", "content": told}],
        "reply": [{"type": "text", "text": _text(seed + 1, 40)}],
    }


async def measure() -> list[Figure]:
    """Return milliseconds of a search, its median and 95th of 100, and seconds of a first one."""
    with folder() as place:
        full, empty = place / "full", place / "empty"
        stream = _Stream()
        agents = _conversations(stream)
        kept = list(_memories())
        files = {f"topics/{each.name}.md": render(each) for each in kept}
        stream.commit(
            "refs/heads/memory", {**files, INDEX: render_index([line_of(m) for m in kept])}, when=1
        )
        for path in (full, empty):
            path.mkdir()
            await GitCommand(path)("init", "-q", "--bare", str(path))
        await GitCommand(full)("fast-import", "--quiet", stdin=b"".join(stream.parts))
        async with Store(full) as store, Store(empty) as nothing:
            await _finish(store, agents)
            return await _figures(store, nothing, place / "cache")


async def _finish(store: Store, agents: dict[str, str]) -> None:
    """Put the references that are no commits; pack them, as a store of that age has them."""
    batch = store.batch()
    updates = [RefUpdate(ref, batch.blob(text.encode()), None) for ref, text in agents.items()]
    await batch.write()
    tree = (await store.get_commit(await store.full_id("refs/heads/memory"))).tree
    await store.update_refs(*updates, RefUpdate(ids.MEMORY_REF, tree, None))
    await store.run("pack-refs", "--all")


async def _figures(store: Store, nothing: Store, cache: Path) -> list[Figure]:
    began = time.perf_counter()
    assert await Recall(store, cache, "full", redact=str).search("parser", most=10)
    first = time.perf_counter() - began
    await Recall(nothing, cache, "empty", redact=str).search("parser", most=10)
    time.sleep(1.1)  # a folder that changed within a second is looked through again
    times: dict[str, list[float]] = {"full": [], "empty": []}
    for number in range(_TIMES):
        query = _QUERIES[number % len(_QUERIES)]
        for key, each in (("full", store), ("empty", nothing)):
            began = time.perf_counter()
            await Recall(each, cache, key, redact=str).search(query, most=10)
            times[key].append((time.perf_counter() - began) * 1_000)
    base = statistics.median(times["empty"])
    ordered = sorted(times["full"])
    return [
        Figure(Name.RECALL_FIRST, first, "s"),
        Figure(Name.RECALL_P50, statistics.median(ordered), "ms", base),
        Figure(Name.RECALL_P95, ordered[int(0.95 * len(ordered))], "ms", base),
    ]
