"""Writes docs/model.md: exactly what each role is told, made by the code that tells it.

`python -m tests.architecture.model_page` writes it anew.
"""

import asyncio
import json
import tempfile
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from pathlib import Path

import git

from activities.agent_setup import AgentSetup
from contracts.agent import AgentLimits, AgentStart
from contracts.baseline import Baseline, Survey, Surveyed
from contracts.checks import CheckResult, ChecksReport
from contracts.limits import RequestLimits
from contracts.merge_queue import Eviction, MergeVerdict
from contracts.planning import TaskSpec
from contracts.repository import RepositoryOpened
from contracts.request import RequestStart
from contracts.review import Finding, Patch, ReviewFinish, Verdict
from contracts.store import RepositoryRef
from contracts.subtask import SubtaskStart
from contracts.tools import CoderFinish
from contracts.worktrees import WorktreeLease
from domain.agent import inputs, loop, messages
from domain.agent.configuration import AgentConfiguration
from domain.planning import baseline as baselines
from domain.planning.plan import repair_message
from domain.review import rework, verdict
from infra.conversation.messages import filled
from infra.conversation.opening import definitions, file_list, opening
from infra.roles.files import RoleFiles
from infra.store import Store, trees
from infra.store.object_format import EMPTY_TREE
from infra.symbols.index import SymbolIndex

PAGE = Path(__file__).parents[2] / "docs" / "model.md"
FILES = {
    "AGENTS.md": "Run `make test` before you finish. Every change gets a line in CHANGES.md.\n",
    "CHANGES.md": "",
    "shop/__init__.py": "",
    "shop/price.py": "def price(cents):\n    return f'{cents / 100:.2f}'\n",
    "tests/test_price.py": "",
}
REQUEST = RequestStart(
    repository="/home/ann/shop", request="Prices get a currency.", checks=("make test",)
)
TASK = TaskSpec(
    id="add-currency",
    title="Add a currency to prices",
    goal="`price` takes a currency and shows it behind the amount.",
    writes=("shop/price.py", "tests/test_price.py"),
    acceptance=("python3 -m pytest tests/test_price.py",),
)
RED = CheckResult(command="make test", exit_code=2, seconds=1.0, tail="make: *** [test] Error 2")
HEAD = """# What each role is told
Made by `python -m tests.architecture.model_page` from the code that tells it, for a small example,
and kept current by `tests/architecture/test_model_page.py`. The roles' own files are
`infra/roles/*.md`; what a section of the first message says is written in `domain/agent/inputs.py`
and `infra/conversation/opening.py`.
"""


async def page() -> str:
    """Return the whole page."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        git.Repo.init(folder / "person").close()
        index = SymbolIndex(folder / "symbols")
        async with await Store.clone(folder / "person", folder / "shop.git") as store:
            parts = [part async for part in _parts(store, index, await starts_of(store))]
    return "\n".join([HEAD, *parts, *_later()]).rstrip() + "\n"


async def _parts(
    store: Store, index: SymbolIndex, starts: Sequence[AgentStart]
) -> AsyncIterator[str]:
    setup = AgentSetup(RoleFiles(), model_for=lambda _role: "claude-sonnet-5-5")
    for start in starts:
        configuration = setup.configure(start.role)
        symbols = await definitions(index, store, start.opening)
        files = await file_list(index, store, start.opening)
        first = await opening(store, start.opening, configuration.limits, files, symbols)
        (message,) = await filled(store, [first])
        yield "\n".join(_role(configuration, [block["text"] for block in message["content"]]))


def _role(configuration: AgentConfiguration, texts: Sequence[str]) -> Iterator[str]:
    yield f"## {configuration.role}\n### System prompt"
    yield _block(configuration.system)
    yield "### Tools"
    for tool in configuration.tools:
        yield f"- `{tool.name}`: {tool.definition['description']}"
        yield f"  `{json.dumps(tool.definition['input_schema'], ensure_ascii=False)}`"
    yield "\n### First message"
    yield from map(_block, texts)


def _later() -> Iterator[str]:
    yield "## What may follow"
    for title, text in _messages().items():
        yield f"### {title}\n{_block(text)}"


def _messages() -> Mapping[str, str]:
    report = ChecksReport(commit="1" * 40, tree="2" * 40, results=(RED,), log="3" * 40)
    finding = Finding(priority=1, title="No line in CHANGES.md", path="CHANGES.md")
    review = ReviewFinish(
        verdict=Verdict.REVISE, summary="One thing is missing.", findings=(finding,)
    )
    lacks = (
        "the acceptance command `pytset` of add-currency cannot run here: there is no `pytset`",
    )
    red = MergeVerdict(id="r/add-currency/0", eviction=Eviction.RED, reason="`make test` fails")
    conflict = MergeVerdict(
        id="r/add-currency/0", eviction=Eviction.CONFLICT, conflicts=("shop/price.py",)
    )
    return {
        "planner: the plan cannot be used": repair_message(["The plan has no tasks."]),
        "planner: commands that cannot run": baselines.lacking_message(lacks),
        "coder: the acceptance is red": rework.checks_feedback(report),
        "coder: sent back by the reviewer": verdict.feedback(review, review.findings),
        "coder: red on the merged tree": rework.eviction_feedback(red),
        "coder: a conflict": rework.eviction_feedback(conflict),
        "any: a note of the person": messages.note("Use the euro."),
        "any: a reply without a call": loop.GO_ON,
        "any: a note came while it finished": loop.FINISH_DEFERRED,
    }


async def starts_of(store: Store) -> list[AgentStart]:
    """Return how planner, coder and reviewer of the example begin."""
    base = await _commit(store, FILES, (), "Show prices")
    changed = await _commit(
        store, {"shop/price.py": "def price(cents, currency): ...\n"}, (base,), TASK.title
    )
    survey = Survey(
        date="2026-11-29",
        system="Debian GNU/Linux 12 (bookworm), x86_64",
        base=f"main at {base[:12]}",
        tools=("Python 3.13.1", "python", "git", "make", "pytest"),
        dependencies=("Python packages: pytest 9.0.1, pluggy 1.6.0",),
    )
    report = ChecksReport(commit=base, tree=base, results=(RED,), log=base)
    found = Baseline(
        commit=base,
        survey=await store.put_blob(survey.model_dump_json().encode()),
        red=(0,),
        problems=baselines.baseline(base, Surveyed(survey=base), [report]).problems,
    )
    repository = RepositoryRef(
        key="shop", request_key="r", target="t", environment=base, host_id="here"
    )
    lease = WorktreeLease(worktree="w1", epoch=1, host_id="here", commit=base)
    opened = RepositoryOpened(
        repository=repository, path=REQUEST.repository, base=base, base_name="main",
        branch="orchestcode/prices", files=len(FILES), limits=RequestLimits(),
    )  # fmt: skip
    task = SubtaskStart(
        request_id="request/prices", request=REQUEST.request, repository=repository, task=TASK,
        checks=REQUEST.checks, limits=AgentLimits(), queue_id="q", baseline=found,
        siblings=("tell-currency: Name the currency in the manual; writes docs/manual.md",),
    )  # fmt: skip
    patch = Patch(
        task=TASK.id, round=0, base=base, commit=changed, tree=changed, patch_id="p", files=1,
        added_lines=1, deleted_lines=2, paths=("shop/price.py",),
        diff=await store.put_blob(b"(the unified diff of shop/price.py)\n"),
    )  # fmt: skip
    passed = RED.model_copy(update={"command": TASK.acceptance[0], "exit_code": 0})
    offer = inputs.Offer(
        patch=patch, finish=CoderFinish(summary="Done."),
        checks=report.model_copy(update={"results": (passed,)}),
        says="`price` takes a currency.", earlier=(), notes=("Use the euro.",),
    )  # fmt: skip
    return [
        inputs.planner(
            "request/prices", REQUEST, opened, lease=lease, attempt=1,
            before=None, message=None, baseline=found, budget=3_300_000,
        ),
        inputs.coder(
            task, agent_id="coder", attempt=1, lease=lease, checkpoint=base, before=None,
            message=None, documents=(), notes=("Use the euro.",), budget=6_700_000,
        ),
        inputs.reviewer(
            task, agent_id="reviewer", attempt=1, lease=lease, offer=offer, budget=6_100_000
        ),
    ]  # fmt: skip


async def _commit(
    store: Store, files: Mapping[str, str], parents: tuple[str, ...], title: str
) -> str:
    entries = {
        path: ("100644", await store.put_blob(text.encode())) for path, text in files.items()
    }
    tree = await trees.with_paths(store, parents[0] if parents else EMPTY_TREE, entries)
    return await store.put_commit(tree, parents, title, when=1_764_374_400)


def _block(text: str) -> str:
    return f"````text\n{text.rstrip()}\n````"


if __name__ == "__main__":
    PAGE.write_text(asyncio.run(page()), "utf-8")
