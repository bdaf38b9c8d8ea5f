"""What answers of people change of a request's permissions, pinned in its store."""

from temporalio import activity
from typing_extensions import override

from activities.failures import translated_failures
from activities.tools.permissions import known_tools
from contracts.permissions import AllowedRule, AllowedRules, AllowRules
from contracts.ports import PermissionActivities
from domain import ids
from domain.policy.offers import is_rule
from infra.store import RefConflict, RefUpdate, records
from infra.store.open_stores import OpenStores


class PinnedPermissions(PermissionActivities):
    """Permissions beside the request in its store, where every judgement of its calls reads them.

    Args:
        stores: the stores of this host.
    """

    def __init__(self, stores: OpenStores) -> None:
        self._stores = stores

    @override
    @activity.defn
    async def allow_rules(self, request: AllowRules) -> AllowedRules:
        """Pin rules with a request and return all that it has.

        Safe to repeat: a rule that is there stays as it was first added, and nothing is taken
        away. A text that is no rule is left out.
        """
        store = await self._stores.get(request.repository.key)
        ref = ids.allowed_ref(request.repository.request_key)
        async with translated_failures("pinning what an answer allows"):
            while True:
                held = store.ref(ref)
                known = await records.read(store, ref, AllowedRules) or AllowedRules()
                rules = (*known.rules, *_new(request, known))
                if rules == known.rules:
                    return known
                wanted = AllowedRules(rules=rules)
                try:
                    oid = await records.write(store, wanted)
                    await store.update_refs(RefUpdate(ref, oid, held))
                except RefConflict:
                    continue
                return wanted


def _new(request: AllowRules, known: AllowedRules) -> tuple[AllowedRule, ...]:
    texts, tools = {rule.text for rule in known.rules}, known_tools()
    return tuple(
        rule for rule in request.rules if rule.text not in texts and is_rule(rule.text, tools)
    )
