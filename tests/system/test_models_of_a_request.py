"""A request's own models: recorded with it, used by its agents, shown."""

import pytest

from contracts.visibility import RunState
from tests.local_deployment import LocalDeployment
from tests.model_scripts import play, writes_file

PLAYS = [
    play(name, writes_file("only", "own.txt", "own\n"))
    for name in ("own-models", "models-by-hand", "no-such-model")
]
SMALL = {"README.md": "A small thing.\n"}


def _asked(deployment: LocalDeployment, request: str) -> dict[str | None, str | None]:
    return {entry.role: entry.model for entry in deployment.journal(request)}


async def test_run_records_the_models_of_its_options_and_its_shell(
    deployment: LocalDeployment,
) -> None:
    """An option counts before a variable, a role's before one for all; status and report name
    them, and the worker's own settings are as they were.
    """
    folder = deployment.repository("own-models", SMALL)
    shell = {"ORCHESTCODE_MODEL": "claude-sonnet-5", "ORCHESTCODE_EFFORT": "low"}
    options = ("--model-planner", "claude-opus-5-5", "--effort", "high", "--budget-usd", "3")
    words = ("run", "--repo", str(folder), *options, "own models")
    ran = await deployment.starter(*words, environ=shell)
    assert ran.returncode == 0, ran
    name = ran.stderr.split("started ")[1].split(maxsplit=1)[0]
    assert _asked(deployment, name) == {
        "planner": "claude-opus-5-5",
        "coder": "claude-sonnet-5",
        "reviewer": "claude-sonnet-5",
    }
    asked = "claude-sonnet-5; planner claude-opus-5-5; effort high"
    assert f"asked for {asked}" in ran.stdout
    assert asked in (await deployment.starter("status", name, "--json")).stdout


async def test_models_are_chosen_by_hand_too(deployment: LocalDeployment) -> None:
    """The keys of the input are those of the options."""
    folder = deployment.repository("models-by-hand", SMALL)
    handle = await deployment.start_request(
        "models-by-hand", folder, model="claude-haiku-5-5", model_reviewer="claude-opus-5"
    )
    status = await deployment.delivered(handle)
    assert _asked(deployment, handle.id) == {
        "planner": "claude-haiku-5-5",
        "coder": "claude-haiku-5-5",
        "reviewer": "claude-opus-5",
    }
    assert status.models == "claude-haiku-5-5; reviewer claude-opus-5"


@pytest.mark.parametrize("field", ["model", "model_reviewer"])
async def test_a_model_that_the_service_does_not_have_is_refused(
    deployment: LocalDeployment, field: str
) -> None:
    """Before the first call, whichever agent would have used it; the sentence names what there
    is.
    """
    folder = deployment.repository(f"no-such-{field}", SMALL)
    handle = await deployment.start_request(
        f"no-such-model-{field}", folder, **{field: "claude-sonet-5-5"}
    )
    ending = await deployment.ending(handle)
    assert ending.refused
    assert ending.state is RunState.FAILED
    assert "the model's service has no model claude-sonet-5-5; it has claude-" in ending.reason
    assert deployment.journal(handle.id) == []
