"""A workflow is changed while requests are open: behind a patch they continue, without one they
stop and wait for fitting code.

The old code is the product as it is; the new one is a copy of it with one more activity call
before the coder begins.
"""

import shutil
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from temporalio.api.enums.v1 import EventType, WorkflowTaskFailedCause
from temporalio.api.history.v1 import HistoryEvent
from temporalio.client import WorkflowExecutionStatus

from tests import journal_checks
from tests.local_deployment import ROOT, Handle, LocalDeployment, until
from tests.model_scripts import play, script, writes_file

pytestmark = pytest.mark.minutes

SMALL = {"README.md": "A small thing.\n"}
PATCH = "look-at-the-base-2026-12"
BEFORE = (
    "            self._base, self._checkpoint, self._message = "
    "await self._landing.begin(lease.commit)\n"
)
CHANGE = """\
            from workflows.checks import run_checks

            await run_checks(
                self._start.repository,
                lease.commit,
                self._start.task.acceptance,
                summary="look at the base",
            )
"""
LAYERS = ("activities", "contracts", "domain", "infra", "runtime", "workflows")


def _changed(folder: Path, change: str) -> Path:
    """Make a copy of the product in which the subtask's workflow does something more."""
    for room in LAYERS:
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / room, folder / room, ignore=ignored)
    shutil.copy(ROOT / "worker.py", folder)
    workflow = folder / "workflows" / "subtask.py"
    text = workflow.read_text()
    assert text.count(BEFORE) == 1, "the place to change is no longer there: adapt this test"
    workflow.write_text(text.replace(BEFORE, BEFORE + change))
    return folder


@pytest.fixture(scope="module")
def patched(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The new code, which asks whether a run began with the old one."""
    indented = "".join(f"    {line}\n" for line in CHANGE.splitlines())
    guard = f'            if workflow.patched("{PATCH}"):\n'
    return _changed(tmp_path_factory.mktemp("patched"), guard + indented)


@pytest.fixture(scope="module")
def unpatched(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The new code, which does not ask."""
    return _changed(tmp_path_factory.mktemp("unpatched"), CHANGE)


@pytest.fixture(scope="module")
async def own() -> AsyncIterator[LocalDeployment]:
    """A deployment whose worker is exchanged; the old code's worker is there at first."""
    names = ("carried", "fresh", "stopped")
    plays = [play(name, writes_file("a", f"{name}.txt", "a\n", delay_ms=1_500)) for name in names]
    async with LocalDeployment(script(*plays)) as deployment:
        yield deployment


async def _begun(deployment: LocalDeployment, name: str) -> Handle:
    """Start a request and kill its worker while the coder is at work."""
    handle = await deployment.start_request(name, deployment.repository(name, SMALL))
    # Its first reply is recorded and being executed; the second one has not come yet.
    await until(lambda: deployment.has_file(f"{name}.txt"))
    await deployment.kill_worker()
    return handle


async def _events(deployment: LocalDeployment, handle: Handle) -> list[HistoryEvent]:
    """Return the history of a request's only task so far."""
    task = (await deployment.client()).get_workflow_handle(f"{handle.id}/task/a")
    return list((await task.fetch_history()).events)


def _patches(events: list[HistoryEvent]) -> list[bytes]:
    return [data for event in events for data in _marked(event) if PATCH.encode() in data]


def _marked(event: HistoryEvent) -> Iterator[bytes]:
    for payloads in event.marker_recorded_event_attributes.details.values():
        yield from (payload.data for payload in payloads.payloads)


def _checks(events: list[HistoryEvent]) -> int:
    scheduled = (event.activity_task_scheduled_event_attributes for event in events)
    return sum(one.activity_type.name == "run_checks" for one in scheduled)


async def test_a_request_of_the_old_code_is_finished_by_the_new(
    own: LocalDeployment, patched: Path
) -> None:
    """Killed during the coder's work and continued by patched code, a request keeps the old path;
    one that the new code starts takes the new path; no finished model call is repeated.
    """
    carried = await _begun(own, "carried")
    await own.start_worker(patched)

    await own.delivered(carried)
    fresh = await own.start_request("fresh", own.repository("fresh", SMALL))
    await own.delivered(fresh)

    old, new = await _events(own, carried), await _events(own, fresh)
    assert (_patches(old), _checks(old)) == ([], 1)
    assert (len(_patches(new)), _checks(new)) == (1, 2)
    assert journal_checks.repeated(own.journal(carried.id)) == []
    await own.stop_worker()


async def _failed_tasks(deployment: LocalDeployment, handle: Handle) -> list[HistoryEvent]:
    kind = EventType.EVENT_TYPE_WORKFLOW_TASK_FAILED
    return [event for event in await _events(deployment, handle) if event.event_type == kind]


async def test_without_the_patch_a_request_stops_until_the_old_code_is_back(
    own: LocalDeployment, unpatched: Path
) -> None:
    """The same change without a patch stops the run as non-deterministic and has no effect; the old
    code, started again, completes it.
    """
    if not own.worker.alive:
        await own.start_worker()
    stopped = await _begun(own, "stopped")
    await own.start_worker(unpatched)

    async def refused() -> bool:
        return bool(await _failed_tasks(own, stopped))

    await until(refused)
    failure = (await _failed_tasks(own, stopped))[0].workflow_task_failed_event_attributes
    cause = WorkflowTaskFailedCause.WORKFLOW_TASK_FAILED_CAUSE_NON_DETERMINISTIC_ERROR
    assert failure.cause == cause
    assert failure.failure.message.startswith("[TMPRL1100]")
    assert (await stopped.describe()).status is WorkflowExecutionStatus.RUNNING

    await own.kill_worker()
    await own.start_worker()
    await own.delivered(stopped)
    assert journal_checks.repeated(own.journal(stopped.id)) == []
