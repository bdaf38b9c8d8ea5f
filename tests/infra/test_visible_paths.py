"""What a command sees of the host: the system's folders, the tools on PATH, what a person names.

Real sandboxes; where none can be made the tests fail, they never skip.
"""

import asyncio
import json
import os
import shutil
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from infra.commands import CommandRunner
from infra.sandbox import Sandbox
from infra.sandbox.argv import unlisted_roots
from infra.sandbox.toolchain import installations
from runtime import settings
from runtime.errors import SettingsError
from tests.infra.bench import ActivityEnv, Agent
from tests.infra.test_sandbox import (
    SandboxFolders,
    driven,
    folders,
    seed,
)

__all__ = ["folders", "seed"]


@pytest.fixture
def elsewhere() -> Iterator[Path]:
    """A folder of the host that everybody may use, outside every home and system folder."""
    folder = Path(tempfile.mkdtemp(dir="/var/tmp", prefix="orchestcode-elsewhere-"))
    folder.chmod(0o777)
    yield folder
    shutil.rmtree(folder)


REACH = """
import os, socket, time
place = {place!r}
deadline = time.monotonic() + 3
while time.monotonic() < deadline:
    for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
        with socket.socket(socket.AF_UNIX, kind) as client:
            try:
                client.connect(place + "/socket")
                print("socket")
            except OSError:
                pass
    try:
        os.close(os.open(place + "/fifo", os.O_RDWR | os.O_NONBLOCK))
        print("fifo")
    except OSError:
        pass
    time.sleep(0.1)
"""


@pytest.mark.every_user
async def test_sockets_and_fifos_that_appear_later_cannot_be_reached(
    agent: Agent, elsewhere: Path
) -> None:
    """A program of the host that begins to listen beside a running command is out of its reach."""
    (agent.path / "reach.py").write_text(REACH.format(place=str(elsewhere)))
    task = asyncio.create_task(agent.run("touch begun; python3 -I -S reach.py"))
    async with asyncio.timeout(20):
        while not (agent.path / "begun").exists():
            await asyncio.sleep(0.02)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(elsewhere / "socket"))
        (elsewhere / "socket").chmod(0o777)
        server.listen()
        os.mkfifo(elsewhere / "fifo")
        (elsewhere / "fifo").chmod(0o666)
        reply = await task

    assert reply.text == "[exit code 0]"


@pytest.mark.every_user
def test_files_of_the_workers_user_cannot_be_read(folders: SandboxFolders, elsewhere: Path) -> None:
    """Not even where the command has the same user, as that of an ordinary worker has."""
    secret = elsewhere / "secret"
    secret.write_text("sesame")
    secret.chmod(0o600)
    answer = json.loads(driven(folders, [f"cat {secret}", f"ls -A {elsewhere.parent}"]))

    assert answer[0][0] == 1
    assert "sesame" not in answer[0][1]
    assert elsewhere.name not in answer[1][1]


async def test_at_the_top_are_the_systems_folders_alone(agent: Agent) -> None:
    """Whatever else stands there is empty, but for the way to the worktree."""
    roots = [str(root) for root in unlisted_roots() if not agent.path.is_relative_to(root)]
    listed = "for each in " + " ".join(roots) + '; do [ -d "$each" ] && ls -A "$each"; done; true'
    seen = (await agent.run(listed)).text.splitlines()

    assert set(roots) >= {"/home", "/root", "/run", "/srv", "/mnt"} & {
        str(path) for path in Path("/").iterdir()
    }
    # /tmp is the agent's own.
    assert set(seen) <= {"home", "[exit code 0]"}


async def test_a_path_that_is_not_shown_is_told(agent: Agent) -> None:
    """The hint names the root and the setting, whether the path exists or not."""
    reply = await agent.run("cat /srv/models/big.bin")

    assert reply.text.endswith(
        "[blocked by sandbox: commands see nothing of /srv; a person can show them folders with "
        "ORCHESTCODE_VISIBLE_PATHS]"
    )


async def test_a_person_can_show_a_folder(
    env: ActivityEnv, agent: Agent, elsewhere: Path, proved_sandbox: Sandbox
) -> None:
    """It can be read, not written; what does not exist is no reason to refuse commands."""
    (elsewhere / "data.txt").write_text("shown\n")
    shown = (elsewhere, elsewhere / "gone")
    env.tools._commands = CommandRunner(proved_sandbox, hide=(env.home,), show=shown)
    reply = await agent.run(f"cat {elsewhere}/data.txt; echo x > {elsewhere}/data.txt")

    assert reply.text.startswith("shown\n")
    assert (elsewhere / "data.txt").read_text() == "shown\n"


def test_an_installation_on_path_is_shown_whole(elsewhere: Path) -> None:
    """A program finds its libraries beside it; a folder of programs alone is none."""
    for name in ("jdk/bin", "jdk/lib", "scripts/bin"):
        (elsewhere / name).mkdir(parents=True)
    path = f"{elsewhere}/jdk/bin:{elsewhere}/scripts/bin:/usr/bin"

    assert installations(path, [Path("/var")]) == (elsewhere / "jdk",)
    assert installations(path, [Path("/var")], untrusted=[elsewhere / "jdk"]) == ()
    assert installations(path, [Path("/home")]) == ()


@pytest.mark.parametrize("value", ["relative", "/", "/home/me", "/data:/"])
def test_a_root_or_a_home_is_not_shown(value: str) -> None:
    """The setting names folders, and says so."""
    with pytest.raises(SettingsError, match="ORCHESTCODE_VISIBLE_PATHS must name folders"):
        settings.load({"HOME": "/home/me", "ORCHESTCODE_VISIBLE_PATHS": value})


def test_the_setting_is_written_like_path() -> None:
    """Empty entries count as absent."""
    found = settings.load({"HOME": "/home/me", "ORCHESTCODE_VISIBLE_PATHS": "/data/x::/mnt/y/"})

    assert found.visible_paths == (Path("/data/x"), Path("/mnt/y"))
