"""The permissions of a request: pinned when it is opened, and ready to judge by."""

from functools import lru_cache
from pathlib import Path

from activities.tools.registry import tools_by_name
from contracts.permissions import AllowedRules, RequestPermissions
from domain import ids
from domain.policy.answered import with_allowed
from domain.policy.judge import Policy, facts
from domain.policy.tools import ToolFacts
from infra.permission_settings import request_permissions
from infra.store import Store, records


def known_tools() -> dict[str, ToolFacts]:
    """Return what rules need to know of the tools that there are."""
    return {name: facts(tool.spec) for name, tool in tools_by_name().items()}


def permissions_now(user_file: Path | None, of_base: str, checkout: str) -> RequestPermissions:
    """Return what holds for a request that is opened now.

    Raises:
        RequestRefused: the user's file cannot be used.
    """
    return request_permissions(
        user_file, of_base, known_tools(), home=Path.home(), checkout=checkout
    )


async def policy_of(store: Store, request_key: str) -> Policy:
    """Return by what the calls of a request are judged; one from before 2026-12 has no rules.

    It holds what answers of people have allowed for the rest of the request.
    """
    text = await records.read_text(store, ids.permissions_ref(request_key))
    allowed = await records.read_text(store, ids.allowed_ref(request_key))
    return _policy(text or "", allowed or "")


@lru_cache(maxsize=32)
def _policy(text: str, allowed: str) -> Policy:
    record = RequestPermissions.model_validate_json(text) if text else RequestPermissions()
    rules = AllowedRules.model_validate_json(allowed).rules if allowed else ()
    return Policy(with_allowed(record, rules), known_tools())
