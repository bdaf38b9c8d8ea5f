"""The only way to run git: every git process of the product starts here.

The child gets a clean environment (PATH and a fixed identity, no user or system configuration),
an explicit GIT_DIR, hooks and fsmonitor switched off, and a process group of its own, which is
ended as a whole when time runs out or the caller is cancelled. The kernel ends it when this process
dies. Repository layouts and the meaning of commands are not known here.
"""

import asyncio
import functools
import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from infra.git.process_group import PIPE_LIMIT, converse, dies_with_parent, end_group, start

STDERR_LIMIT = 2_000
"""Characters of stderr kept in an error; what lies in the middle is dropped."""

IDENTITY_NAME = "OrchestCode"
IDENTITY_EMAIL = "orchestcode@localhost"

SAFE_OPTIONS = (
    *("-c", "core.hooksPath=/dev/null"),
    *("-c", "core.fsmonitor="),  # empty, not "false": older gits take that for a program's path
    *("-c", "commit.gpgsign=false"),
    *("-c", "core.pager=cat"),
    *("-c", "protocol.ext.allow=never"),
)
"""Options before every command: nothing that a repository names is ever executed."""


class GitMissingError(Exception):
    """No git executable is on PATH; an operator has to install it."""


class GitError(Exception):
    """A git command ended with an exit code its caller does not accept.

    Attributes:
        args_tail: the command and its arguments, without the fixed options, bounded.
        code: exit code; negative = ended by that signal.
        stderr: what git said, at most STDERR_LIMIT characters.
    """

    def __init__(self, arguments: Sequence[str], code: int, stderr: str) -> None:
        self.args_tail = bounded(" ".join(arguments), 500)
        self.code = code
        self.stderr = bounded(stderr.strip(), STDERR_LIMIT)
        super().__init__(f"git {self.args_tail}: exit {code}: {self.stderr or '(no message)'}")


class GitKilledError(GitError):
    """git was killed by a signal (an operator, lack of memory): its output is not a verdict."""


class GitTimeoutError(GitError):
    """A git command exceeded its time; its whole process group was ended."""


@dataclass(frozen=True)
class GitResult:
    """The result of a finished git command.

    Attributes:
        code: one of the accepted ones.
        out: stdout, exactly.
        err: stderr as text; bytes that are not UTF-8 are replaced.
        truncated: stdout was longer than `max_bytes` and the command was ended early;
            `code` means nothing then.
    """

    code: int
    out: bytes
    err: str
    truncated: bool = False

    @property
    def text(self) -> str:
        """Stdout as text without the final newline; foreign bytes survive as surrogate escapes."""
        return os.fsdecode(self.out).removesuffix("\n")


def bounded(text: str, limit: int) -> str:
    """Return the text, its middle cut out when it is longer than `limit` characters."""
    if len(text) <= limit:
        return text
    half = (limit - 5) // 2
    return f"{text[:half]} ... {text[-half:]}"


@functools.cache
def git_binary() -> str:
    """Return the absolute path of git, looked up on PATH once per process.

    Raises:
        GitMissingError: there is none.
    """
    found = shutil.which("git")
    if found is None:
        raise GitMissingError("git was not found on PATH; install git 2.39 or newer")
    return str(Path(found).absolute())


class GitCommand:
    """Runs git against one explicit GIT_DIR, and one explicit work tree where there is one.

    Args:
        git_dir: the repository, or `<store>/worktrees/<name>` of a linked worktree.
        work_tree: the checked-out files; also the working directory of the command. None =
            commands that touch no files.
        share: open files that every git process shares: a lock on one of them is held until the
            last of these processes has ended, also after the worker's death.
        options: further options before every command.
    """

    def __init__(
        self,
        git_dir: Path,
        *,
        work_tree: Path | None = None,
        share: tuple[int, ...] = (),
        options: tuple[str, ...] = (),
    ) -> None:
        self.git_dir = git_dir.absolute()
        self.work_tree = None if work_tree is None else work_tree.absolute()
        self._share = share
        self._options = options
        self._binary = git_binary()

    async def __call__(
        self,
        *args: str,
        stdin: bytes | None = None,
        ok: tuple[int, ...] = (0,),
        index_file: Path | None = None,
        reads: bool = False,
        timeout_seconds: float = 600,
        max_bytes: int | None = None,
        pass_fds: tuple[int, ...] = (),
        umask: int = -1,
    ) -> GitResult:
        """Run one git command to its end and return what it printed.

        Args:
            args: the command and its arguments; names may hold surrogate escapes.
            stdin: bytes for the child; None = empty. Not together with `max_bytes`.
            ok: exit codes that are an answer, not an error.
            index_file: absolute; a private index instead of the repository's.
            reads: the command only reads, so it takes no optional lock.
            timeout_seconds: wall clock, then the process group is ended.
            max_bytes: keep at most so much of stdout and end the command there.
            pass_fds: open file descriptors that the child shares.
            umask: of the child; -1 = this process's.

        Raises:
            GitError: any other exit code.
            GitKilledError: it was killed.
            GitTimeoutError: out of time.
        """
        process = await self.spawn(
            *args,
            has_input=stdin is not None,
            index_file=index_file,
            reads=reads,
            pass_fds=pass_fds,
            umask=umask,
        )
        try:
            async with asyncio.timeout(timeout_seconds):
                out, err, truncated = await converse(process, stdin, max_bytes)
        except TimeoutError as late:
            await end_group(process)
            raise GitTimeoutError(args, -15, f"not done after {timeout_seconds} s") from late
        except BaseException:
            await end_group(process)
            raise
        code = process.returncode if process.returncode is not None else -1
        message = err.decode("utf-8", "replace")
        if code < 0 and not truncated:
            raise GitKilledError(args, code, message)
        if code not in ok and not truncated:
            raise GitError(args, code, message)
        return GitResult(code, out, message, truncated)

    async def spawn(
        self,
        *args: str,
        has_input: bool = True,
        index_file: Path | None = None,
        reads: bool = False,
        stdout: int = asyncio.subprocess.PIPE,
        stderr: int | IO[bytes] = asyncio.subprocess.PIPE,
        pass_fds: tuple[int, ...] = (),
        umask: int = -1,
    ) -> asyncio.subprocess.Process:
        """Start git and return the running child; the caller must end it with `end_group`.

        Args, beside those of a call:
            has_input: give it a stdin pipe, else an empty stdin.
            stdout: where what it prints goes; an open file descriptor stays the caller's.
            stderr: where its messages go.
        """
        return await start(
            *dies_with_parent(),
            self._binary,
            *SAFE_OPTIONS,
            *self._options,
            *args,
            stdin=asyncio.subprocess.PIPE if has_input else asyncio.subprocess.DEVNULL,
            stdout=stdout,
            stderr=stderr,
            env=self._environment(index_file, reads=reads),
            cwd=self._folder(),
            pass_fds=(*pass_fds, *self._share),
            umask=umask,
            limit=PIPE_LIMIT,
        )

    def _environment(self, index_file: Path | None, *, reads: bool) -> dict[str, str]:
        """Return the complete environment of a child: of our own only PATH is in it."""
        variables = {
            "PATH": os.pathsep.join(os.get_exec_path()),
            "HOME": "/nonexistent",
            "LC_ALL": "C.UTF-8",
            "GIT_CONFIG_GLOBAL": "/dev/null",
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_TERMINAL_PROMPT": "0",
            "GIT_DIR": str(self.git_dir),
            "GIT_AUTHOR_NAME": IDENTITY_NAME,
            "GIT_AUTHOR_EMAIL": IDENTITY_EMAIL,
            "GIT_COMMITTER_NAME": IDENTITY_NAME,
            "GIT_COMMITTER_EMAIL": IDENTITY_EMAIL,
        }
        if self.work_tree is not None:
            variables["GIT_WORK_TREE"] = str(self.work_tree)
        if index_file is not None:
            variables["GIT_INDEX_FILE"] = str(index_file)
        if reads:
            variables["GIT_OPTIONAL_LOCKS"] = "0"
        return variables

    def _folder(self) -> Path:
        # Never the folder we were started in: git would take it for a work tree, or fail if it
        # was removed since.
        if self.work_tree is not None:
            return self.work_tree
        return self.git_dir if self.git_dir.is_dir() else Path("/")
