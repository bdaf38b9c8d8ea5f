"""Runs *inside* the sandbox: what honest programs do, and prints which of it failed.

Standard library only; prints {name: sentence of the failure, or "" when it works}.
"""

import asyncio
import json
import multiprocessing
import shutil
import socket
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing.managers import SyncManager
from pathlib import Path


def main() -> None:
    """Run all of them; those whose program is not installed are left out."""
    programs: dict[str, Callable[[], object]] = {
        "asyncio": use_asyncio,
        "asyncio subprocess": use_asyncio_subprocess,
        "multiprocessing pool": use_pool,
        "process pool executor": use_executor,
        "multiprocessing manager": use_manager,
        "socketpair": use_socketpair,
        "loopback": use_loopback,
        "sqlite": use_sqlite,
        "git": use_git,
        "venv": lambda: run(sys.executable, "-m", "venv", "--without-pip", "environment"),
    }
    if shutil.which("gcc"):
        programs["gcc"] = use_gcc
    if shutil.which("node"):
        programs["node workers"] = use_node
    print(json.dumps({name: failure_of(program) for name, program in programs.items()}))


def failure_of(program: Callable[[], object]) -> str:
    """Say how a program failed."""
    try:
        program()
    except Exception as error:  # noqa: BLE001 - a report, whatever it is
        return repr(error)
    return ""


def run(*argv: str) -> str:
    """Run a program that must succeed."""
    return subprocess.run(argv, check=True, capture_output=True, text=True).stdout


def use_asyncio() -> None:
    """A loop, its self-pipe and a thread."""
    asyncio.run(asyncio.to_thread(int))


def use_asyncio_subprocess() -> None:
    """A child of the loop."""

    async def child() -> None:
        process = await asyncio.create_subprocess_exec("true")
        assert await process.wait() == 0

    asyncio.run(child())


def use_pool() -> None:
    """Semaphores in /dev/shm."""
    with multiprocessing.Pool(2) as pool:
        assert pool.map(abs, [-1, -2]) == [1, 2]


def use_executor() -> None:
    """The other process pool."""
    with ProcessPoolExecutor(1) as executor:
        assert executor.submit(abs, -1).result() == 1


def use_manager() -> None:
    """A server on a unix socket."""
    with multiprocessing.Manager() as manager:
        assert isinstance(manager, SyncManager)
        assert list(manager.list([1])) == [1]


def use_loopback() -> None:
    """A test's own server."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        socket.create_connection(server.getsockname(), timeout=2).close()


def use_socketpair() -> None:
    """Two ends of one pipe, which are unix sockets made by another call."""
    one, other = socket.socketpair()
    with one, other:
        one.sendall(b"x")
        assert other.recv(1) == b"x"


def use_sqlite() -> None:
    """Locks and a journal in the worktree."""
    connection = sqlite3.connect("data.sqlite")
    connection.execute("create table t (x)")
    connection.commit()
    connection.close()


def use_git() -> None:
    """A commit in the worktree's private git directory, and a repository of the test's own."""
    Path("new.txt").write_text("new\n")
    run("git", "status")
    run("git", "add", "new.txt")
    run("git", "commit", "-q", "-m", "inside")
    with tempfile.TemporaryDirectory() as folder:
        run("git", "init", "-q", folder)


def use_gcc() -> None:
    """Compile and run."""
    Path("a.c").write_text("int main(void) { return 0; }\n")
    run("gcc", "-o", "a.out", "a.c")
    run("./a.out")


def use_node() -> None:
    """Threads of node."""
    worker = "new (require('worker_threads').Worker)('process.exit(0)', {eval: true})"
    run("node", "-e", worker)


if __name__ == "__main__":
    main()
