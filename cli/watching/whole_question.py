"""The whole of what a person is asked: goals and acceptance, the diff, the arguments of a call."""

import json
from collections.abc import AsyncIterator, Iterator, Mapping
from typing import Any

from cli.client import RequestSummary
from cli.formatting import clean
from cli.kept import KeptOnHost, readable
from cli.plans import planned_tasks
from cli.views.whole import planned_lines
from contracts.approvals import Approval, ApprovalKind
from domain.text import Redact, for_people
from infra.kept.changes import Change
from infra.kept.request import KeptRequest

_MOST_BYTES = 64 << 20
_OLD_AND_NEW = (("old_str", "-"), ("new_str", "+"), ("file_text", "+"), ("insert_text", "+"))


async def whole_question(
    asked: Approval, request: RequestSummary, kept: KeptOnHost, redact: Redact
) -> list[str]:
    """Return a question with all that it is about, as lines for a pager."""
    head = [
        f"# {clean(asked.id, 200)}: {clean(asked.what, 1_000)}",
        *([f"# risk: {clean(asked.risk, 1_000)}"] if asked.risk else []),
        f"# why it is asked: {clean(asked.why, 1_000)}",
        "",
        *_text(asked.detail),
    ]
    found = await kept.find(request)
    if found is None:
        return [*head, "", "# The rest is in the store of its worker's host."]
    with readable(request):
        rest = [line async for line in _rest(asked, found)]
    return [redact(line) for line in (*head, *rest)]


async def _rest(asked: Approval, found: KeptRequest) -> AsyncIterator[str]:
    match asked.kind:
        case ApprovalKind.PLAN:
            # The log is read anew: what was read of it so far stays read for others.
            turns = await KeptRequest(found.store, found.key).new_turns()
            for task in planned_tasks(turns):
                yield ""
                for line in planned_lines(task):
                    yield line
        case ApprovalKind.DELIVERY:
            change = await found.request_change()
            for line in await _change(change) if change else ():
                yield line
        case _ if asked.artefact:
            text = (await found.store.get_blob(asked.artefact)).decode("utf-8", "replace")
            yield ""
            for line in _arguments(text) if asked.kind is ApprovalKind.TOOL else _text(text):
                yield line


async def _change(change: Change) -> list[str]:
    text, cut = await change.text(_MOST_BYTES)
    end = [f"# cut after {_MOST_BYTES >> 20} MB"] if cut else []
    return ["", *_text(await change.diffstat()), "", *_text(text), *end]


def _text(text: str) -> list[str]:
    return for_people(text, len(text)).rstrip("\n").split("\n") if text.strip() else []


def _arguments(text: str) -> Iterator[str]:
    """Yield the arguments of a call: of an edit what goes and what comes, each line whole.

    A patch is shown as it is.
    """
    try:
        given = json.loads(text)
    except ValueError:
        given = None
    if not isinstance(given, Mapping):
        yield from _text(text)
        return
    shown = {"edits", "patch", *(name for name, _ in _OLD_AND_NEW)}
    yield from (f"{name}: {_value(value)}" for name, value in given.items() if name not in shown)
    yield from _old_and_new(given)
    for each in given.get("edits") or ():
        yield ""
        yield from _old_and_new(each)
    yield from _text(str(given.get("patch") or ""))


def _old_and_new(given: Mapping[str, Any]) -> Iterator[str]:
    for name, mark in _OLD_AND_NEW:
        if isinstance(value := given.get(name), str):
            yield from (f"{mark}{line}" for line in _text(value))


def _value(value: Any) -> str:  # noqa: ANN401, RUF100 - any JSON
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return for_people(text, len(text))
