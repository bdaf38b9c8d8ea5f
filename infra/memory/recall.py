"""Search of one store's memories and conversations, by an index in the home's cache (SQLite FTS5).

The index is nothing but a cache: what it lacks is read from the store before each search, what the
store has no more is taken out of it, and a damaged one is made again. It holds no secret.
"""

import asyncio
import contextlib
import sqlite3
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Final, TypeVar

from contracts.spending import AgentOpened
from domain import ids
from domain.memory import recall
from domain.memory.memory import TOPICS, parse
from domain.memory.recall import Hit
from domain.text import Redact
from infra.memory.memories import Memories
from infra.memory.passages import Passage, new_passages
from infra.store import Store

VERSION: Final = 1
"""Of what the index holds; another one begins anew."""
_BUSY_SECONDS: Final = 5.0
_AT_ONCE: Final = 40
"""Conversations read before they are written: a kill loses no more."""
_LOOKED_AT: Final = 40
"""Hits of a query that are ranked."""
_COMPARED: Final = 2_000
"""Where more texts hold the words, the newest are compared."""
_YOUNG_NS: Final = 1_000_000_000
"""A folder that changed so lately may change again within the same tick of its clock."""
_CONVERSATIONS: Final = "refs/oc/conv"
_SCHEMA: Final = (
    "CREATE TABLE IF NOT EXISTS marks (name TEXT PRIMARY KEY, value TEXT NOT NULL);"
    "CREATE TABLE IF NOT EXISTS conversations "
    "(name TEXT PRIMARY KEY, head TEXT NOT NULL, request TEXT NOT NULL);"
    "CREATE TABLE IF NOT EXISTS entries (id INTEGER PRIMARY KEY, memory TEXT NOT NULL, "
    "conversation TEXT NOT NULL, object TEXT NOT NULL, agent TEXT NOT NULL, title TEXT NOT NULL, "
    "turn INTEGER NOT NULL, at REAL NOT NULL);"
    "CREATE INDEX IF NOT EXISTS by_conversation ON entries (conversation);"
    "CREATE UNIQUE INDEX IF NOT EXISTS once ON entries (memory, conversation, object);"
    "CREATE VIRTUAL TABLE IF NOT EXISTS memory_texts USING fts5 "
    "(title, text, tokenize = 'porter unicode61');"
    "CREATE VIRTUAL TABLE IF NOT EXISTS turn_texts USING fts5 "
    "(text, tokenize = 'porter unicode61');"
)
_BEST: Final = (
    "SELECT id, score FROM (SELECT rowid AS id, bm25({table}{weights}) AS score FROM {table} "
    "WHERE {table} MATCH ? {scope} ORDER BY rowid DESC LIMIT ?) ORDER BY score LIMIT ?"
)
_OF_REQUEST: Final = (
    "AND rowid IN (SELECT e.id FROM entries e JOIN conversations c ON c.name = e.conversation "
    "WHERE c.request = ?)"
)
_ROWS: Final = (
    "SELECT e.memory, e.conversation, e.agent, e.title, e.turn, e.at, t.text, e.id "
    "FROM entries e JOIN {table} t ON t.rowid = e.id WHERE e.id IN ({marks})"
)

Result = TypeVar("Result")


class RecallError(Exception):
    """The index cannot be used; the text says why."""


def recall_cache(home: Path) -> Path:
    """Return the folder of all indexes of a home."""
    return home / "cache" / "recall"


def discard(cache: Path, key: str) -> None:
    """Delete the index of a repository; it is made again once it is needed."""
    for file in cache.glob(f"{key}.*"):
        with contextlib.suppress(OSError):
            file.unlink()


class Recall:
    """The search of one repository.

    Args:
        cache: the folder of all indexes.
        key: the repository's.
        redact: takes secrets out of what is written into the index.
        reading: told how many conversations will be read, where that takes a while.
    """

    def __init__(
        self,
        store: Store,
        cache: Path,
        key: str,
        *,
        redact: Redact,
        reading: Callable[[int], None] = lambda _count: None,
    ) -> None:
        self._store = store
        self._file = cache / f"{key}.{VERSION}"
        self._redact = redact
        self._reading = reading
        self._memories = Memories(store, redact)

    async def search(self, query: str, *, most: int, request: str | None = None) -> list[Hit]:
        """Return the best hits: memories first, then turns of conversations, `most` of each.

        Args:
            query: words; those of other languages too.
            most: hits of each kind.
            request: key of the request whose conversations are searched; None for those of all.

        Raises:
            RecallError: the index cannot be used.
        """
        words = recall.words_of(query)
        if not words:
            return []
        await self._refresh(request)
        used = await self._memories.used()
        found = await self._run(lambda database: _search(database, words, request))
        hits = [
            Hit(*row, used=sum((used[row[0]].given, used[row[0]].read)) if row[0] in used else 0)
            for row in found
        ]
        now = time.time()
        memories = recall.ranked([hit for hit in hits if hit.memory], now=now, most=most)
        turns = recall.ranked([hit for hit in hits if not hit.memory], now=now, most=most)
        best = (*memories, *turns)
        return [replace(hit, passage=recall.passage(hit.passage, words)) for hit in best]

    async def forget_memories(self) -> None:
        """Take memories that are gone out of the index, if there is one."""
        if not self._file.exists():
            return
        try:
            await self._refresh_memories(await self._run(_marks))
        except RecallError:
            self._file.unlink(missing_ok=True)

    # ---- bringing the index up to date

    async def _refresh(self, request: str | None) -> None:
        marks = await self._run(_marks)
        await self._refresh_memories(marks)
        if request is not None:
            await self._refresh_conversations(await self._agents_of(request), whole=False)
            return
        mark = self._mark()
        if mark and mark == marks.get("conversations"):
            return
        known = await self._run(_known_conversations)
        heads = await self._store.refs(_CONVERSATIONS)
        by_name = {ref.rpartition("/")[2]: head for ref, head in heads.items()}
        fresh = {name for name, head in by_name.items() if known.get(name) != head}
        agents = await self._agents(fresh) if fresh else {}
        gone = known.keys() - by_name.keys()
        await self._refresh_conversations(agents, whole=True, gone=gone)
        await self._run(lambda database: _note(database, "conversations", mark))

    def _mark(self) -> str:
        """Return what changes whenever a conversation does; "" while it cannot be told yet."""
        times = []
        for place in (_CONVERSATIONS, "packed-refs"):
            try:
                stat = (self._store.path / place).stat()
            except FileNotFoundError:
                times.append(0)
            else:
                times += [stat.st_mtime_ns, stat.st_ino]
        young = time.time_ns() - max(times) < _YOUNG_NS
        return "" if young else " ".join(map(str, times))

    async def _refresh_memories(self, marks: Mapping[str, str]) -> None:
        tree = self._store.ref(ids.MEMORY_REF) or ""
        if marks.get("memories", "") == tree:
            return
        folder = await self._store.entry_at(tree, TOPICS) if tree else None
        rows = await self._store.get_tree(folder.oid) if folder else ()
        there = {row.name.removesuffix(".md"): row.oid for row in rows}
        known = await self._run(_known_memories)
        fresh = [name for name, oid in there.items() if known.get(name) != oid]
        found = []
        for name in fresh:
            memory = parse((await self._store.get_blob(there[name])).decode())
            if memory is not None:
                text = self._redact(f"{memory.text}\n{memory.evidence}")
                title = self._redact(memory.description)
                who = f"{memory.request} {memory.agent}".strip()
                found.append((name, there[name], who, title, memory.modified, text))
        gone = [name for name, oid in known.items() if there.get(name) != oid]

        def write(database: sqlite3.Connection) -> None:
            _remove_memories(database, gone)
            for name, oid, who, title, at, text in found:
                _add(database, (name, "", oid, who, title, 0, float(at)), text)
            _note(database, "memories", tree)

        await self._run(write)

    async def _agents_of(self, request: str) -> dict[str, tuple[str, AgentOpened]]:
        refs = await self._store.refs(ids.agent_refs(request))
        return {
            ref.rpartition("/")[2]: (request, await self._agent(oid)) for ref, oid in refs.items()
        }

    async def _agents(self, names: Collection[str]) -> dict[str, tuple[str, AgentOpened]]:
        """Return the request and the agent of conversations by their names, of those noted yet."""
        form = "--format=%(refname) %(objectname)"
        rows = (await self._store.run("for-each-ref", form, "refs/oc/*/agent/*", reads=True)).text
        found = {}
        for row in rows.splitlines():
            ref, _, oid = row.partition(" ")
            _, _, request, _, name = ref.split("/", 4)
            if name in names:
                found[name] = (request, await self._agent(oid))
        return found

    async def _agent(self, oid: str) -> AgentOpened:
        return AgentOpened.model_validate_json(await self._store.get_blob(oid))

    async def _refresh_conversations(
        self,
        agents: Mapping[str, tuple[str, AgentOpened]],
        *,
        whole: bool,
        gone: Collection[str] = (),
    ) -> None:
        """Read what is new of these conversations, and take out those that are gone."""
        known = await self._run(_known_conversations)
        heads = {name: self._store.ref(ids.conversation_ref(name)) or "" for name in agents}
        changed = [name for name in agents if heads[name] and known.get(name) != heads[name]]
        if gone:
            await self._run(lambda database: _remove_conversations(database, gone))
        if whole and len(changed) > _AT_ONCE:
            self._reading(len(changed))
        # The oldest first: of many turns that fit, those that were read last are compared.
        order = sorted(changed, key=lambda name: agents[name][1].opened)
        for start in range(0, len(order), _AT_ONCE):
            await self._read({name: agents[name] for name in order[start : start + _AT_ONCE]})

    async def _read(self, agents: Mapping[str, tuple[str, AgentOpened]]) -> None:
        parts: list[tuple[str, str, str, AgentOpened, list[Passage]]] = []
        for name, (request, agent) in agents.items():
            head = self._store.ref(ids.conversation_ref(name))
            known = await self._run(partial(_known_turns, conversation=name))
            if head is not None:
                passages = await new_passages(self._store, agent, known)
                parts.append((name, head, request, agent, passages))

        def write(database: sqlite3.Connection) -> None:
            for name, head, request, agent, passages in parts:
                database.execute(
                    "INSERT OR REPLACE INTO conversations VALUES (?, ?, ?)", (name, head, request)
                )
                for each in passages:
                    row = ("", name, each.commit, agent.agent, agent.role, each.turn, each.at)
                    _add(database, row, self._redact(each.text))

        await self._run(write)

    # ---- the file

    async def _run(self, work: Callable[[sqlite3.Connection], Result]) -> Result:
        return await asyncio.to_thread(self._with_database, work)

    def _with_database(self, work: Callable[[sqlite3.Connection], Result]) -> Result:
        try:
            with _opened(self._file) as database:
                return work(database)
        except (sqlite3.OperationalError, OSError) as error:
            raise RecallError(f"the index of the search cannot be used: {error}") from error
        except sqlite3.DatabaseError:
            # Damaged: it is nothing but a cache. What is missing is read again.
            self._file.unlink(missing_ok=True)
        try:
            with _opened(self._file) as database:
                return work(database)
        except sqlite3.Error as error:
            raise RecallError(f"the index of the search cannot be used: {error}") from error


@contextlib.contextmanager
def _opened(file: Path) -> Iterator[sqlite3.Connection]:
    """Lend a connection inside a transaction."""
    file.parent.mkdir(parents=True, exist_ok=True)
    database = sqlite3.connect(file, timeout=_BUSY_SECONDS)
    try:
        database.execute("PRAGMA synchronous = OFF")
        # What is forgotten leaves no trace in the file.
        database.execute("PRAGMA secure_delete = ON")
        database.executescript(_SCHEMA)
        with database:
            yield database
    finally:
        database.close()


Row = tuple[str, str, str, str, str, int, float]
Found = tuple[str, str, str, str, int, float, str, float]


def _add(database: sqlite3.Connection, row: Row, text: str) -> None:
    """Add an entry: memory, conversation, object, agent, title, turn, at; and its text.

    One that another process has added meanwhile stays as it is.
    """
    cursor = database.execute(
        "INSERT OR IGNORE INTO entries (memory, conversation, object, agent, title, turn, at) "
        "VALUES (?, ?, ?, ?, ?, ?, ?)",
        row,
    )
    added = cursor.lastrowid
    if not cursor.rowcount:
        return
    if row[0]:
        values = (added, f"{row[4]} {row[0]}", text)
        database.execute("INSERT INTO memory_texts (rowid, title, text) VALUES (?, ?, ?)", values)
    else:
        database.execute("INSERT INTO turn_texts (rowid, text) VALUES (?, ?)", (added, text))


def _remove_memories(database: sqlite3.Connection, names: Collection[str]) -> None:
    for name in names:
        _remove(database, "memory_texts", "memory", name)
    if names:
        _forget_words(database, "memory_texts")


def _remove_conversations(database: sqlite3.Connection, names: Collection[str]) -> None:
    for name in names:
        _remove(database, "turn_texts", "conversation", name)
        database.execute("DELETE FROM conversations WHERE name = ?", (name,))
    if names:
        _forget_words(database, "turn_texts")


def _remove(database: sqlite3.Connection, table: str, column: str, name: str) -> None:
    chosen = f"SELECT id FROM entries WHERE {column} = ?"  # noqa: S608 - names of ours
    database.execute(f"DELETE FROM {table} WHERE rowid IN ({chosen})", (name,))  # noqa: S608
    database.execute(f"DELETE FROM entries WHERE {column} = ?", (name,))  # noqa: S608


def _forget_words(database: sqlite3.Connection, table: str) -> None:
    """Merge the table's segments, so that none keeps words of what is gone."""
    database.execute(f"INSERT INTO {table} ({table}) VALUES ('optimize')")  # noqa: S608


def _note(database: sqlite3.Connection, name: str, value: str) -> None:
    database.execute("INSERT OR REPLACE INTO marks VALUES (?, ?)", (name, value))


def _marks(database: sqlite3.Connection) -> dict[str, str]:
    return dict(database.execute("SELECT name, value FROM marks").fetchall())


def _known_conversations(database: sqlite3.Connection) -> dict[str, str]:
    """Return the heads of the conversations that were read, by name."""
    return dict(database.execute("SELECT name, head FROM conversations").fetchall())


def _known_memories(database: sqlite3.Connection) -> dict[str, str]:
    """Return the object ids of the memories that were read, by name."""
    rows = database.execute("SELECT memory, object FROM entries WHERE memory != ''")
    return dict(rows.fetchall())


def _known_turns(database: sqlite3.Connection, conversation: str) -> set[str]:
    rows = database.execute("SELECT object FROM entries WHERE conversation = ?", (conversation,))
    return {oid for (oid,) in rows}


def _search(database: sqlite3.Connection, words: Sequence[str], request: str | None) -> list[Found]:
    """Return the rows of hits, each with its whole text in the place of its passage.

    Those that hold all words, else those that hold any.
    """
    memories = _BEST.format(table="memory_texts", weights=", 4.0, 1.0", scope="")
    scope = "" if request is None else _OF_REQUEST
    turns = _BEST.format(table="turn_texts", weights="", scope=scope)
    return [
        *_best(database, "memory_texts", memories, words, ()),
        *_best(database, "turn_texts", turns, words, () if request is None else (request,)),
    ]


def _best(
    database: sqlite3.Connection,
    table: str,
    query: str,
    words: Sequence[str],
    scope: tuple[str, ...],
) -> list[Found]:
    limits = (_COMPARED, _LOOKED_AT)
    for match in (recall.match_all(words), recall.match_any(words)):
        if scores := dict(database.execute(query, (match, *scope, *limits)).fetchall()):
            rows = _ROWS.format(table=table, marks=",".join("?" * len(scores)))
            found = database.execute(rows, tuple(scores))
            return [(*row[:7], -scores[row[7]]) for row in found]
    return []
