"""Permissions of requests: what answers allow is kept, as the store keeps it."""

from temporalio import activity
from typing_extensions import override

from contracts.permissions import AllowedRule, AllowedRules, AllowRules
from contracts.ports import PermissionActivities
from tests.fakes.calls import Before, Fake
from tests.fakes.store import MemoryStore


class FakePermissions(Fake, PermissionActivities):
    """Keeps every rule once.

    Attributes:
        allowed: all that were pinned, oldest first.
        refused: texts that are no rules.
    """

    def __init__(self, store: MemoryStore, before: Before) -> None:
        super().__init__(store, before)
        self.allowed: list[AllowedRule] = []
        self.refused = set[str]()

    @override
    @activity.defn
    async def allow_rules(self, request: AllowRules) -> AllowedRules:
        await self._before("allow_rules", request)
        for rule in request.rules:
            if rule.text not in {*self.refused, *(each.text for each in self.allowed)}:
                self.allowed.append(rule)
        return AllowedRules(rules=tuple(self.allowed))
