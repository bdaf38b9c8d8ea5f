"""The user's repository as our git meets it: its objects and references, our configuration.

git obeys the configuration of the repository that it works in, and many keys run a program or lead
elsewhere. So none of our processes works in the user's repository: each is given a folder whose
objects and references are the user's, by links, and whose configuration holds nothing but the keys
of ALLOWED.
"""

import asyncio
import contextlib
import os
import re
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

from infra.git.command import GitCommand
from infra.regular_file import regular_content
from infra.store.errors import StoreError

ALLOWED: Final = re.compile(
    r"core\.(bare|repositoryformatversion|sharedrepository|logallrefupdates|ignorecase"
    r"|precomposeunicode|compression|loosecompression|bigfilethreshold|fsync|fsyncmethod)"
    r"|extensions\.\w+"
    r"|(transfer|receive|uploadpack)\.hiderefs"
    r"|(transfer|receive)\.(fsckobjects|unpacklimit)"
    r"|receive\.(deny\w+|shallowupdate|procreceiverefs)"
    r"|receive\.fsck\.(?!skiplist$)\w+"
)
"""The keys of a user's repository that count for us: none runs a program or names a file.

What is missing here is without effect, also keys that git will have one day. The hook of
`receive.procReceiveRefs` is never run; what needs it is refused.
"""

LOOK_SECONDS: Final = 20.0
"""How long reading a configuration may take: it may include what is no file."""

_LINKED: Final = ("objects", "refs", "packed-refs", "logs", "worktrees")


@contextlib.asynccontextmanager
async def served(source: Path, *, written: bool = False) -> AsyncIterator[Path]:
    """Lend a git directory with a repository's objects and references and our configuration.

    HEAD is that of the worktree `source`, or of the repository itself when it is `written`: there
    its checked-out branches count.

    Raises:
        StoreError: there is no repository.
        GitError: its configuration cannot be read.
    """
    own, common = await asyncio.to_thread(_folders, source)
    config = await allowed_configuration(common)
    with tempfile.TemporaryDirectory(prefix="orchestcode-served-") as place:
        folder = Path(place) / "git"
        await asyncio.to_thread(_lay_out, folder, common if written else own, common, config)
        yield folder


async def allowed_configuration(git_dir: Path) -> str:
    """Return what counts of a repository's configuration, as a configuration file.

    Raises:
        GitError: it cannot be read; a GitTimeoutError when it includes what never ends.
    """
    file = git_dir / "config"
    if not await asyncio.to_thread(file.exists):
        return ""
    git = GitCommand(git_dir / ".orchestcode-none")  # none: nothing but the named file is read
    words = ("config", "--file", str(file), "--includes", "--list", "-z")
    found = await git(*words, reads=True, timeout_seconds=LOOK_SECONDS)
    rows = (row.partition("\n") for row in os.fsdecode(found.out).split("\0") if row)
    allowed = [(key, value if is_set else "true") for key, is_set, value in rows if _counts(key)]
    return "".join(_line(key, value) for key, value in allowed)


def _counts(key: str) -> bool:
    return ALLOWED.fullmatch(key) is not None


def _line(key: str, value: str) -> str:
    section, name = key.rsplit(".", maxsplit=1)
    outer, _, inner = section.partition(".")
    head = f'{outer} "{inner}"' if inner else outer
    quoted = value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'[{head}]\n\t{name} = "{quoted}"\n'


def _folders(source: Path) -> tuple[Path, Path]:
    """Return the git directory of a repository or worktree, and the one that it shares."""
    own = source
    dot = source / ".git"
    if dot.is_dir():
        own = dot
    elif (link := _text(dot)) is not None and link.startswith("gitdir: "):
        own = source / link.removeprefix("gitdir: ")
    shared = _text(own / "commondir")
    common = own if shared is None else own / shared
    if _text(own / "HEAD") is None or not (common / "objects").is_dir():
        raise StoreError(f"there is no git repository at {source}")
    return own.resolve(), common.resolve()


def _lay_out(folder: Path, own: Path, common: Path, config: str) -> None:
    folder.mkdir()
    for name in _LINKED:
        if (common / name).exists():
            (folder / name).symlink_to(common / name)
    if not (folder / "logs").is_symlink():
        config += "[core]\n\tlogallrefupdates = false\n"
    (folder / "config").write_text(config, errors="surrogateescape")
    for name, home in (("HEAD", own), ("shallow", common)):
        text = _text(home / name)
        if text is not None:
            (folder / name).write_text(f"{text}\n")


def _text(file: Path) -> str | None:
    """Return the text of a regular file without its final newline; None for anything else."""
    content = regular_content(file)
    return None if content is None else os.fsdecode(content).removesuffix("\n")
