"""Which permissions a request would be opened with: looked up in the user's repository."""

from pathlib import Path

from contracts.permissions import RequestPermissions
from domain.policy.tools import BUILT_IN
from infra.permission_settings import request_permissions
from infra.repository_look import RequestRefused, start_of

__all__ = ["RequestRefused", "policy_at"]


async def policy_at(
    folder: str, base: str | None, user_file: Path | None
) -> tuple[str, RequestPermissions]:
    """Return the commit that a request would start from, and the permissions that it would have.

    Raises:
        RequestRefused: there is no such repository or commit, or a settings file is wrong.
    """
    found = await start_of(folder, base)
    of_base = found.settings.permissions if found.settings else ""
    return found.base, request_permissions(
        user_file, of_base, BUILT_IN, home=Path.home(), checkout=found.path
    )
