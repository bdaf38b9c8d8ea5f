"""Record the histories that the suite replays: `make record`, or `python -m tests.replay.record`.

Real requests (Temporal server, worker, git, sandbox, rehearsed model) take every workflow along its
main paths; each run's history is written to `histories/<Workflow>/<case>.json`. The case begins
with the request's name. Nothing of this machine is kept: fixed folder, no host name, no identity.
"""

import asyncio
import base64
import contextlib
import fcntl
import json
import os
import re
import shutil
import socket
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from temporalio.client import (
    Client,
    WorkflowExecution,
    WorkflowHistory,
    WorkflowUpdateFailedError,
)

from domain import ids
from infra.kept.request import KeptRequests
from infra.kept.task_turns import TaskTurn
from runtime.services.child_process import end_process
from tests import model_scripts
from tests.local_deployment import ROOT, Handle, LocalDeployment, until
from tests.model_scripts import Json

HISTORIES = Path(__file__).resolve().parent / "histories"
FOLDER = Path("/tmp/orchestcode-record")
SLOW = 1_500
"""Milliseconds that a model thinks where something has to happen meanwhile."""
_Starts = Callable[..., Awaitable[Handle]]
_Part = tuple[
    Callable[[], tuple[list[Json], ...]],
    Callable[[LocalDeployment, _Starts], Awaitable[None]],
    tuple[str, ...],
]
EARLY = {"limit.historyCount.suggestContinueAsNew": "30"}
"""Server configuration by which runs continue as new after a few turns."""
_BLANK = {"identity": "recorder", "stackTrace": ""}
_CHECK = "true"


@contextlib.asynccontextmanager
async def _recording(
    script: Json, *, server_config: Mapping[str, str] | None = None
) -> AsyncIterator[LocalDeployment]:
    """Bring a deployment up in the one folder, on the one host, whose names histories may hold."""
    with FOLDER.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # a second recorder waits
        shutil.rmtree(FOLDER, ignore_errors=True)
        FOLDER.mkdir(mode=0o700)
        async with LocalDeployment(
            script, services=False, server_config=server_config, folder=FOLDER
        ) as deployment:
            deployment.settings.ensure_home()
            deployment.settings.host_id_file.write_text("recorder\n")
            await deployment.start_server()
            await deployment.start_worker()
            yield deployment


def _task(name: str, **more: Any) -> model_scripts.Task:
    return model_scripts.writes_file(name, f"{name}.txt", f"{name}\n", **more)


def _main_script() -> Json:
    refusal = model_scripts.turn(say="I would rather not.", stop="refusal")
    slow: Json = {"delay_ms": SLOW}
    late = model_scripts.Task(
        id="late",
        # Green alone and red beside `first`, until the agent has met it and adds a file.
        acceptance=("test ! -e first.txt || test -e both.txt",),
        writes=("late.txt", "both.txt"),
        coder=(
            model_scripts.turn(model_scripts.create("late.txt", "late\n"), **slow),
            model_scripts.done(**slow),
            model_scripts.turn(model_scripts.create("both.txt", "both\n")),
            model_scripts.done(),
        ),
    )
    careless = model_scripts.Task(
        id="careless",
        acceptance=("test -e careless.txt && test -e more.txt",),
        writes=("careless.txt", "more.txt"),
        coder=(
            model_scripts.turn(
                model_scripts.create("careless.txt", "1\n"),
                model_scripts.command("cat careless.txt"),
            ),
            model_scripts.done(),
            model_scripts.turn(model_scripts.create("more.txt", "2\n")),
            model_scripts.done(),
        ),
    )
    protected = model_scripts.Task(
        id="protected",
        writes=(".envrc",),
        coder=(model_scripts.turn(model_scripts.create(".envrc", "x=1\n")), model_scripts.done()),
    )
    refusing = model_scripts.Task(id="refusing", writes=("no.txt",), coder=(refusal,))
    planner = (model_scripts.plan_of([_task("one")]), model_scripts.plan_of([_task("two")]))
    return model_scripts.script(
        model_scripts.play(
            "happy", _task("one"), _task("two"), _task("three", depends_on=("one",))
        ),
        model_scripts.demo("reworked"),
        model_scripts.play("red", careless),
        model_scripts.play("approved", _task("one")),
        model_scripts.play("rejected", _task("one")),
        model_scripts.play("revised", _task("one"), _task("two"), planner=planner),
        model_scripts.play("asked", protected),
        model_scripts.play("evicted", _task("first"), late),
        model_scripts.play(
            "failed", refusing, _task("blocked", depends_on=("refusing",)), _task("fine")
        ),
        model_scripts.play("fallback", _task("task-1"), planner=(refusal,)),
        model_scripts.play("noted", _task("one", delay_ms=SLOW)),
        model_scripts.play(
            "told", _task("one"), planner=(model_scripts.plan_of([_task("one")], **slow),)
        ),
        model_scripts.play("installed", _task("one")),
        model_scripts.play("uninstalled", _task("one")),
        model_scripts.play("provided", _provided_task()),
        model_scripts.play("withdrawn", _task("one")),
        model_scripts.play("cancelled", _task("one"), _task("two", delay_ms=10 * SLOW)),
        model_scripts.play("odd", *_odd_tasks(refusal)),
        *_retried_plays(refusal),
        *turn_plays(),
        *window_plays(),
        *goal_plays(),
        *approval_plays(),
    )


def approval_plays() -> tuple[list[Json], ...]:
    """Return a request one of whose commands asks, and then does not ask again."""
    writes = model_scripts.turn(model_scripts.command("touch one.txt"))
    task = model_scripts.Task(
        id="one", writes=("one.txt",), coder=(writes, writes, model_scripts.done())
    )
    return (model_scripts.play("allowed", task),)


def window_plays() -> tuple[list[Json], ...]:
    """Return a request whose agent has three windows, and one whose task a person takes over."""
    turn, create, done = model_scripts.turn, model_scripts.create, model_scripts.done
    look, full = model_scripts.view("one.txt"), {"input_tokens": 115_000}
    over = turn({"tool": "handoff", "input": {"state": "It goes on.", "decisions": "One file."}})
    first = turn(create("one.txt", "1\n"))

    def fresh(told: str, *turns: Json) -> Json:
        match = {"role": "coder", "request": "request/windowed*", "contains": told}
        return {"match": match, "turns": list(turns)}

    windows = (
        fresh("[w2] the window was nearly full", turn(create("two.txt", "2\n")), done()),
        fresh("[w1] the agent asked", turn(look), turn(look), turn(look, usage=full), over),
    )
    long = model_scripts.Task(
        id="one",
        writes=("one.txt", "two.txt"),
        coder=(first, turn(look), turn(look), turn(look), over),
    )
    back = {"role": "coder", "request": "request/taken*", "agent": "*/rollback-*"}
    late = turn(create("two.txt", "2\n"), delay_ms=20 * SLOW)
    given = model_scripts.Task(id="one", writes=("one.txt", "two.txt"), coder=(first, late, done()))
    return (
        [*windows, *model_scripts.play("windowed", long)],
        [{"match": back, "turns": [first, done()]}, *model_scripts.play("taken", given)],
    )


def turn_plays() -> tuple[list[Json], ...]:
    """Return requests whose tasks go on from a turn, and one that another one follows."""
    turn, create, done = model_scripts.turn, model_scripts.create, model_scripts.done
    first = turn(create("one.txt", "1\n"))

    def back(request: str, agent: str, name: str, *turns: Json) -> Json:
        who = {"role": "coder", "request": f"request/{request}*", "task": name, "agent": agent}
        return {"match": who, "turns": [first, *turns]}

    def task(*turns: Json) -> model_scripts.Task:
        return model_scripts.Task(
            id="one", writes=("one.txt", "two.txt"), coder=(first, *turns, done())
        )

    late = turn(create("two.txt", "2\n"), delay_ms=10 * SLOW)
    beside = turn(create("two.txt", "2\n"), delay_ms=4 * SLOW)
    reviewer = {"role": "reviewer", "request": "request/forked*", "task": "one-fork"}
    otherwise = back("forked", "*", "one-fork", turn(create("two.txt", "two\n")), done())
    approves = {"match": reviewer, "turns": [model_scripts.approves()]}
    lost = task(turn(create("two.txt", "2\n")), turn(create("no.txt", ""), delay_ms=2 * SLOW))
    return (
        [
            back("rolled", "*/rollback-1-1-*", "one", done()),
            *model_scripts.play("rolled", task(late)),
        ],
        [otherwise, approves, *model_scripts.play("forked", task(beside))],
        [back("damaged", "*/rollback-2-1-*", "one", done()), *model_scripts.play("damaged", lost)],
        model_scripts.play("followed", _task("one")),
        model_scripts.play("following", _task("two")),
    )


def goal_plays() -> tuple[list[Json], ...]:
    """Return requests with a goal, reached and missed, and one whose agent is stuck."""
    one = model_scripts.plan_of([_task("one")])
    two = model_scripts.Task(id="round-2", coder=_task("two").coder)
    no_way = model_scripts.finish(summary="No.", answer="I see no better way.")
    return (
        model_scripts.play("until", _task("one"), two, planner=[one]),
        model_scripts.play("missed", _task("one"), planner=[one]),
        [*_stuck("stuck", model_scripts.turn(no_way)), *model_scripts.play("stuck", _task("one"))],
        *replanning_plays(),
    )


def _stuck(request: str, planner: Json) -> list[Json]:
    """Return the casts of a request whose task `one` gets stuck, and of the planner then asked."""
    circles = model_scripts.turn(model_scripts.command("cat README.md"))
    who = {"request": f"request/{request}*", "task": "one"}
    return [
        {"match": {"role": "coder", "agent": "*/coder-1", **who}, "turns": [circles] * 12},
        {"match": {"role": "planner", **who}, "turns": [planner]},
    ]


def replanning_plays() -> tuple[list[Json], ...]:
    """Return a request in which two tasks take the place of one whose agent is stuck."""
    tasks = (_task("first"), _task("second", depends_on=("first",)))
    plan = model_scripts.plan_of([_task("one"), _task("after", depends_on=("one",))])
    after = _task("after")
    play = model_scripts.play("replanned", _task("one"), after, *tasks, planner=[plan])
    return ([*_stuck("replanned", model_scripts.plan_of(tasks)), *play],)


def _provided_task() -> model_scripts.Task:
    """Return a task whose agent is refused a dependency, asks again and gets it."""
    asks = model_scripts.install("The task needs it.")
    return model_scripts.Task(
        id="one",
        writes=("names",),
        coder=(
            model_scripts.turn(model_scripts.command("echo two > names"), asks),
            model_scripts.turn(asks),
            model_scripts.done(),
        ),
        acceptance=("cmp names node_modules/names",),
    )


def _retried_plays(refusal: Json) -> tuple[list[Json], ...]:
    """Return requests that go on in a second attempt: one task failed, one request cancelled."""
    again = {"role": "coder", "request": "request/retried*", "agent": "*/retry-2/*"}
    mends = (model_scripts.turn(model_scripts.create("more.txt", "1\n")), model_scripts.done())
    bad = model_scripts.Task(
        id="bad",
        writes=("bad.txt", "more.txt"),
        acceptance=("test -e more.txt",),
        coder=(model_scripts.turn(model_scripts.create("bad.txt", "1\n")), refusal),
    )
    after = _task("after", depends_on=("bad",))
    retried = model_scripts.play("retried", _task("one"), bad, after)
    slow = _task("two", depends_on=("one",), delay_ms=4 * SLOW)
    return (
        [{"match": again, "turns": list(mends)}, *retried],
        model_scripts.play("resumed", _task("one"), slow),
    )


def _odd_tasks(refusal: Json) -> tuple[model_scripts.Task, ...]:
    """Return tasks whose agents take none of the usual ways."""
    finding = {"priority": 1, "title": "it is wrong", "path": "disputed.txt"}
    settled = {"finding": "F1", "state": "overruled", "reason": "its author is right"}
    approval = {"verdict": "approve", "summary": "It is right.", "findings": []}
    turn, create, finish = model_scripts.turn, model_scripts.create, model_scripts.finish
    return (
        model_scripts.Task(
            id="idle",
            writes=("idle.txt",),
            coder=(
                model_scripts.done(),
                turn(finish(summary="Nothing to do.", no_change="The file is not needed.")),
            ),
        ),
        model_scripts.Task(
            id="disputed",
            writes=("disputed.txt",),
            coder=(
                turn(create("disputed.txt", "right\n")),
                model_scripts.done(),
                model_scripts.done("It is right as it is."),
            ),
            reviewer=(
                turn(finish(verdict="revise", summary="No.", findings=[finding])),
                turn(finish(**approval)),
                turn(finish(**approval, earlier=[settled])),
            ),
        ),
        model_scripts.Task(
            id="needing",
            writes=("needing.txt",),
            coder=(
                turn(finish(summary="Not yet.", blocked="a list", needs_paths=["list.txt"])),
                turn(create("needing.txt", "1\n"), create("list.txt", "needing\n")),
                model_scripts.done(),
            ),
        ),
        model_scripts.Task(
            id="cut", writes=("cut.txt",), coder=(turn(create("cut.txt", "1\n")), refusal)
        ),
    )


def _long_script() -> Json:
    looks = [
        model_scripts.turn(model_scripts.view("."), model_scripts.view(f"{n}.txt"))
        for n in range(8)
    ]
    long = model_scripts.Task(
        id="long",
        writes=("long.txt",),
        coder=(
            *looks,
            model_scripts.turn(model_scripts.create("long.txt", "long\n")),
            model_scripts.done(),
        ),
    )
    tasks = (long, _task("one", depends_on=("long",)), _task("two", depends_on=("one",)))
    return model_scripts.script(model_scripts.play("continued", *tasks))


async def _answered(
    deployment: LocalDeployment, handle: Handle, *answers: tuple[str, object]
) -> None:
    """Give answers, each as soon as something waits for it, until the request has ended."""
    for signal, payload in answers:
        await deployment.waiting(handle)
        await handle.signal(signal, payload)
        await until(lambda: _nothing_waits(deployment, handle))
    await deployment.ending(handle)


async def _nothing_waits(deployment: LocalDeployment, handle: Handle) -> bool:
    return not (await deployment.status(handle)).approvals


async def _play_main(deployment: LocalDeployment) -> None:
    shop = deployment.repository()
    plain = deployment.repository("plain", {"README.md": "Nothing yet.\n"})

    async def start(name: str, **options: object) -> Handle:
        folder = shop if name == "reworked" else plain
        return await deployment.start_request(name, folder, **{"checks": [_CHECK], **options})

    for name in ("happy", "reworked", "red", "evicted", "failed", "fallback", "odd"):
        await deployment.ending(await start(name))
    await deployment.ending(await start("refused", base="no-such-branch"))
    await deployment.ending(await start("mistyped", colour="red"))
    handle = await start("approved", approve=["plan", "review", "delivery"])
    await handle.signal("approve", {"approval": "nothing"})
    await handle.signal("agree", "plan")
    await _answered(deployment, handle, ("approve", None), ("approve", None), ("approve", None))
    handle = await start("rejected", approve=["plan"])
    await _answered(deployment, handle, ("reject", {"reason": "too small", "by": "Ann"}))
    handle = await start("revised", approve=["plan"])
    await _answered(deployment, handle, ("revise", {"reason": "call it two"}), ("approve", None))
    await _answered(deployment, await start("asked"), ("approve", None), ("approve", None))
    handle = await start("noted")
    await until(lambda: _coder_at_work(deployment, handle))
    await handle.signal("note", "mind the tests")
    await deployment.ending(handle)
    # Its check is red on the base, twice, until the task is done.
    handle = await start("told", checks=["test -e one.txt"])
    await until(lambda: _planner_at_work(deployment, handle))
    await handle.signal("note", "mind the plan")
    await deployment.ending(handle)
    await _play_setups(deployment)
    lock = plain / ".git/refs/heads/locked.lock"
    lock.touch()
    handle = await start("withdrawn", branch="locked")
    await until(lambda: _delivers(deployment, handle))
    await handle.cancel()
    await deployment.ending(handle)
    lock.unlink()
    handle = await start("cancelled")
    await until(lambda: _landed(deployment, handle))
    await handle.cancel()
    await deployment.ending(handle)
    await _play_retried(deployment, start)
    await play_turns(deployment, start)
    await play_windows(deployment, start)
    await play_goals(deployment, start)
    await play_approvals(deployment)


async def play_approvals(deployment: LocalDeployment) -> None:
    """Let a call be approved for the rest of its request, after an update that is refused."""
    settings = json.dumps({"sandbox": {"autoAllowBashIfSandboxed": False}})
    folder = deployment.repository("asks", {".orchestcode/settings.json": settings})
    handle = await deployment.start_request("allowed", folder, checks=[_CHECK])
    (question,) = (await deployment.waiting(handle)).approvals
    answer = {"choice": "approve", "approval": question.id, "for_request": True, "by": "Ann"}
    with contextlib.suppress(WorkflowUpdateFailedError):
        await handle.execute_update("decide", {**answer, "digest": "f" * 64})
    await handle.execute_update("decide", answer)
    await deployment.delivered(handle)


async def play_goals(deployment: LocalDeployment, start: Callable[..., Awaitable[Handle]]) -> None:
    """Let a goal be reached in two rounds, one be missed, and a person help a stuck agent."""
    goal = "test -e one.txt && test -e two.txt"
    await deployment.delivered(await start("until", until=goal))
    await deployment.ending(await start("missed", until=goal, rounds=1))
    hint = {"approval": "stuck/one/0", "reason": "write the file"}
    await _answered(deployment, await start("stuck"), ("revise", hint))
    await play_replanning(deployment, start)


async def play_replanning(
    deployment: LocalDeployment, start: Callable[..., Awaitable[Handle]]
) -> None:
    """Let other tasks be planned in place of one whose agent is stuck."""
    await deployment.delivered(await start("replanned"))


async def play_turns(deployment: LocalDeployment, start: Callable[..., Awaitable[Handle]]) -> None:
    """Take a running task back, fork one, damage a checkpoint, let a request be followed."""
    handle = await start("rolled")
    await handle.execute_update("choose_turn", await _choice(deployment, handle, 1))
    await deployment.delivered(handle)
    handle = await start("forked")
    choice = {**await _choice(deployment, handle, 1), "fork": "one-fork", "words": "otherwise"}
    # What runs has reserved all of the budget that there was.
    await handle.execute_update("set_budget", {"usd": 20})
    await handle.execute_update("choose_turn", choice)
    status = await deployment.waiting(handle, count=2)
    fork = next(each.id for each in status.approvals if "one-fork" in each.id)
    await handle.signal("approve", fork)
    await deployment.delivered(handle)
    await _play_damaged(deployment, await start("damaged"), start)
    handle = await start("followed", approve=["delivery"])
    await deployment.waiting(handle)
    key = ids.request_key(handle.id, handle.first_execution_run_id or "")
    plain = str(deployment.folder / "plain")
    asked = {"repository": plain, "request": "following", "checks": [_CHECK], "thread": key}
    wanted = {"request_id": "request/following", "start": asked}
    await handle.execute_update("follow_up", wanted)
    await handle.signal("approve", None)
    await deployment.delivered(handle)
    await deployment.delivered(await deployment.handle("following"))


async def play_windows(
    deployment: LocalDeployment, start: Callable[..., Awaitable[Handle]]
) -> None:
    """Let an agent hand over twice, and a person take a task over and give it back."""
    await deployment.delivered(await start("windowed"))
    handle = await start("taken")
    await _choice(deployment, handle, 1)
    await _starter(deployment, "hand-off", "taken", "one")
    folder = deployment.settings.home / "handed" / "taken" / "one"
    (folder / "two.txt").write_text("by a person\n")
    await _starter(deployment, "resume", "taken", "one", "I did two", "--detach")
    await deployment.delivered(handle)


async def _starter(deployment: LocalDeployment, *words: str) -> None:
    ended = await deployment.starter(*words)
    if ended.returncode not in (0, 3):
        raise SystemExit(f"{words}: {ended.stderr}")


async def _play_damaged(
    deployment: LocalDeployment, handle: Handle, start: Callable[..., Awaitable[Handle]]
) -> None:
    """Let a file of the last checkpoint be lost, and the request go on."""
    choice = await _choice(deployment, handle, 2)
    await handle.cancel()
    await deployment.ending(handle)
    stores = KeptRequests(deployment.settings.stores)
    kept = await stores.find(ids.request_key(handle.id, handle.first_execution_run_id or ""))
    assert kept is not None
    turns = await kept.task_turns("one")
    lost = next(turn.checkpoint for turn in turns if turn.commit == choice["turn"])
    oid = await kept.store.resolve(f"{lost}:two.txt")
    assert oid is not None
    (kept.store.path / "objects" / oid[:2] / oid[2:]).unlink()
    await stores.close()
    await _again(deployment, handle, start)


async def _choice(deployment: LocalDeployment, handle: Handle, number: int) -> Json:
    """Wait for a turn of the task `one` that has changed files, and return the choice of it."""
    key = ids.request_key(handle.id, handle.first_execution_run_id or "")
    stores = KeptRequests(deployment.settings.stores)
    found: list[TaskTurn] = []

    async def there() -> bool:
        kept = await stores.find(key)
        turns = await kept.task_turns("one") if kept else []
        found.extend(turn for turn in turns if turn.number == number and turn.files)
        return bool(found)

    await until(there)
    await stores.close()
    return {"task": "one", "turn": found[0].commit}


async def _play_retried(
    deployment: LocalDeployment, start: Callable[..., Awaitable[Handle]]
) -> None:
    handle = await start("resumed")
    await until(lambda: _works(deployment, handle, "two"))
    await handle.cancel()
    await deployment.ending(handle)
    await _again(deployment, handle, start)
    handle = await start("retried")
    await deployment.ending(handle)
    await _again(deployment, handle, start)


async def _again(
    deployment: LocalDeployment, handle: Handle, start: Callable[..., Awaitable[Handle]]
) -> None:
    """Let a request that has ended go on as a second attempt."""
    key = ids.request_key(handle.id, handle.first_execution_run_id or "")
    name = handle.id.removeprefix(ids.REQUEST_PREFIX)
    await deployment.delivered(await start(name, resumes=key, retry={"attempt": 2}))


async def _play_setups(deployment: LocalDeployment) -> None:
    """Have a setup allowed by a person, and one fail that a person named."""
    installs = "mkdir -p node_modules/one && touch node_modules/one/x"
    settings = json.dumps({"setup": [installs], "checks": ["test -e node_modules/one/x"]})
    folder = deployment.repository(
        "installs", {".orchestcode/settings.json": settings, ".gitignore": "node_modules/\n"}
    )
    handle = await deployment.start_request("installed", folder)
    await _answered(deployment, handle, ("approve", None))
    handle = await deployment.start_request("uninstalled", folder, setup=["exit 3"])
    await deployment.ending(handle)
    files = {"names": "one\n", ".gitignore": "node_modules/\n"}
    folder = deployment.repository("provides", files)
    copies = ["mkdir -p node_modules && cp names node_modules/names"]
    handle = await deployment.start_request("provided", folder, setup=copies)
    await _answered(deployment, handle, ("reject", {"reason": "not yet"}), ("approve", None))


async def _planner_at_work(deployment: LocalDeployment, handle: Handle) -> bool:
    return bool((await deployment.status(handle)).planner)


async def _coder_at_work(deployment: LocalDeployment, handle: Handle) -> bool:
    return any(row.agent for row in (await deployment.status(handle)).tasks)


async def _delivers(deployment: LocalDeployment, handle: Handle) -> bool:
    return "delivers" in (await deployment.status(handle)).reason


async def _landed(deployment: LocalDeployment, handle: Handle) -> bool:
    return any(row.commit for row in (await deployment.status(handle)).tasks)


async def _works(deployment: LocalDeployment, handle: Handle, task: str) -> bool:
    rows = (await deployment.status(handle)).tasks
    return any(row.agent for row in rows if row.id == task)


async def _play_long(deployment: LocalDeployment) -> None:
    plain = deployment.repository("plain", {"README.md": "Nothing yet.\n"})
    await deployment.ending(await deployment.start_request("continued", plain, checks=[_CHECK]))


async def _histories(client: Client) -> AsyncIterator[tuple[str, str, WorkflowHistory]]:
    """Give type, case and history of every run, once all have ended."""

    async def none_runs() -> bool:
        query = "ExecutionStatus = 'Running'"
        return not [each async for each in client.list_workflows(query)]

    await until(none_runs)
    runs = [each async for each in client.list_workflows("")]
    runs.sort(key=lambda each: (each.id, each.start_time))
    for run in runs:
        handle = client.get_workflow_handle(run.id, run_id=run.run_id)
        yield run.workflow_type, _case(run, runs), await handle.fetch_history()


def _case(run: WorkflowExecution, runs: Sequence[WorkflowExecution]) -> str:
    """Return a run's file name: the request's name, what the run was, and its number of many."""
    if run.id.startswith("reconcile/"):
        return "scheduled"
    if run.id.startswith("merge/"):
        name = run.id.rsplit("/", 1)[-1].removeprefix("orchestcode-").rsplit("-", 2)[0]
    else:
        name = run.id.removeprefix("request/").replace("/task/", "-").replace("/", "-")
    # The turn that was chosen is another commit each time.
    name = re.sub(r"(rollback-\d+-\d+)-(?:[0-9a-f]{8}|sound)", r"\1", name)
    same = [each.run_id for each in runs if each.id == run.id]
    return f"{name}-run{same.index(run.run_id) + 1}" if len(same) > 1 else name


def scrubbed(text: str) -> str:
    """Return a history without whose machine it was recorded on."""
    return json.dumps(_scrubbed(json.loads(text)), separators=(",", ":")) + "\n"


def _scrubbed(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _BLANK.get(key, _scrubbed(inner)) for key, inner in value.items()}
    if isinstance(value, list):
        return [_scrubbed(inner) for inner in value]
    return value


def traces(text: str) -> list[str]:
    """Return what of this machine is in a history: its name, its folders, its search path."""
    told = [socket.gethostname(), str(ROOT), str(Path.home()), sys.prefix]
    words = [*told, os.environ.get("PATH", "")]
    plain = "\n".join(_texts(json.loads(text)))
    found = [re.search(rf"(?<![\w-]){re.escape(word)}(?![\w-])", plain) for word in words if word]
    return [each.group() for each in found if each]


def _texts(value: Any) -> Iterator[str]:
    """Give every text in a history, those of its payloads decoded."""
    if isinstance(value, dict):
        for key, inner in value.items():
            if key == "data" and isinstance(inner, str):
                yield base64.b64decode(inner).decode("utf-8", "replace")
            else:
                yield from _texts(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _texts(inner)
    elif isinstance(value, str):
        yield value


async def _record(deployment: LocalDeployment, only: tuple[str, ...] = ()) -> int:
    count = 0
    async for workflow, case, history in _histories(await deployment.client()):
        if only and not case.startswith(only):
            continue
        text = scrubbed(history.to_json())
        if found := traces(text):
            raise SystemExit(f"{workflow} {case} tells of this machine: {found}")
        file = HISTORIES / workflow / f"{case}.json"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, "utf-8")
        count += 1
    return count


async def add_approvals() -> int:
    """Record the histories of `approval_plays` alone; all others stay as they are."""
    async with _recording(model_scripts.script(*approval_plays())) as deployment:
        await play_approvals(deployment)
        return await _record(deployment, ("allowed",))


_PARTS: Mapping[str, _Part] = {
    "windows": (window_plays, play_windows, ("windowed", "taken")),
    "replanning": (replanning_plays, play_replanning, ("replanned",)),
}
"""Parts that can be recorded alone: their plays, how they are played, and their cases."""


async def add(part: str) -> int:
    """Record the histories of one part alone; all others stay as they are."""
    plays, played, cases = _PARTS[part]
    async with _recording(model_scripts.script(*plays())) as deployment:
        plain = deployment.repository("plain", {"README.md": "Nothing yet.\n"})

        async def start(name: str, **options: object) -> Handle:
            return await deployment.start_request(name, plain, **{"checks": [_CHECK], **options})

        await played(deployment, start)
        return await _record(deployment, cases)


async def main() -> None:
    """Replace every recorded history but those of old code (`<case>-before-<change>`).

    With the name of a part (`windows`, `replanning`), only those of that; with `approvals`, of
    `approval_plays`.
    """
    part = " ".join(sys.argv[1:])
    if part in _PARTS or part == "approvals":
        count = await (add(part) if part in _PARTS else add_approvals())
        print(f"recorded {count} histories in {HISTORIES.relative_to(ROOT)}")
        return
    for file in HISTORIES.rglob("*.json"):
        if "-before-" not in file.name:
            file.unlink()
    async with _recording(_main_script()) as deployment:
        await _play_main(deployment)
        count = await _record(deployment)
    async with _recording(_long_script(), server_config=EARLY) as deployment:
        await _play_long(deployment)
        count += await _record(deployment)
    print(f"recorded {count} histories in {HISTORIES.relative_to(ROOT)}")


if __name__ == "__main__":
    asyncio.run(main())
    end_process(0)
