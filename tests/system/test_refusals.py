"""Impossible requests are refused in one sentence, before anything is touched."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.local_deployment import LocalDeployment, git, snapshot
from tests.model_scripts import play

PLAYS = [play("refuse")]
SMALL = {"README.md": "A small thing.\n"}
Case = Callable[[LocalDeployment, Path], tuple[Path, tuple[str, ...], str]]
"""Makes a repository; returns it, the options of `run` and part of the refusal."""


def _no_commits(deployment: LocalDeployment, folder: Path) -> tuple[Path, tuple[str, ...], str]:
    folder.mkdir()
    git(folder, "init", "-q", "-b", "main")
    return folder, (), "the repository has no commit yet: commit something, so that there is a base"


def _not_a_repository(
    deployment: LocalDeployment, folder: Path
) -> tuple[Path, tuple[str, ...], str]:
    folder.mkdir()
    return folder, (), "is not a git repository: run `git init` and commit there first"


def _no_folder(deployment: LocalDeployment, folder: Path) -> tuple[Path, tuple[str, ...], str]:
    return folder, (), f"There is no folder {folder}; --repo names a repository."


def _no_base(deployment: LocalDeployment, folder: Path) -> tuple[Path, tuple[str, ...], str]:
    deployment.repository(folder.name, SMALL)
    return (
        folder,
        ("--base", "no-such"),
        "there is no branch, tag or commit 'no-such' in the repository",
    )


def _odd_base(deployment: LocalDeployment, folder: Path) -> tuple[Path, tuple[str, ...], str]:
    deployment.repository(folder.name, SMALL)
    return (
        folder,
        ("--base", "abcdef0"),
        "there is no branch, tag or commit 'abcdef0' in the repository",
    )


def _no_command(deployment: LocalDeployment, folder: Path) -> tuple[Path, tuple[str, ...], str]:
    deployment.repository(folder.name, SMALL)
    return (
        folder,
        ("--check", "no-such-tool --all"),
        "the check 'no-such-tool --all' cannot run: there is no 'no-such-tool' on the PATH",
    )


def _no_script(deployment: LocalDeployment, folder: Path) -> tuple[Path, tuple[str, ...], str]:
    deployment.repository(folder.name, SMALL)
    (folder / "check.sh").write_text("#!/bin/sh\n")
    return folder, ("--check", "./check.sh"), "there is no './check.sh' in the repository"


def _branch_is_there(
    deployment: LocalDeployment, folder: Path
) -> tuple[Path, tuple[str, ...], str]:
    deployment.repository(folder.name, SMALL)
    git(folder, "branch", "taken")
    said = "the branch 'taken' exists already: name another with --branch, or delete it"
    return folder, ("--branch", "taken"), said


def _bad_branch(deployment: LocalDeployment, folder: Path) -> tuple[Path, tuple[str, ...], str]:
    deployment.repository(folder.name, SMALL)
    return folder, ("--branch", "a..b"), "'a..b' cannot be a branch"


CASES: tuple[Case, ...] = (
    _no_commits,
    _not_a_repository,
    _no_folder,
    _no_base,
    _odd_base,
    _no_command,
    _no_script,
    _branch_is_there,
    _bad_branch,
)


@pytest.mark.parametrize("case", CASES, ids=[case.__name__.strip("_") for case in CASES])
async def test_an_impossible_request_is_refused_before_anything_is_touched(
    deployment: LocalDeployment, case: Case
) -> None:
    """`run` ends with code 2 after one sentence; the repository is unchanged, no store is made."""
    folder, options, said = case(deployment, deployment.folder / case.__name__)
    before = snapshot(folder)
    ended = await deployment.starter("run", "--repo", str(folder), *options, "refuse me")
    assert ended.returncode == 2, ended
    told = ended.stdout + ended.stderr
    assert said in told, told
    assert "Traceback" not in told
    assert snapshot(folder) == before
    assert (
        list(deployment.settings.stores.glob(f"{case.__name__.strip('_').replace('_', '-')}*"))
        == []
    )


async def test_a_detached_run_is_refused_like_a_watched_one(deployment: LocalDeployment) -> None:
    """`--detach` returns once the repository is open, so that a refusal is not missed."""
    folder = deployment.repository("refused-detached", SMALL)
    words = ("run", "--repo", str(folder), "--base", "no-such", "--detach", "refuse me")
    ended = await deployment.starter(*words)
    assert ended.returncode == 2, ended
    assert "Refused: " in ended.stdout
    assert "no-such" in ended.stdout


async def test_unusable_input_by_the_temporal_cli_fails_with_one_sentence(
    deployment: LocalDeployment,
) -> None:
    """A request started by the `temporal` CLI with unusable input fails with what is wrong."""
    await _start(deployment, "refuse-fields", '{"repo": "/x"}')
    ending = await deployment.ending(await deployment.handle("refuse-fields"))
    assert ending.refused
    assert ending.reason == (
        "The request's input is not usable: repository: Field required; request: Field required; "
        "repo: Extra inputs are not permitted."
    )


@pytest.mark.parametrize("written", ["[1]", '"mend it"', "null"])
async def test_input_that_is_no_object_is_refused_with_an_example(
    deployment: LocalDeployment, written: str
) -> None:
    """Input that is no JSON object at all is answered with what it should look like."""
    name = f"refuse-{'abc'[len(written) % 3]}-{len(written)}"
    await _start(deployment, name, written)
    ending = await deployment.ending(await deployment.handle(name))
    assert ending.refused
    assert ending.reason == (
        'The input must be a JSON object: {"repository": "/path", "request": "what to do"}.'
    )


async def _start(deployment: LocalDeployment, name: str, payload: str) -> None:
    words = ["workflow", "start", "--type", "RequestWorkflow", "--task-queue", "orchestcode"]
    ended = await deployment.temporal(
        *words, "--workflow-id", f"request/{name}", "--input", payload
    )
    assert ended.returncode == 0, ended.stderr
