"""Looking at the user's repository, in a process of its own that has a time limit.

What lies there may be anything: a configuration that includes a FIFO, a reference that is one. A
process that opens it can be ended; a thread of the worker could not, and would stay for ever.
"""

import asyncio
import contextlib
import dataclasses
import json
import os
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from domain.repository_settings import RepositorySettings
from infra.git.process_group import PIPE_LIMIT, dies_with_parent, end_group, start

LOOK_SECONDS: Final = 30.0
"""How long one look may take; most take a third of a second."""

_TRIES: Final = 2
"""A worker that stood still meanwhile sees a look that came too late only once."""

_HERE: Final = str(Path(__file__).resolve().parents[1])
_ANSWER_BYTES: Final = 16 << 20
_LOOK_BRANCH: Final = "orchestcode/look"


class RequestRefused(Exception):  # noqa: N818 - named for what happened
    """The request cannot be carried out; the text is one sentence that says what to change."""


class LookFailedError(Exception):
    """The process that looks was killed or failed: no verdict on the repository."""


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What a request wants of a repository; `branch` None = only where it is.

    Attributes:
        until: a further command beside the checks, those of the base's settings, too.
        search_path: the PATH on which programs of checks are looked up.
        setup: commands that install what checks need; None = those of the base's settings.
        virtual_env: the virtual environment that is active there.
    """

    path: str
    base: str | None = None
    branch: str | None = None
    checks: tuple[str, ...] = ()
    setup: tuple[str, ...] | None = None
    search_path: str = ""
    virtual_env: str | None = None
    until: str | None = None


@dataclass(frozen=True)
class Inspected:
    """What a request will start from.

    Attributes:
        path: the repository: its working directory, or the bare repository itself.
        git_dir: where its objects and branches are, for linked worktrees too.
        real_path: `path` without symbolic links; the store's name is made of it.
        base_name: as a person names it.
        branch: the branch that the base is of, None for a tag or commit.
        author: "Name <mail>" as the repository or its user is configured, None without a mail.
        excludes: patterns of what the person ignores, beside the .gitignore files, as Latin-1.
        private: further folders in which the repository keeps files and objects.
        own_environment: the virtual environment that the person has at its top, or that poetry
            keeps for it.
        settings: what the base's settings file says, None where it has none.
        tool_folders: of programs to which the base's version files lead.
        notes: what a person should know of the interpreters, a sentence each.
    """

    path: str
    git_dir: str
    real_path: str
    base: str
    base_name: str
    branch: str | None = None
    author: str | None = None
    excludes: str = ""
    private: tuple[str, ...] = ()
    own_environment: str | None = None
    settings: RepositorySettings | None = None
    tool_folders: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


async def locate(path: str) -> Path:
    """Return the real path of the repository that a path lies in; the store's name is made of it.

    Raises:
        RequestRefused: there is none, or looking takes too long.
        LookFailedError: the look itself failed.
    """
    async with looking(Asked(path=path)) as look:
        return await look.root()


async def start_of(folder: str, base: str | None) -> Inspected:
    """Return what a request for a branch would start from there; nothing is made of it.

    Raises:
        RequestRefused: there is no such repository or commit, or it cannot be looked at.
    """
    try:
        async with looking(Asked(path=folder, base=base, branch=_LOOK_BRANCH)) as look:
            return await look.found()
    except LookFailedError as problem:
        raise RequestRefused(str(problem)) from problem


@contextlib.asynccontextmanager
async def looking(asked: Asked) -> AsyncIterator["Look"]:
    """Lend a look, ended in every case; see `Look`."""
    look = Look(asked)
    try:
        yield look
    finally:
        await look.close()


class Look:
    """One look, whose answers come one after the other.

    Both raise RequestRefused and LookFailedError, as `locate`.
    """

    def __init__(self, asked: Asked) -> None:
        self._asked = asked
        self._process: asyncio.subprocess.Process | None = None

    async def root(self) -> Path:
        """Return the real path of the repository."""
        return Path((await self._answers("root"))["root"])

    async def found(self) -> Inspected:
        """Return what the request will start from."""
        answer = (await self._answers("found"))["found"]
        settings = answer.pop("settings")
        return Inspected(**answer, settings=_settings(settings) if settings else None)

    async def close(self) -> None:
        """End the process."""
        process, self._process = self._process, None
        if process is not None:
            await end_group(process)

    async def _answers(self, wanted: str) -> dict[str, Any]:
        for _ in range(_TRIES):
            try:
                async with asyncio.timeout(LOOK_SECONDS):
                    return await self._answer(wanted)
            except TimeoutError:
                await self.close()
        raise RequestRefused(
            f"the repository {self._asked.path!r} cannot be read within {LOOK_SECONDS:.0f} s: see "
            "whether its configuration or a reference is, or names, something that is no file"
        )

    async def _answer(self, wanted: str) -> dict[str, Any]:
        """Read on until the wanted answer; others may come before it."""
        process = self._process = self._process or await self._start()
        assert process.stdout is not None  # noqa: S101 - a pipe was asked for
        while line := await process.stdout.readline():
            answer: dict[str, Any] = json.loads(line)
            if "refused" in answer:
                raise RequestRefused(answer["refused"])
            if wanted in answer:
                return answer
        raise LookFailedError(await self._last_words(process))

    async def _last_words(self, process: asyncio.subprocess.Process) -> str:
        _, err = await process.communicate()
        self._process = None
        said = err.decode("utf-8", "replace").strip().rpartition("\n")[2]
        return f"looking at {self._asked.path!r} ended with {process.returncode}: {said[:300]}"

    async def _start(self) -> asyncio.subprocess.Process:
        words = (sys.executable, "-P", "-m", "infra.repository_preflight")
        process = await start(
            *dies_with_parent(), *words,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, (_HERE, *sys.path)))},
            cwd="/",
            limit=max(PIPE_LIMIT, _ANSWER_BYTES),
        )  # fmt: skip
        assert process.stdin is not None  # noqa: S101 - a pipe was asked for
        process.stdin.write(json.dumps(dataclasses.asdict(self._asked)).encode())
        with contextlib.suppress(ConnectionError):
            await process.stdin.drain()
        process.stdin.close()
        return process


def _settings(answer: dict[str, Any]) -> RepositorySettings:
    lists = {key: tuple(value) for key, value in answer.items() if isinstance(value, list)}
    return RepositorySettings(**{**answer, **lists})
