"""Which repository is meant: the one that a person names, or the one in which they stand."""

from pathlib import Path

from cli.context import CliContext
from cli.exit_codes import UsageError
from cli.formatting import clean

_OF_BARE = ("HEAD", "objects", "refs")


def repository_folder(named: str | None, context: CliContext) -> str:
    """Return the folder that was named, else that of the repository around the working directory.

    Raises:
        UsageError: there is no such folder, or the person stands in no repository.
    """
    if named is not None:
        folder = (context.folder / named).resolve()
        if not folder.is_dir():
            raise UsageError(f"There is no folder {clean(str(folder))}; --repo names a repository.")
        return str(folder)
    here = context.folder.resolve()
    for folder in (here, *here.parents):
        if _is_repository(folder):
            return str(folder)
    raise UsageError(
        f"{clean(str(here))} lies in no git repository: change to one, or name it with --repo."
    )


def _is_repository(folder: Path) -> bool:
    return (folder / ".git").exists() or all((folder / name).exists() for name in _OF_BARE)
