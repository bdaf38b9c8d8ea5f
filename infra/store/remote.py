"""Other repositories on this host: their path for git, and the sentence for what it refuses."""

import re
from pathlib import Path

from infra.git.command import GitError
from infra.store.errors import StoreError


def remote_url(repository: Path) -> str:
    """Return a repository's path for git: absolute, so never read as an option."""
    return str(repository.absolute())


def remote_error(failed: GitError, url: str) -> StoreError:
    """Return one sentence that says why git could not work with a repository."""
    # A person knows the repository, not the folder by which git was led to it.
    said = re.sub(r"/\S*/orchestcode-served-\w+/git", url, failed.stderr)
    if "dubious ownership" in said:
        return StoreError(f"{url} belongs to another user; run the worker as its owner")
    if "does not appear to be a git repository" in said or "does not exist" in said:
        return StoreError(f"there is no git repository at {url}")
    # Without git's many options: a person reads this where the request shows what it waits for.
    command = failed.args_tail.partition(" ")[0]
    return StoreError(f"{url}: git {command}: {said or f'exit code {failed.code}'}")
