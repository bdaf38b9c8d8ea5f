"""The memories of a repository as a person sees and changes them, in the store of this host.

The store is changed by compare-and-swap, so that agents may propose and be told meanwhile.
"""

import contextlib
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from cli.client import RequestSummary
from cli.command_words import command_line
from cli.context import CliContext
from cli.exit_codes import ExitCode, UsageError
from cli.formatting import clean, name
from cli.kept import KeptOnHost, readable
from cli.repository_folder import repository_folder
from cli.views import memories as view
from domain.text import Redact
from infra.memory.kept_memories import (
    Memories,
    Memory,
    MemoryState,
    Recall,
    RecallError,
    StoreError,
    open_store,
    recall_cache,
    repository_store,
)
from runtime.redaction import redactor
from runtime.settings import load


@dataclass(frozen=True)
class _Opened:
    """The memories of the repository that is meant, and the search of them."""

    memories: Memories
    recall: Recall
    redact: Redact


@asynccontextmanager
async def _opened(repo: str | None, context: CliContext) -> AsyncIterator[_Opened]:
    """Open the store of a repository for as long as the block lasts."""
    settings = load(context.environ)
    redact = redactor(settings.secrets())
    folder = repository_folder(repo, context)
    key = repository_store(settings.stores, Path(folder))
    if key is None:
        raise UsageError(
            f"Nothing of {name(folder)} is kept on this host: no request has worked on it with "
            "this ORCHESTCODE_HOME."
        )
    try:
        async with open_store(settings.stores, key) as store:
            cache = recall_cache(settings.home)
            recall = Recall(
                store, cache, key, redact=redact, reading=lambda count: _reading(count, context)
            )
            yield _Opened(Memories(store, redact), recall, redact)
    except (StoreError, RecallError) as error:
        raise UsageError(f"The memories cannot be read: {clean(str(error), 500)}") from error


def _reading(count: int, context: CliContext) -> None:
    context.print_err(f"Reading {count:,} conversations for the search, once ...")


async def proposals_hint(
    kept: KeptOnHost, request: RequestSummary, context: CliContext
) -> list[str]:
    """Return what to type when memories that a request's agents proposed wait; else nothing."""
    with contextlib.suppress(UsageError):
        found = await kept.find(request)
        with readable(request):
            opened = await found.opened() if found else None
            if found is None or opened is None:
                return []
            waiting = await Memories(found.store, str).waiting()
        count = sum(each.request == request.id for each in waiting)
        see = command_line(context.program, "memory", "list", "--repo", opened.path)
        if count:
            return [f"{view.how_many_wait(count)} to be accepted: {see}"]
    return []


async def show_list(
    repo: str | None, *, waiting: bool, as_json: bool, context: CliContext
) -> ExitCode:
    """Print what waits, and what is accepted."""
    async with _opened(repo, context) as opened:
        kept = await opened.memories.kept()
        proposals = await opened.memories.waiting()
    shown = MemoryState(used=kept.used) if waiting else kept
    if as_json:
        documents = view.documents(proposals, shown, opened.redact)
        context.print_out(json.dumps(documents, indent=2, ensure_ascii=False))
        return ExitCode.DELIVERED
    context.print_prose(*view.listed(proposals, shown, opened.redact, now=context.now()))
    if proposals:
        first = proposals[0].name
        context.print_err(
            f"To see one:   {command_line(context.program, 'memory', 'show', first)}",
            f"To accept it: {command_line(context.program, 'memory', 'accept', first)}",
        )
    return ExitCode.DELIVERED


async def show_one(
    begins: str, repo: str | None, *, as_json: bool, context: CliContext
) -> ExitCode:
    """Print one memory whole."""
    async with _opened(repo, context) as opened:
        kept = await opened.memories.kept()
        memory = await _found(opened.memories, kept, begins)
    if as_json:
        document = view.document(memory, kept, opened.redact)
        context.print_out(json.dumps(document, indent=2, ensure_ascii=False))
    else:
        context.print_prose(*view.whole(memory, kept, opened.redact))
    return ExitCode.DELIVERED


async def accept(begins: str, repo: str | None, *, context: CliContext) -> ExitCode:
    """Accept what waits."""
    async with _opened(repo, context) as opened:
        kept = await opened.memories.kept()
        chosen = _named(begins, kept.waiting) or _named(begins, tuple(kept.accepted)) or begins
        by = f"person {context.user}".strip()
        accepted = await opened.memories.accept(chosen, by=by, now=int(context.now()))
        if isinstance(accepted, str):
            raise UsageError(clean(accepted))
    context.print_out(f"{accepted.name} is accepted; agents that start from now on are told it.")
    return ExitCode.DELIVERED


async def reject(begins: str, repo: str | None, *, context: CliContext) -> ExitCode:
    """Reject what waits."""
    async with _opened(repo, context) as opened:
        kept = await opened.memories.kept()
        chosen = _named(begins, kept.waiting)
        if chosen is None or not await opened.memories.decline(chosen):
            forget = command_line(context.program, "memory", "forget", begins)
            there = _named(begins, tuple(kept.accepted))
            hint = f" It is accepted; to forget it: {forget}" if there else ""
            raise UsageError(f"Nothing waits as {clean(begins, 80)}.{hint}")
    context.print_out(f"{chosen} is rejected and will not be proposed again.")
    return ExitCode.DELIVERED


async def forget(begins: str, repo: str | None, *, context: CliContext) -> ExitCode:
    """Forget what is accepted."""
    async with _opened(repo, context) as opened:
        kept = await opened.memories.kept()
        chosen = _named(begins, tuple(kept.accepted))
        if chosen is None or not await opened.memories.decline(chosen):
            reject = command_line(context.program, "memory", "reject", begins)
            hint = f" It waits; to reject it: {reject}" if _named(begins, kept.waiting) else ""
            raise UsageError(f"There is no accepted memory {clean(begins, 80)}.{hint}")
        await opened.recall.forget_memories()
    context.print_out(
        f"{chosen} is forgotten: no agent is told it any more. `gc` removes its text from the disk."
    )
    return ExitCode.DELIVERED


async def search(
    words: str, repo: str | None, *, most: int, as_json: bool, context: CliContext
) -> ExitCode:
    """Print where words stand in memories and conversations."""
    if not words.strip():
        raise UsageError("WORDS are missing: what is to be searched?")
    async with _opened(repo, context) as opened:
        hits = await opened.recall.search(words, most=most)
    if as_json:
        documents = [view.hit_document(hit, opened.redact) for hit in hits]
        context.print_out(json.dumps(documents, indent=2, ensure_ascii=False))
    elif hits:
        context.print_prose(*view.found(hits, opened.redact, now=context.now()))
        context.print_err(*view.see_command(context.program, hits))
    else:
        context.print_out("Nothing was found.")
    return ExitCode.DELIVERED


async def _found(memories: Memories, kept: MemoryState, begins: str) -> Memory:
    """Return the memory that is meant, waiting or accepted."""
    chosen = _named(begins, (*kept.waiting, *kept.accepted))
    memory = None
    if chosen is not None:
        memory = await memories.proposal(chosen) or await memories.topic(chosen)
    if memory is None:
        raise UsageError(f"There is no memory {clean(begins, 80)}; `memory list` shows them.")
    return memory


def _named(begins: str, names: tuple[str, ...]) -> str | None:
    """Return the name that is meant by it or by an unambiguous beginning; None for none.

    Raises:
        UsageError: several begin so.
    """
    if begins in names:
        return begins
    found = sorted(each for each in set(names) if each.startswith(begins)) if begins else []
    if len(found) > 1:
        raise UsageError(f"Several memories begin so: {', '.join(found[:5])}.")
    return found[0] if found else None
