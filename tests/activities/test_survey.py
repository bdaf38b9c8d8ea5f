"""A look at the base from inside the sandbox, on a real repository."""

import datetime as dt
from pathlib import Path

import pytest
from temporalio.testing import ActivityEnvironment

from contracts.baseline import CommandsLookedUp, LookUpCommands, Survey, SurveyBase, Surveyed
from domain import ids
from infra import survey
from infra.store import records
from tests.infra.bench import Job


async def surveyed(job: Job) -> Surveyed:
    """Survey the base of a request."""
    request = SurveyBase(repository=job.opened.repository, commit=job.base, name="main")
    return await ActivityEnvironment().run(job.env.surveys.survey_base, request)


async def looked_up(job: Job, *commands: str) -> tuple[str, ...]:
    """Look commands up on the base."""
    request = LookUpCommands(repository=job.opened.repository, commit=job.base, commands=commands)
    found: CommandsLookedUp = await ActivityEnvironment().run(
        job.env.surveys.look_up_commands, request
    )
    return found.lacks


async def test_a_survey_names_what_commands_will_find(job: Job) -> None:
    """The date is that of the request's beginning; system, tools and base are as found here."""
    began = await records.read_time(job.store, ids.began_ref("one"))
    found = Survey.model_validate_json(await job.store.get_blob((await surveyed(job)).survey))

    assert began is not None
    assert found.date == dt.datetime.fromtimestamp(began, dt.UTC).date().isoformat()
    assert found.base == f"main at {job.base[:12]}"
    assert any(tool.startswith("Python 3.") for tool in found.tools)
    assert "git" in found.tools
    assert found.system


async def test_every_agent_of_a_request_is_told_the_same(
    job: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A survey that was made stands, also when the machine has changed meanwhile."""
    first = await surveyed(job)
    monkeypatch.setattr(survey, "SCRIPT", "echo system another")

    assert await surveyed(job) == first


async def test_commands_are_looked_up_as_the_sandbox_sees_them(job: Job) -> None:
    """A program or module that is not there is named; nothing is run, and paths are left alone."""
    marker = Path(job.env.folder) / "ran"

    assert await looked_up(
        job,
        *(f"touch {marker}", "pytset -q && git status", "python3 -m pytset x"),
        *("python3 -m json.tool a", "./made-by-the-task.sh", "nonesuch || true"),
    ) == (
        *("", "there is no `pytset`", "`python3` has no module `pytset`"),
        *("", "", ""),
    )
    assert not marker.exists()
