"""Which permissions a request would be opened with: looked up in the user's repository."""

from pathlib import Path

from contracts.permissions import RequestPermissions
from domain.policy.tools import BUILT_IN
from infra.permission_settings import request_permissions
from infra.repository_look import Asked, LookFailedError, RequestRefused, looking

_BRANCH = "orchestcode/policy"
"""A look asks what a request for a branch would start from; nothing is made of it."""


class NoPolicyError(Exception):
    """There is no such repository or commit, or a settings file is wrong; one sentence."""


async def policy_at(
    folder: str, base: str | None, user_file: Path | None
) -> tuple[str, RequestPermissions]:
    """Return the commit that a request would start from, and the permissions that it would have.

    Raises:
        NoPolicyError: a request would be refused there.
    """
    try:
        async with looking(Asked(path=folder, base=base, branch=_BRANCH)) as look:
            found = await look.found()
        of_base = found.settings.permissions if found.settings else ""
        return found.base, request_permissions(
            user_file, of_base, BUILT_IN, home=Path.home(), checkout=found.path
        )
    except (RequestRefused, LookFailedError) as problem:
        raise NoPolicyError(str(problem)) from problem
