"""Real package managers add a dependency for an agent at work, from their registries.

Run by `make test-packages`; what a test needs and is not here is named by its failure.
"""

import json
import os
import shutil
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from temporalio.testing import ActivityEnvironment

from contracts.repository import Environment
from contracts.setup import RunSetup, SetupReport
from tests.activities.test_installed import written
from tests.infra.bench import ActivityEnv, activity_env, probed_sandbox
from tests.local_deployment import commit
from tests.packages.test_six_packages import ran

pytestmark = [pytest.mark.packages, pytest.mark.timeout(900)]


@dataclass(frozen=True)
class Added:
    """A project, and a dependency that it gets.

    Attributes:
        program: the package manager.
        files: of the project.
        locks: the command that writes its lock file.
        edit: replaces one text by another in a file before the agent asks.
        asks: the arguments of the agent's call.
        changed: the files that the package manager changes.
        lacks: a command that passes only with the new dependency.
    """

    program: str
    files: Mapping[str, str]
    locks: Sequence[str]
    changed: Sequence[str]
    lacks: str
    edit: tuple[str, str, str] | None = None
    asks: Mapping[str, Any] = field(default_factory=dict)


ADDED = (
    Added(
        program="npm",
        files={
            ".gitignore": "node_modules/\n",
            "package.json": json.dumps({"name": "shop", "dependencies": {"is-number": "6.0.0"}}),
        },
        locks=("npm", "install", "--package-lock-only"),
        asks={"command": "npm install is-odd@3.0.1"},
        changed=("package-lock.json", "package.json"),
        lacks="node -e 'if (!require(\"is-odd\")(3)) process.exit(1)'",
    ),
    Added(
        program="uv",
        files={
            ".gitignore": ".venv/\n",
            "pyproject.toml": '[project]\nname = "shop"\nversion = "1.0"\n'
            'requires-python = ">=3.9"\ndependencies = ["iniconfig==2.0.0"]\n',
        },
        locks=("uv", "lock"),
        asks={"command": "uv add pluggy==1.5.0"},
        changed=("pyproject.toml", "uv.lock"),
        lacks=".venv/bin/python -c 'import pluggy, iniconfig'",
    ),
    Added(
        program="go",
        files={
            "go.mod": "module example.org/shop\n\nrequire github.com/hashicorp/errwrap v1.0.0\n",
            "shop.go": 'package shop\n\nimport _ "github.com/hashicorp/errwrap"\n',
        },
        locks=("go", "mod", "tidy"),
        asks={"command": "go get github.com/hashicorp/go-multierror@v1.1.1"},
        changed=("go.mod", "go.sum"),
        lacks="go list -m github.com/hashicorp/go-multierror && "
        "test -d ~/go/pkg/mod/github.com/hashicorp/go-multierror@v1.1.1",
    ),
    Added(
        program="cargo",
        files={
            ".gitignore": "target/\n",
            "Cargo.toml": '[package]\nname = "shop"\nversion = "0.1.0"\n\n'
            '[dependencies]\nmemchr = "=2.7.4"\n',
            "src/lib.rs": "pub fn shop() {}\n",
        },
        locks=("cargo", "generate-lockfile"),
        edit=("Cargo.toml", 'memchr = "=2.7.4"\n', 'memchr = "=2.7.4"\nitoa = "=1.0.11"\n'),
        changed=("Cargo.lock",),
        lacks="cargo metadata --offline --locked --format-version 1 | grep -q itoa && "
        "ls ~/.cargo/registry/src/*/itoa-1*",
    ),
)


@pytest.fixture
async def env(tmp_path: Path) -> AsyncIterator[ActivityEnv]:
    """A user's repository, and every activity on it."""
    async with probed_sandbox(tmp_path) as sandbox, activity_env(sandbox) as environment:
        yield environment


@pytest.mark.parametrize("added", ADDED, ids=lambda added: added.program)
async def test_an_agent_adds_a_dependency_from_its_registry(env: ActivityEnv, added: Added) -> None:
    """The lock file of its worktree names it, its next command and its checks find it, and the
    base is as it was; the same is not asked again.
    """
    if shutil.which(added.program) is None:
        pytest.fail(f"there is no {added.program} on the PATH: install Debian's")
    written(env.person, dict(added.files))
    ran(*added.locks, folder=env.person)
    shutil.rmtree(env.person / "node_modules", ignore_errors=True)
    commit(env.person, "a package")
    environment = Environment(path=os.environ["PATH"])
    job = await env.open(environment=environment)
    if job.opened.setup is not None:  # this machine's home has no such package yet
        request = RunSetup(
            repository=job.opened.repository, commit=job.base, setup=job.opened.setup, allowed=True
        )
        report: SetupReport = await ActivityEnvironment().run(env.setups.run_setup, request)
        assert report.environment, report.results
        place = job.opened.repository.model_copy(update={"environment": report.environment})
        job.opened = job.opened.model_copy(update={"repository": place})
    agent = await job.agent()
    assert (await agent.run(added.lacks)).outcome == "failed"
    if added.edit:
        path, old, new = added.edit
        await agent.edit("str_replace", path, old_str=old, new_str=new)

    told = await agent.install(**added.asks)

    print(told.text)
    assert told.outcome == "done", told.text
    assert f"[changed: {', '.join(added.changed)}]" in told.text
    found = await agent.run(added.lacks)
    assert found.outcome == "done", found.text
    assert (await job.check(agent.at, added.lacks)).passed
    assert not (await job.check(job.base, added.lacks)).passed
    assert (await agent.install()).text.startswith("Nothing had to run")
    assert (await job.patch(agent.at)).setup is None
