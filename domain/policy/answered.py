"""What answers of people have allowed for the rest of a request, among its permissions."""

from collections.abc import Sequence
from typing import Final

from contracts.permissions import AllowedRule, PermissionRule, RequestPermissions, Scope
from contracts.verdicts import Permission

FILE: Final = "an answer"
"""Who says such a rule, in the place of a settings file."""


def with_allowed(record: RequestPermissions, rules: Sequence[AllowedRule]) -> RequestPermissions:
    """Return a request's permissions with what answers have allowed, as rules of the person's."""
    added = tuple(
        PermissionRule(
            permission=Permission.ALLOW,
            text=rule.text,
            scope=Scope.USER,
            file=f"{FILE} to {rule.approval} by {rule.by}" if rule.approval else FILE,
        )
        for rule in rules
    )
    return record.model_copy(update={"rules": (*record.rules, *added)})
